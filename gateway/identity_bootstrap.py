"""The composition of identity: what handshakes are made with, who is known, and what is wrong with either."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import aiohttp
import grpc

from gateway.adapters.identity.callers import KnownCallers
from gateway.adapters.identity.certificates import Expiry, TlsFiles, TlsFilesError, exposed_key, read_tls, soon
from gateway.adapters.identity.server_tls import ServerTls
from gateway.adapters.state.clock import SystemClock
from gateway.identity_reload import BankIssuers, BankWatch
from gateway.ports import Clock
from gateway.settings import Settings


def server_credentials(
    settings: Settings,
    files: TlsFiles,
    clock: Clock,
    told: Callable[[str, float], None],
    refused: Callable[[str, bool], None],
    stack: AsyncExitStack,
) -> grpc.ServerCredentials:
    """Gives what the server listens with, its files watched until the stack closes; raises ConfigError.

    `told` is told how many seconds each certificate has left, `refused` whether a reload of what was refused.
    """
    stated = settings.gateway.server.tls
    tls = ServerTls(
        files, clock, told, partial(refused, "certificates"), reload_s=stated.reload_s, warn_days=stated.warn_days
    )
    tls.watch()
    stack.push_async_callback(tls.aclose)
    return tls.credentials()


async def known_callers(
    settings: Settings,
    session: aiohttp.ClientSession,
    declare: Callable[[str], None],
    refused: Callable[[str, bool], None],
    clock: Clock,
    stack: AsyncExitStack,
) -> tuple[KnownCallers, BankWatch]:
    """Gives who is known by banks.toml, and what watches the file until the stack closes.

    `declare` is told the addresses that the session must reach, `refused` whether a reload of what was refused.
    """
    issuers = BankIssuers(settings.gateway.identity, session, declare, clock)
    stack.push_async_callback(issuers.aclose)
    known = KnownCallers(settings.banks.register, await issuers.verifiers(settings.banks.banks), clock)
    watch = BankWatch(known, issuers, settings.bank_files, partial(refused, "banks"))
    stack.push_async_callback(watch.aclose)
    return known, watch


def tls_faults(settings: Settings) -> list[str]:
    """Gives every fault of the certificates that the configuration names, by file and key; none where it names none."""
    stated = settings.gateway.server.tls
    if not stated.is_stated:
        return []
    try:
        read_tls(stated.files(), SystemClock().now())
    except ValueError as error:
        return [f"gateway.toml: server.tls: {error}"]
    except TlsFilesError as error:
        return [f"gateway.toml: server.tls.{key}: {text}" for key, text in error.faults]
    return []


def tls_notes(settings: Settings) -> list[str]:
    """Gives what an operator should know of sound certificates: until when they are valid, and who may read the key."""
    stated, now = settings.gateway.server.tls, SystemClock().now()
    notes = [
        f"{expiry.name}: until {expiry.not_after:%F}" + (" ⚠" if soon(expiry.not_after, now, stated.warn_days) else "")
        for expiry in tls_expiries(settings)
    ]
    if notes and exposed_key(stated.files().key):
        notes.append(f"{stated.files().key}: can be read by others than its owner; chmod 600 ⚠")
    return notes


def tls_expiries(settings: Settings) -> tuple[Expiry, ...]:
    """Gives until when the configured certificates, which must be sound, are valid; none where none are configured."""
    stated = settings.gateway.server.tls
    return read_tls(stated.files(), SystemClock().now()).expiries if stated.is_stated else ()
