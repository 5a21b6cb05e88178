"""Who decides, or looks up, of a request that states an operator: proven where the caller's token proves it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.requests import check_annotations, proven
from gateway.application.deciding import By
from gateway.domain.caller import Caller
from gateway.domain.errors import InvalidRequestError


async def decider(request: Any, context: Context, callers: RpcCallers) -> By:
    """Checks the request and gives who decides; raises CallerMismatchError, InvalidRequestError where nobody is named."""
    caller = await callers.of(context)
    check_annotations(request)
    operator = proven("operator", request.operator, caller.operator).strip()
    if not operator:
        raise InvalidRequestError("operator", "state who decides: a second person must be told from the first")
    return By(caller, operator)


def reader(request: Any, caller: Caller) -> Caller:
    """Gives the caller with who looks it up, by token or request; raises CallerMismatchError where the two differ."""
    operator = proven("operator", request.operator, caller.operator)
    return caller if operator == caller.operator else replace(caller, operator=operator)
