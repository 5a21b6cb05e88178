"""Steps from one revision to the next, each undone by its counterpart.

Each says in LOST what its downgrade loses, in both languages, and of which table it tells how many rows there are.
"""
