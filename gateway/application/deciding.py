"""Who decides where two persons must: on entries of joint lists and on repairs of records."""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain.caller import Caller


class By(NamedTuple):
    """Who decides: the caller, and the person's id, which is never empty."""

    caller: Caller
    operator: str
