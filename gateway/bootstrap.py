"""The composition root: settings and plugins in, a running gateway out. Everything is built here and closed here."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, cast

import aiohttp

from gateway.adapters.egress import DeclaredHostsConnector
from gateway.adapters.hub_lists import HUB
from gateway.adapters.identity.callers import DevelopmentCallers
from gateway.adapters.identity.certificates import TlsFiles
from gateway.adapters.resilience.chain import ChainPolicy, Chains, resilient
from gateway.adapters.resilience.flights import Flights
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
from gateway.adapters.state.answer_cache import LocalAnswerCache
from gateway.adapters.state.answer_id import new_answer_id
from gateway.adapters.state.clock import SystemClock
from gateway.adapters.state.consent_cache import CachedConsents
from gateway.adapters.state.kept_views import LocalKeptViews
from gateway.adapters.state.quota_ledger import QuotaLedger
from gateway.adapters.stores.door import StoreDoor
from gateway.adapters.stores.trail_reader import FileTrailReader
from gateway.adapters.telemetry.call_log import CallLog
from gateway.adapters.telemetry.health import PlatformHealth
from gateway.adapters.telemetry.logs import LogObserver, QueryLog
from gateway.adapters.telemetry.loop_lag import LoopLag
from gateway.adapters.telemetry.metrics import Metrics
from gateway.adapters.telemetry.observers import Observers
from gateway.adapters.telemetry.trace_steps import TracedAudit, TracedMerger
from gateway.adapters.telemetry.tracing import Tracing, TracingPolicy
from gateway.adapters.web.admin import AdminServer
from gateway.adapters.web.lifecycle import Stage, ails, unready
from gateway.application.authorise import Authoriser, ConsentAuthoriser, DevelopmentAuthoriser
from gateway.application.consents import Consents
from gateway.application.query_credit import CreditQueries
from gateway.application.repair_memory import Forgets
from gateway.application.request_ids import RequestIds
from gateway.application.trail import TrailExport
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.errors import ConfigError
from gateway.domain.keeping import RepairTombstone
from gateway.domain.masking import Masker, masked_fields
from gateway.domain.merge import Merger
from gateway.domain.permission import Rules
from gateway.domain.platform import Platform
from gateway.domain.statement import AuthorityIds, Reader
from gateway.evidence_bootstrap import archive_of, evidence_of
from gateway.green_bootstrap import green_credit_service
from gateway.identity_bootstrap import known_callers, server_credentials
from gateway.identity_reload import BankWatch
from gateway.list_bootstrap import hub_lists, joint_list_service, uncached
from gateway.ports import Callers, CallObserver, Connector, ConnectorPlugin, ConnectorSetup, Rights, SandboxPlugin
from gateway.repair_bootstrap import remembered_repairs
from gateway.settings import Settings, resolve_secret
from gateway.trail_bootstrap import anchor, open_trail, response_digests

CONNECTORS: Final = "xinyidai.connectors"
SANDBOXES: Final = "xinyidai.sandboxes"
_LAST_ENTRIES_S: Final = 5.0
_LOOK_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Plugins:
    """Connectors that are configured, by platform, with their facts; and every fault of those that are broken."""

    connectors: Mapping[str, ConnectorPlugin]
    platforms: Mapping[str, Platform]
    faults: tuple[str, ...]


def find_plugins(settings: Settings) -> Plugins:
    """Finds the configured platforms' connectors by entry point; a broken one stops nobody else."""
    found = {point.name: point for point in entry_points(group=CONNECTORS)}
    connectors: dict[str, ConnectorPlugin] = {}
    platforms: dict[str, Platform] = {}
    faults: list[str] = []
    for name, table in settings.platforms.items():
        if not table.enabled:
            continue
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            faults.append(f"platforms.toml: {name}: no connector of that name is installed (installed: {known})")
            continue
        try:
            plugin = cast(ConnectorPlugin, found[name].load())
            platform = plugin.platform()
        except (ImportError, AttributeError, ValueError, OSError) as error:
            faults += [f"connector {name}: {fault}" for fault in getattr(error, "faults", [error])]
            continue
        if platform.id != name:
            faults.append(f"connector {name}: its manifest says it is {platform.id!r}")
            continue
        connectors[name] = plugin
        platforms[name] = platform
    if not settings.platforms:
        faults.append("platforms.toml: names no platform")
    return Plugins(connectors, platforms, tuple(faults))


