"""Building the green review: the tables checked against their engine, the use cases, the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from gateway.adapters.rpc.admission import Admissions
from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.green_credit_service import GreenCreditService
from gateway.adapters.rules.book import RuleBook
from gateway.adapters.telemetry.trace_steps import TracedAudit
from gateway.adapters.telemetry.tracing import Tracing
from gateway.application.assess import Assessments
from gateway.application.query_credit import CreditQueries
from gateway.domain.dates import china_date
from gateway.domain.errors import ConfigError, Reason
from gateway.domain.green import table_faults
from gateway.domain.platform import Platform
from gateway.ports import Clock
from gateway.settings import Settings
from gateway.store_ports import AuditLog

_checked: set[tuple[str, ...]] = set()
"""Digests of the tables that the engine was found to read as they were compiled, in this process."""


def rule_faults(rules: RuleBook, today: date) -> list[str]:
    """Gives which tables cannot serve today, and where the engine reads one otherwise than it runs here.

    The engine is asked once per process and content.
    """
    if faults := table_faults(rules.tables, today):
        return faults
    key = tuple([table.digest for table in rules.tables])
    if key in _checked:
        return []
    from gateway.adapters.rules.zen_engine import engine_faults  # loaded where it is needed: it is large

    faults = engine_faults(rules.tables, rules.facts)
    if not faults:
        _checked.add(key)
    return faults


def green_credit_service(
    settings: Settings,
    queries: CreditQueries,
    platforms: Mapping[str, Platform],
    audit: AuditLog,
    clock: Clock,
    callers: RpcCallers,
    admissions: Admissions,
    tracing: Tracing,
    error_sent: Callable[[Reason], None],
) -> GreenCreditService:
    """Builds the service; raises ConfigError where the engine reads a table otherwise."""
    if faults := rule_faults(settings.rules, china_date(clock.now())):
        raise ConfigError(faults)
    assessments = Assessments(
        queries, settings.rules, settings.green, settings.purposes, settings.crosswalk, platforms,
        TracedAudit(audit, tracing) if tracing.is_recording else audit, clock, settings.joint_lists,
    )  # fmt: skip
    return GreenCreditService(
        assessments,
        settings.rules,
        callers,
        clock,
        admissions,
        tracing,
        error_sent,
        default_deadline_s=settings.gateway.deadline.default_s,
        longest_deadline_s=settings.gateway.deadline.longest_s,
        concurrency=settings.gateway.server.batch_concurrency,
    )
