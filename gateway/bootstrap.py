"""The composition root: settings and plugins in, a running gateway out. Everything is built here and closed here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
import structlog

from gateway.adapters.egress import DeclaredHostsConnector
from gateway.adapters.hub_lists import HUB
from gateway.adapters.identity.callers import DevelopmentCallers
from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.rights.cedar import CedarRights
from gateway.adapters.rights.policies import compile_policies
from gateway.adapters.rights.reload import PolicyWatch
from gateway.adapters.rpc.admin_service import AdminService
from gateway.adapters.rpc.admission import Admissions
from gateway.adapters.rpc.archive_service import ArchiveService
from gateway.adapters.rpc.audit_service import AuditService
from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.consent_service import ConsentService
from gateway.adapters.rpc.credit_service import CreditService
from gateway.adapters.rpc.delivery import HEALTH
from gateway.adapters.rpc.platform_service import PlatformService
from gateway.adapters.rpc.rights import Door
from gateway.adapters.rpc.server import RpcServer, ServerLimits
from gateway.adapters.state.answer_id import new_answer_id
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.state.consent_cache import CachedConsents
from gateway.adapters.state.kept_views import LocalKeptViews
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.trail_reader import FileTrailReader
from gateway.adapters.telemetry.call_log import CallLog
from gateway.adapters.telemetry.health import PlatformHealth
from gateway.adapters.telemetry.log_stream import STANDARD_ERROR
from gateway.adapters.telemetry.logs import LogObserver, QueryLog
from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.adapters.telemetry.metrics import Metrics
from gateway.adapters.telemetry.observers import Observers
from gateway.adapters.telemetry.open_files import share_open
from gateway.adapters.telemetry.trace_steps import TracedAudit, TracedMerger
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from gateway.application.authorise import Authoriser, ConsentAuthoriser, DevelopmentAuthoriser
from gateway.application.consents import Consents
from gateway.application.query_credit import CreditQueries
from gateway.application.repair_memory import Forgets
from gateway.application.request_ids import RequestIds
from gateway.application.trail import TrailExport
from gateway.connector_bootstrap import Plugins, chain_policies, chains_of, connected, unknown_ids
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.errors import ConfigError
from gateway.domain.keeping import RepairTombstone
from gateway.domain.masking import Masker
from gateway.domain.merge import Merger
from gateway.domain.permission import Rules
from gateway.domain.statement import AuthorityIds, Reader
from gateway.domain.type_masks import masked_fields
from gateway.evidence_bootstrap import archive_of, evidence_of
from gateway.green_bootstrap import green_credit_service
from gateway.identity_bootstrap import known_callers, server_credentials
from gateway.key_bootstrap import watch_keys
from gateway.list_bootstrap import hub_lists, joint_list_service, uncached
from gateway.ports import Callers, Rights
from gateway.process import Gateway, Worker
from gateway.repair_bootstrap import remembered_repairs
from gateway.secret_references import resolve_secret
from gateway.settings import Settings
from gateway.trail_bootstrap import anchor, open_trail, response_digests


async def build_gateway(
    settings: Settings,
    plugins: Plugins,
    *,
    audit_path: Path | None = None,
    worker: Worker | None = None,
    tls: TlsFiles | None = None,
) -> Gateway:
    """Builds a gateway on the running loop; raises ConfigError with every fault, StoreError when no trail can be kept.

    Without `tls` it is one of development: plain text, callers taken at their word, on loopback only. A worker shares the
    port with its like, has its part of the platforms' quotas, and a trail of its own.
    """
    audit_path = audit_path or settings.gateway.audit.path
    clock = SystemClock()
    stack = AsyncExitStack()
    try:
        rights = CedarRights(compile_policies(settings.policies.read()))
        tracing = _tracing(settings)
        stack.push_async_callback(tracing.aclose)
        loop = asyncio.get_running_loop()
        telling: set[asyncio.Task[None]] = set()

        def health_changed() -> None:
            task = loop.create_task(server.tell_health())
            telling.add(task)
            task.add_done_callback(telling.discard)

        is_built = False

        def trail_changed() -> None:
            if is_built:
                metrics.trail_ails(bool(answers_ail()))
                health_changed()

        def corrupt_found(kind: str) -> None:
            if is_built:
                metrics.corrupt_found(kind)

        def answers_ail() -> str:
            if store.is_red and evidence is not None and evidence.archive is not None:
                return audit.ails or "the archive's store cannot be reached or changed 归档数据库无法访问或写入"
            return audit.ails

        kept = settings.gateway.store
        store = StoreDoor(
            *kept.resolved(audit_path), seal_key=kept.resolved_seal_key(), changed=trail_changed, corrupt=corrupt_found
        )
        stack.push_async_callback(store.aclose)  # after the trail, whose last entries may come with copies
        await store.check()
        evidence = await evidence_of(settings, audit_path, store)
        own_path = worker.trail(audit_path) if worker is not None else audit_path
        audit = open_trail(settings.gateway.audit, own_path, trail_changed, evidence)
        stack.push_async_callback(audit.aclose)
        egress = DeclaredHostsConnector(
            [
                *(table.base_url for table in settings.platforms.values() if table.enabled),
                *([settings.gateway.audit.anchor.url] if settings.gateway.audit.anchor.url else []),
            ],
            limit=0,
            ttl_dns_cache=60,
            family=socket.AF_UNSPEC,
        )
        session = aiohttp.ClientSession(
            connector=egress,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            trust_env=False,
            headers={"User-Agent": "xinyidai-gateway"},
            trace_configs=tracing.trace_configs(),
        )
        stack.push_async_callback(session.close)
        inner = connected(settings, plugins, session, clock)
        if worker is None or worker.number == 1:
            _warn_of_unknown_ids(settings, plugins)
        hub = await hub_lists(settings, store, clock)
        if hub is not None:
            inner[HUB] = hub
            plugins = replace(plugins, platforms={**plugins.platforms, HUB: hub.platform})
        health = PlatformHealth(inner, clock)
        at_hand = await _consents_at_hand(settings, store, clock, stack)
        consents = Consents(store.consents if at_hand is None else at_hand.itself, audit, clock)
        stack.push_async_callback(consents.aclose)
        query_log = QueryLog() if settings.gateway.log.level in ("debug", "info") else None
        if query_log is not None:
            stack.callback(query_log.flush)
        policies = uncached(chain_policies(settings, inner, processes=worker.of if worker is not None else 1))
        metrics = Metrics(
            plugins.platforms,
            in_flight=lambda: queries.under_way,
            open_files=share_open,
            log_lines_lost=lambda: STANDARD_ERROR.lost,
            calls_per_day={
                name: policy.quota.calls_per_day
                for name, policy in policies.items()
                if policy.quota.calls_per_day is not None
            },
        )
        watch_keys(settings, audit_path, metrics.keys_lost, stack)
        policies_watch = PolicyWatch(rights, settings.policies, partial(metrics.reload_refused, "policies"))
        stack.push_async_callback(policies_watch.aclose)
        observers = Observers(
            queries=(LogObserver(health, query_log, changed=health_changed), metrics),
            calls=(CallLog(clock), metrics),
        )
        credentials = banks_watch = None
        known: Callers = DevelopmentCallers()
        if tls is not None:
            refused = metrics.reload_refused
            credentials = server_credentials(settings, tls, clock, metrics.certificate_has, refused, stack)
            known, banks_watch = await known_callers(settings, session, egress.declare, refused, clock, stack)
        callers = RpcCallers(known, clock)
        chains = chains_of(settings, inner, policies, clock, observers)
        stack.push_async_callback(chains.aclose)
        for name, chain in chains.by_platform.items():  # to be seen before they first move
            metrics.limit_moved(name, chain.bulkhead.limit)
            left = chains.ledger.left(name)
            if left is not None:
                metrics.quota_left(name, left)
        connectors = {name: tracing.around(door) for name, door in chains.doors.items()}
        authoriser, masker = _authorisation(settings, at_hand, rights, clock)
        authority_ids = AuthorityIds(settings.authorities)
        rules = (
            CATALOGUE,
            plugins.platforms,
            authority_ids,
            settings.crosswalk,
            settings.publication,
            settings.divisions,
        )
        merger = TracedMerger(tracing, *rules) if tracing.is_recording else Merger(*rules)
        views = LocalKeptViews(clock, most_bytes=settings.gateway.cache.most_view_bytes)
        request_ids = RequestIds(clock, capacity=settings.gateway.request_ids.capacity)

        def forget_views(uscc: str) -> None:
            views.forget(uscc)
            request_ids.forget(uscc)

        async def forget_repaired(tombstones: Sequence[RepairTombstone]) -> None:
            for stone in tombstones:
                forget_views(stone.uscc)
            await chains.forget_repaired(tombstones)

        repairs = await remembered_repairs(
            settings, store, audit, clock, callers, authority_ids, Forgets(forget_repaired, forget_views), stack
        )
        joint_lists = joint_list_service(settings, store, audit, clock, callers, forget_repaired, repairs, stack)
        queries = CreditQueries(
            connectors,
            Reader(CATALOGUE, authority_ids, plugins.platforms),
            merger,
            TracedAudit(audit, tracing) if tracing.is_recording else audit,
            clock,
            observers,
            authoriser=authoriser,
            new_answer_id=new_answer_id,
            kept=chains,
            views=views,
            repairs=repairs.memory,
            masker=masker,
            digest_of=response_digests(settings.gateway),
            digest=evidence.digest if evidence is not None else None,
        )
        # Not before there are queries to count: a slow start is longer than its pulse.
        loop_lag = LoopLag(metrics.loop_lagged)
        stack.push_async_callback(loop_lag.aclose)
        signer = evidence.signer if evidence is not None else None
        anchor(settings.gateway.audit, audit, session, signer, clock, metrics, stack)
        views_kept = evidence.archive if evidence is not None else None
        archive = await archive_of(settings, views_kept, audit, audit_path, clock, rights, stack, corrupt_found)
        stack.callback(metrics.flush)
        limits = settings.gateway.server
        admissions = Admissions(settings.gateway.admission.policy(), clock)
        server = RpcServer(
            CreditService(
                queries,
                request_ids,
                connectors,
                clock,
                lambda platform: HEALTH[health.verdict(platform)],
                tracing,
                metrics.error_sent,
                metrics.unknown_fields_ignored,
                callers,
                default_deadline_s=settings.gateway.deadline.default_s,
                longest_deadline_s=settings.gateway.deadline.longest_s,
                batch_concurrency=limits.batch_concurrency,
                most_response_bytes=limits.max_response_bytes,
                admissions=admissions,
            ),
            PlatformService(
                plugins.platforms,
                health,
                lambda name: getattr(inner[name], "clock_skew_s", None),
                callers,
            ),
            AdminService(chains, queries.forget, callers),
            ConsentService(
                consents, tuple(connectors), clock, new_answer_id, callers, None if masker is None else masker.person
            ),
            AuditService(
                TrailExport(
                    FileTrailReader(audit_path, lambda: (audit.name, audit.head.sequence), corrupt_found), audit, clock
                ),
                callers,
            ),
            ArchiveService(archive, callers),
            joint_lists,
            Door(rights, callers.of, audit, clock, tracing, metrics.error_sent),
            health,
            tuple(connectors),
            ServerLimits(
                limits.max_request_bytes,
                limits.max_response_bytes,
                limits.max_pending_calls,
                shares_port=worker is not None,
            ),
            callers,
            credentials,
            is_store_red=lambda: store.is_red,
            is_trail_red=lambda: bool(answers_ail()),
            green=green_credit_service(
                settings, queries, plugins.platforms, audit, clock, callers, admissions, tracing, metrics.error_sent
            ),
            repairs=repairs.service,
        )
        is_built = True
        metrics.trail_ails(bool(answers_ail()))
    except BaseException:
        await stack.aclose()
        raise
    return Gateway(
        server,
        queries,
        merger,
        health,
        connectors,
        metrics,
        loop_lag,
        policies_watch,
        banks_watch,
        stack,
        limits.drain_s,
        answers_ail,
    )


async def _consents_at_hand(
    settings: Settings, store: StoreDoor, clock: SystemClock, stack: AsyncExitStack
) -> CachedConsents | None:
    """Gives the consents that queries look up, following their changes; None where consents are not enforced."""
    stated = settings.gateway.consent
    if not stated.enforced:
        return None
    consents = CachedConsents(await store.consents(), clock, poll_s=stated.poll_s)
    await consents.start()
    stack.push_async_callback(consents.aclose)
    return consents


def _authorisation(
    settings: Settings, consents: CachedConsents | None, rights: Rights, clock: SystemClock
) -> tuple[Authoriser, Masker | None]:
    """Gives who permits, and what masks; raises ConfigError where the key for masking is missing or too short."""
    if consents is None:
        return DevelopmentAuthoriser(rights), None
    masker = masker_of(settings)
    rules = Rules(CATALOGUE, settings.purposes, masked_fields(CATALOGUE))
    authoriser = ConsentAuthoriser(consents, rules, clock, rights)
    consents.tell(authoriser.changed)
    return authoriser, masker


def masker_of(settings: Settings) -> Masker:
    """Gives what masks where consents are enforced; raises ConfigError where its key is missing or too short."""
    try:
        return Masker(CATALOGUE, resolve_secret(settings.gateway.consent.masking_key, {}).encode())
    except ValueError as error:
        raise ConfigError([f"gateway.toml: consent.masking_key: {error}"]) from error


def _tracing(settings: Settings) -> Tracing:
    stated = settings.gateway.tracing
    return Tracing(TracingPolicy(stated.share, stated.endpoint or None, told_platforms=stated.told_platforms))


def _warn_of_unknown_ids(settings: Settings, plugins: Plugins) -> None:
    for name, platform in plugins.platforms.items():
        for note in unknown_ids(settings, platform):
            structlog.get_logger("gateway").warning("platform.unknown_id", platform=name, note=note)