def find_sandboxes(names: Sequence[str]) -> Mapping[str, SandboxPlugin]:
    """Finds sandboxes by entry point, of the named platforms only; missing and broken ones are left out."""
    found: dict[str, SandboxPlugin] = {}
    for point in entry_points(group=SANDBOXES):
        if point.name in names:
            try:
                found[point.name] = cast(SandboxPlugin, point.load())
            except ImportError:
                continue  # a sandbox is a convenience: its connector is reported on its own
    return found


@dataclass(frozen=True, slots=True)
class Worker:
    """Which of how many processes on one port this one is; numbers begin with 1."""

    number: int
    of: int

    def trail(self, path: Path) -> Path:
        """Gives this worker's own trail beside the configured one: a file is synced, and taken back, by one writer."""
        return path.with_name(f"{path.stem}.{self.number}{path.suffix}")


class Gateway:
    """A gateway that is up: its queries, its server's parts, and how it ends."""

    def __init__(
        self,
        server: RpcServer,
        queries: CreditQueries,
        merger: Merger,
        health: PlatformHealth,
        connectors: Mapping[str, Connector],
        metrics: Metrics,
        loop_lag: LoopLag,
        policies: PolicyWatch,
        banks: BankWatch | None,
        stack: AsyncExitStack,
        drain_s: float,
        answers_ail: Callable[[], str],
    ) -> None:
        self.server = server
        self.queries = queries
        self.merger = merger
        self.health = health
        self.connectors = connectors
        self.metrics = metrics
        self.policies = policies
        self.banks = banks
        self.admin_port: int | None = None
        """Where the admin port listens; None where it does not."""
        self._stage = Stage.STARTING
        self._answers_ail = answers_ail
        self._admin = AdminServer(metrics.page, ails=lambda: ails(loop_lag.lag_s), unready=self.unready)
        self._stack = stack
        self._drain_s = drain_s

    def unready(self) -> str:
        """Gives why no queries should be sent here, nothing where they are answered."""
        return unready(self._stage, self._answers_ail())

    async def start(self, listen: str, *, admin: str | None = None) -> int:
        """Starts the admin port, where an address is given, then the server; gives the server's port. Raises ConfigError."""
        if admin is not None:
            self.admin_port = await self._admin.start(admin)
        port = await self.server.start(listen)
        self._stage = Stage.SERVING
        return port

    def reload(self) -> None:
        """Has policies and banks.toml read anew, changed or not; what is broken leaves what is in force."""
        self.policies.tell()
        if self.banks is not None:
            self.banks.tell()

    async def aclose(self) -> None:
        """Drains calls under way, then closes sessions and the trail, in that order: no entry is lost.

        The admin port goes last, so that a prober can see the draining and a scraper the last numbers.
        """
        self._stage = Stage.DRAINING
        try:
            await self.server.stop(self._drain_s)
            # gRPC gives a call up before its handler has ended: what was cut off still writes that it was.
            until = time.monotonic() + _LAST_ENTRIES_S
            while self.queries.under_way and time.monotonic() < until:  # noqa: ASYNC110  # once in a process's life
                await asyncio.sleep(_LOOK_S)
            await self._stack.aclose()
        finally:
            await self._admin.aclose()


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
        policies_watch = PolicyWatch(rights, settings.policies)
        stack.push_async_callback(policies_watch.aclose)
        tracing = _tracing(settings)
        stack.push_async_callback(tracing.aclose)
        loop = asyncio.get_running_loop()
        telling: set[asyncio.Task[None]] = set()

        def health_changed() -> None:
            task = loop.create_task(server.tell_health())
            telling.add(task)
            task.add_done_callback(telling.discard)

        def trail_changed() -> None:
            if is_built:
                metrics.trail_ails(bool(audit.ails))
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
            *kept.resolved(audit_path), seal_key=kept.resolved_seal_key(), changed=health_changed, corrupt=corrupt_found
        )
        stack.push_async_callback(store.aclose)  # after the trail, whose last entries may come with copies
        await store.check()
        evidence = await evidence_of(settings, audit_path, store)
        is_built = False
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
        inner = _connect(settings, plugins, session, clock)
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
        policies = uncached(_policies(settings, inner, processes=worker.of if worker is not None else 1))
        metrics = Metrics(
            plugins.platforms,
            in_flight=lambda: queries.under_way,
            calls_per_day={
                name: policy.quota.calls_per_day
                for name, policy in policies.items()
                if policy.quota.calls_per_day is not None
            },
        )
        loop_lag = LoopLag(metrics.loop_lagged)
        stack.push_async_callback(loop_lag.aclose)
        observers = Observers(
            queries=(LogObserver(health, query_log, changed=health_changed), metrics),
            calls=(CallLog(clock), metrics),
        )
        credentials = banks_watch = None
        known: Callers = DevelopmentCallers()
        if tls is not None:
            credentials = server_credentials(settings, tls, clock, metrics.certificate_has, stack)
            known, banks_watch = await known_callers(settings, session, egress.declare, clock, stack)
        callers = RpcCallers(known, clock)
        chains = _chains(settings, inner, policies, clock, observers)
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
        metrics.trail_ails(bool(audit.ails))
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
    try:
        masker = Masker(CATALOGUE, resolve_secret(settings.gateway.consent.masking_key, {}).encode())
    except ValueError as error:
        raise ConfigError([f"gateway.toml: consent.masking_key: {error}"]) from error
    rules = Rules(CATALOGUE, settings.purposes, masked_fields(CATALOGUE))
    authoriser = ConsentAuthoriser(consents, rules, clock, rights)
    consents.tell(authoriser.changed)
    return authoriser, masker


