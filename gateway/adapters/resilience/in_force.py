"""What is in force around one connector, wrapper by wrapper, and how each stands: for the operator, as texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from gateway.adapters.resilience.chain import Chain, Chains
from gateway.adapters.resilience.hedge import may_hedge


@dataclass(frozen=True, slots=True)
class WrapperInForce:
    """One wrapper: its settings and its state by key; `inactive_because` is empty where it does something."""

    name: str
    settings: Mapping[str, str]
    state: Mapping[str, str]
    inactive_because: str = ""


def in_force(chains: Chains, platform: str) -> tuple[WrapperInForce, ...]:
    """Gives a platform's wrappers, the outermost first."""
    chain = chains.by_platform[platform]
    policy = chain.policy
    return (
        WrapperInForce(
            "cache",
            _settings(policy.cache),
            _texts(calls_under_way=chains.under_way(platform)),
            "" if policy.cache.enabled else "not enabled; what is under way is shared all the same",
        ),
        WrapperInForce(
            "quota",
            _settings(policy.quota),
            {} if policy.quota.is_empty else _quota_state(chains, platform),
            "nothing limits the platform" if policy.quota.is_empty else "",
        ),
        WrapperInForce("breaker", _settings(policy.breaker), _texts(is_open=chain.breaker.is_open)),
        WrapperInForce(
            "bulkhead",
            _settings(policy.bulkhead),
            _texts(limit=chain.bulkhead.limit, under_way=chain.bulkhead.under_way, waiting=chain.bulkhead.waiting),
        ),
        WrapperInForce("retry", _settings(policy.retry), {}, _why_no_retry(chain)),
        WrapperInForce("hedge", _settings(policy.hedge), _texts(delay_s=chain.hedge.delay_s), _why_no_hedge(chain)),
    )


def _quota_state(chains: Chains, platform: str) -> Mapping[str, str]:
    left, resets_at = chains.ledger.left(platform), chains.ledger.reset_at(platform)
    if left is None or resets_at is None:
        return {}
    return _texts(left_today=left, resets_at=resets_at.isoformat(timespec="seconds"))


def _why_no_retry(chain: Chain) -> str:
    if chain.policy.retry.attempts <= 1:
        return "one attempt is allowed"
    return "" if chain.door.platform.is_idempotent else "the platform must not be asked twice"


def _why_no_hedge(chain: Chain) -> str:
    if not chain.policy.hedge.enabled:
        return "not enabled"
    platform = chain.door.platform
    if may_hedge(platform):
        return ""
    if not platform.is_idempotent:
        return "the platform must not be asked twice"
    return "its calls are billed" if platform.limits.is_metered else "it is asked by submit and poll"


def _settings(policy: Any) -> Mapping[str, str]:
    return _texts(**{field.name: getattr(policy, field.name) for field in fields(policy)})


def _texts(**values: Any) -> Mapping[str, str]:
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "; ".join(str(each) for each in value)
    return str(value)
