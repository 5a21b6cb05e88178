"""The part of the composition root that builds joint lists."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_LIST_ENTRY
from gateway.adapters.hub_lists import HUB, HubLists, hub_platform
from gateway.adapters.resilience.chain import ChainPolicy
from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.joint_list_service import JointListService
from gateway.adapters.state.answer_id import new_answer_id
from gateway.adapters.stores.door import StoreDoor
from gateway.application.joint_lists import JointLists, Stores, is_removal
from gateway.application.list_watch import ListWatch
from gateway.domain.errors import ConfigError
from gateway.domain.joint_lists import JointEntry
from gateway.domain.keeping import RepairTombstone
from gateway.domain.resume_token import ResumeTokens
from gateway.ports import Clock
from gateway.repair_bootstrap import Remembering
from gateway.secret_references import resolve_secret
from gateway.settings import Settings
from gateway.store_ports import AuditLog

Forget = Callable[[Sequence[RepairTombstone]], Awaitable[object]]
_LEAST_KEY_BYTES: Final = 16


def joint_list_service(
    settings: Settings,
    store: StoreDoor,
    audit: AuditLog,
    clock: Clock,
    callers: RpcCallers,
    forget: Forget,
    repairs: Remembering,
    stack: AsyncExitStack,
) -> JointListService:
    """Gives the service; raises ConfigError where the key of resume tokens is missing or too short.

    `forget` is called for every entry that is no more: answers that are kept may still show it. It is remembered too.
    """
    stated = settings.gateway.lists
    watch = ListWatch(
        store.joint_lists,
        clock,
        ResumeTokens(token_key(stated.token_key)),
        poll_s=stated.poll_s,
        bank_most=stated.bank_most_watches,
    )

    async def changed(entries: Sequence[JointEntry]) -> None:
        await watch.changed(entries)
        gone = [RepairTombstone(entry.uscc, CATEGORY_LIST_ENTRY) for entry in entries if is_removal(entry)]
        if gone:
            await forget(gone)
        await repairs.lists.changed(entries)

    lists = JointLists(
        Stores(store.joint_lists, store.consents), settings.joint_lists, audit, clock, new_answer_id, changed,
        settings.supervision,
    )  # fmt: skip
    stack.push_async_callback(lists.aclose)
    repairs.memory.tell(lists.heard)
    return JointListService(lists, watch, settings.publication, clock, callers)


async def hub_lists(settings: Settings, store: StoreDoor, clock: Clock) -> HubLists | None:
    """Gives the hub's lists as a platform; None where entries do not join the merged view. Raises ConfigError, StoreError.

    Which years are missing is known as of now, and anew with the first query a minute or more after the last look.
    """
    if not settings.gateway.lists.in_views:
        return None
    if HUB in settings.platforms:
        raise ConfigError([f"platforms.toml: {HUB}: is the joint lists' own name while gateway.toml: lists.in_views"])
    provisions = await (await store.joint_lists()).provisions()
    return HubLists(hub_platform(settings.joint_lists, provisions), settings.joint_lists, store.joint_lists, clock)


def uncached(policies: Mapping[str, ChainPolicy]) -> Mapping[str, ChainPolicy]:
    """Gives the policies with nothing kept of the hub's answers: the store is at hand, and a repair holds at once."""
    if HUB not in policies:
        return policies
    return {**policies, HUB: replace(policies[HUB], cache=replace(policies[HUB].cache, enabled=False))}


def token_key(reference: str) -> bytes:
    """Gives what seals resume tokens, a key of this process where none is stated; raises ConfigError for one too short."""
    if not reference:
        return secrets.token_bytes(32)
    try:
        key = resolve_secret(reference, {}).encode()
    except ValueError as error:
        raise ConfigError([f"gateway.toml: lists.token_key: {error}"]) from error
    if len(key) < _LEAST_KEY_BYTES:
        raise ConfigError([f"gateway.toml: lists.token_key: must have at least {_LEAST_KEY_BYTES} bytes"])
    return key