def _tracing(settings: Settings) -> Tracing:
    stated = settings.gateway.tracing
    return Tracing(TracingPolicy(stated.share, stated.endpoint or None, told_platforms=stated.told_platforms))


def _policies(
    settings: Settings, connectors: Mapping[str, Connector], *, processes: int = 1
) -> Mapping[str, ChainPolicy]:
    """Gives what each platform's wrappers hold to in one of so many processes; raises ConfigError with every fault."""
    policies: dict[str, ChainPolicy] = {}
    faults: list[str] = []
    for name, connector in connectors.items():
        try:
            policy = settings.resilience_of(name).policy(connector.platform.limits)
            policies[name] = replace(policy, quota=policy.quota.shared_by(processes))
        except ValueError as error:
            faults.append(f"connector {name}: manifest.toml: limits: {error}")
    if faults:
        raise ConfigError(faults)
    return policies


def _chains(
    settings: Settings,
    connectors: Mapping[str, Connector],
    policies: Mapping[str, ChainPolicy],
    clock: SystemClock,
    observer: CallObserver,
) -> Chains:
    """Puts the wrappers around the connectors."""
    ledger = QuotaLedger({name: policy.quota for name, policy in policies.items()}, clock)
    room = settings.gateway.cache
    cache = LocalAnswerCache(clock, most_answers=room.most_answers, most_bytes=room.most_bytes)
    flights = Flights()
    chains = {
        name: resilient(connector, policies[name], ledger, cache, flights, clock, observer)
        for name, connector in connectors.items()
    }
    return Chains(chains, ledger, cache, flights)


def calm_collector() -> None:
    """Spares the garbage collector what it need not look at; called once, when everything is built.

    What start-up made lives as long as the process. A query's objects die by reference counting as it ends, so that young
    generations hold little but queries under way: they are searched for cycles more rarely than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def connector_faults(settings: Settings, plugins: Plugins) -> list[str]:
    """Gives every fault of plugins and of their deployment settings, without connecting to anything."""

    async def check() -> list[str]:
        async with aiohttp.ClientSession() as session:
            try:
                _policies(settings, _connect(settings, plugins, session, SystemClock()))
            except ConfigError as error:
                return list(error.faults)
        return []

    return asyncio.run(check())


def _connect(
    settings: Settings, plugins: Plugins, session: aiohttp.ClientSession, clock: SystemClock
) -> dict[str, Connector]:
    faults = list(plugins.faults)
    sandboxes = find_sandboxes(list(plugins.connectors))
    connectors: dict[str, Connector] = {}
    for name, plugin in plugins.connectors.items():
        table = settings.platforms[name]
        sandbox: Mapping[str, str] = sandboxes[name].credentials() if name in sandboxes else {}
        secrets: dict[str, Any] = {}
        for key, reference in table.secrets.items():
            try:
                secrets[key] = resolve_secret(reference, sandbox)
            except ValueError as error:
                faults.append(f"platforms.toml: {name}.secrets.{key}: {error}")
        if len(secrets) < len(table.secrets):
            continue
        try:
            tls = ssl.create_default_context(cafile=table.ca_file) if table.ca_file else None
            setup = ConnectorSetup(table.base_url, session, clock, secrets, table.options, tls)
            connectors[name] = plugin.connect(setup)
        except (ValueError, OSError) as error:
            faults += [f"platforms.toml: {name}: {fault}" for fault in getattr(error, "faults", [error])]
    if faults:
        raise ConfigError(faults)
    return connectors
