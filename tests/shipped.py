"""The shipped configuration, read once in a process of tests: to read its files takes a twentieth of a second."""

from __future__ import annotations

from functools import cache

from gateway.settings import Settings, load_settings


@cache
def shipped_settings() -> Settings:
    """Gives the shipped settings; whoever needs others makes a copy."""
    return load_settings()
