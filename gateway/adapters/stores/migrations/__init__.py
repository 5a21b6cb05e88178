"""Migrations of the store's schema, oldest first in `versions/`; run by `schema.py`, never by themselves."""
