"""The address of a database in `gateway.toml`: of one that is served, its password by reference, its options known."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from gateway.secret_references import resolve_secret

_ADDRESS: Final = re.compile(
    r"(?P<driver>[\w+]+)://(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"[^/?@]*?(?::(?P<port>[^/?@:\]]*))?(?:/[^?]*)?(?:\?(?P<options>.*))?"
)
_SERVER: Final = "postgresql+asyncpg"
_OPTIONS: Final = ("host", "port", "prepared_statement_cache_size", "ssl", "target_session_attrs")
"""What a connection takes of an address; `ssl` is what other drivers call sslmode."""


def checked_address(address: str) -> str:
    """Gives the address back; raises ValueError saying what is wrong with it, never showing a password."""
    found = _ADDRESS.fullmatch(address)
    if found is None or found["driver"] not in ("sqlite+aiosqlite", _SERVER):
        raise ValueError(
            "must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://user:env:NAME@host/database, or be empty where "
            "that stands for a file"
        )
    if found["password"] and not found["password"].startswith(("env:", "file:")):
        raise ValueError("write a reference (user:env:NAME@, user:file:/path@), never the password")
    if found["driver"] == _SERVER:
        if found["port"] and not (found["port"].isdecimal() and int(found["port"]) < 65_536):
            raise ValueError("the port must be a number")
        options = [name for name, _ in parse_qsl(found["options"] or "", keep_blank_values=True)]
        strangers = sorted(set(options) - set(_OPTIONS))
        if strangers:
            known = ", ".join(_OPTIONS)
            raise ValueError(f"{strangers[0]} is no option of a connection; use {known}, such as ?ssl=verify-full")
    return address


def password_of(address: str) -> str | None:
    """Gives the password that a checked address refers to, None where it has none; raises ValueError, as references do."""
    found = _ADDRESS.fullmatch(address)
    return resolve_secret(found["password"], {}) if found is not None and found["password"] else None
