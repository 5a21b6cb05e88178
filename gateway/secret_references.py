"""Secrets by reference, never by value: "env:NAME", "file:/path", or "sandbox:name" for a sandbox's worthless credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def resolve_secret(reference: str, sandbox: Mapping[str, str]) -> str:
    """Gives the value behind a reference; raises ValueError saying what to provide, never showing a value."""
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = os.environ.get(name)
        if value is None:
            raise ValueError(f"set the environment variable {name}")
        return value
    if scheme == "file":
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"the file {name} cannot be read: {error.strerror}") from error
    if name not in sandbox:
        raise ValueError(f"no sandbox is installed that has the credential {name!r}")
    return sandbox[name]
