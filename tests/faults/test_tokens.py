"""Faults of tokens (fault catalogue, U28 and U29), at the platforms whose dialect has them."""

from __future__ import annotations

import asyncio

from connectors.jiangsu.sandbox import SimulatedJiangsu
from tests.faults.declared import fault
from tests.faults.house import Case
from tests.faults.proxy import answering, once

NO_TOKEN = "its dialect has no token"
TOKENLESS = {"shanghai": NO_TOKEN, "anhui": NO_TOKEN}


def expire_tokens(case: Case) -> None:
    """Has every token that the platform gave out so far run out over there."""
    simulated = case.house.sandboxes[case.platform].simulated
    held = simulated.tokens if isinstance(simulated, SimulatedJiangsu) else vars(simulated)["_request"]
    held.update(dict.fromkeys(held, 0.0))


@fault("U28", "token expired, 50 calls at once", "令牌过期，50 个并发调用", "OK", spared=TOKENLESS)
async def test_U28_fifty_calls_with_an_expired_token_cause_one_refresh(case: Case) -> None:
    await case.ask()
    before = case.proxy.asked("oken")
    expire_tokens(case)

    tolds = await asyncio.gather(*(case.told_alone(uscc) for uscc in case.known()[:50]))
    seen = await case.ask()

    case.check(seen)
    assert tolds == ["OK"] * 50
    assert case.proxy.asked("oken") - before == 1


@fault("U29", "a refresh fails once", "令牌刷新偶发失败", "OK", spared=TOKENLESS)
async def test_U29_a_refresh_that_fails_in_passing_is_made_again(case: Case) -> None:
    case.always(once(answering(503), "oken"))

    seen = await case.ask()

    case.check(seen)


@fault("U29", "every refresh fails in passing", "令牌刷新持续失败", "UNREACHABLE(http_503)", spared=TOKENLESS)
async def test_U29_a_refresh_that_goes_on_failing_is_the_platforms_failure_and_no_refusal(case: Case) -> None:
    case.on_token(answering(503))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 3


@fault("U29", "a refresh answer without its token", "刷新应答缺少令牌", "AUTH_FAILED(token_shape)", spared=TOKENLESS)
async def test_U29_a_refresh_answer_without_a_token_fails_after_the_refresh_only(case: Case) -> None:
    empty = b'{"code": "00", "datas": {}}'
    case.on_token(answering(200, ("Content-Type", "application/json"), body=empty))

    seen = await case.ask()

    case.check(seen)
