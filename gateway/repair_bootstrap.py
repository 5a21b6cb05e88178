"""The part of the composition root that builds what is remembered of repairs."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import NamedTuple

from gateway.adapters.hub_lists import HUB
from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.repair_service import RepairService
from gateway.adapters.state.answer_id import new_answer_id
from gateway.adapters.stores.door import StoreDoor
from gateway.application.list_repairs import ListRepairs
from gateway.application.repair_memory import Forgets, RepairMemory, RepairStores
from gateway.application.repairs import RepairRules, Repairs
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.record_key import RecordKeys
from gateway.domain.statement import AuthorityIds
from gateway.ports import Clock
from gateway.settings import Settings
from gateway.store_ports import AuditLog


class Remembering(NamedTuple):
    """What a process knows of repairs, what tells it of the joint lists' own, and the service."""

    memory: RepairMemory
    lists: ListRepairs
    service: RepairService


async def remembered_repairs(
    settings: Settings,
    store: StoreDoor,
    audit: AuditLog,
    clock: Clock,
    callers: RpcCallers,
    authority_ids: AuthorityIds,
    forgets: Forgets,
    stack: AsyncExitStack,
) -> Remembering:
    """Gives what queries are told, knowing what is in force already, and the service; raises StoreError."""
    stores = RepairStores(store.repairs, store.joint_lists, lambda: store.is_there)
    memory = RepairMemory(stores, forgets, clock, hub=HUB, poll_s=settings.gateway.lists.poll_s)
    stack.push_async_callback(memory.aclose)
    await memory.start()
    keys = RecordKeys(CATALOGUE, authority_ids)
    rules = RepairRules(keys, settings.publication.rules, settings.joint_lists)
    repairs = Repairs(stores, memory, rules, audit, clock, new_answer_id)
    stack.push_async_callback(repairs.aclose)
    return Remembering(memory, ListRepairs(stores, memory, keys, HUB), RepairService(repairs, callers))
