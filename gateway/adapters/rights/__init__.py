"""Rights by Cedar policies: read, compiled, decided, reloaded, explained."""
