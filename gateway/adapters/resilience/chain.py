"""The chain of wrappers around one connector, read from the outside in; each has the connector's own shape."""

from __future__ import annotations

from gateway.adapters.resilience.retry import Retrying, RetryPolicy
from gateway.ports import Clock, Connector


def resilient(connector: Connector, retry: RetryPolicy, clock: Clock) -> Connector:
    """Gives the connector as the fan-out uses it."""
    return Retrying(connector, retry, clock)
