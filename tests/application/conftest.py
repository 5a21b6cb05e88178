"""What every test of a use case is given: logs as they are before anybody sets them up."""

from __future__ import annotations

from tests.adapters.conftest import unconfigured_logs

__all__ = ["unconfigured_logs"]
