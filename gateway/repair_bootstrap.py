"""The part of the composition root that builds what is remembered of repairs."""

from __future__ import annotations

from contextlib import AsyncExitStack

from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.repair_service import RepairService
from gateway.adapters.state.answer_id import new_answer_id
from gateway.adapters.stores.door import StoreDoor
from gateway.application.repair_memory import Forgets, RepairMemory, RepairStores
from gateway.application.repairs import RepairRules, Repairs
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.record_key import RecordKeys
from gateway.domain.statement import AuthorityIds
from gateway.ports import AuditLog, Clock
from gateway.settings import Settings


async def remembered_repairs(
    settings: Settings,
    store: StoreDoor,
    audit: AuditLog,
    clock: Clock,
    callers: RpcCallers,
    authority_ids: AuthorityIds,
    forgets: Forgets,
    stack: AsyncExitStack,
) -> tuple[RepairMemory, RepairService]:
    """Gives what queries are told, knowing what is in force already, and the service; raises StoreError."""
    stores = RepairStores(store.repairs, store.joint_lists, lambda: store.is_there)
    memory = RepairMemory(stores, forgets, clock, poll_s=settings.gateway.lists.poll_s)
    stack.push_async_callback(memory.aclose)
    await memory.start()
    rules = RepairRules(RecordKeys(CATALOGUE, authority_ids), settings.publication.rules, settings.joint_lists)
    repairs = Repairs(stores, memory, rules, audit, clock, new_answer_id)
    stack.push_async_callback(repairs.aclose)
    return memory, RepairService(repairs, callers)
