"""Steps from one revision to the next, each undone by its counterpart."""
