"""Faults of HTTP's meaning (fault catalogue, U21 to U32 and U37): redirects, statuses, pages that are no answer, age."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connectors.kit.manifest import Manifest
from connectors.kit.mapping import PayloadMapping
from connectors.kit.plugin import Plugin
from gateway.connector_bootstrap import Plugins, find_plugins
from gateway.ports import Connector, ConnectorSetup
from tests.faults.declared import fault
from tests.faults.house import Case
from tests.faults.proxy import Exchange, FaultProxy, Original, answering, head, in_place, once


@fault("U21", "redirect to another host", "重定向到其他主机", "BAD_ANSWER(redirect)")
async def test_U21_a_redirect_to_another_host_is_not_followed_and_no_credentials_go_there(case: Case) -> None:
    trap = await case.stack.enter_async_context(FaultProxy(case.proxy.target.human_repr()))
    case.on_data(answering(302, ("Location", trap.url)))

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, trap.connections) == (1, 0)


@fault("U21", "redirect that keeps method and body (307)", "保留方法与报文的重定向（307）", "BAD_ANSWER(redirect)")
async def test_U21_a_redirect_that_keeps_method_and_body_is_not_followed(case: Case) -> None:
    trap = await case.stack.enter_async_context(FaultProxy(case.proxy.target.human_repr()))
    case.on_data(answering(307, ("Location", trap.url + "/elsewhere")))

    seen = await case.ask()

    case.check(seen)
    assert trap.connections == 0


@fault("U22", "redirect to itself", "循环重定向", "BAD_ANSWER(redirect)")
async def test_U22_a_redirect_loop_is_cut_at_its_first_turn(case: Case) -> None:
    async def in_circles(exchange: Exchange) -> None:
        exchange.write(head(302, ("Location", exchange.target), ("Content-Length", "0")))

    case.on_data(in_circles)

    seen = await case.ask()

    case.check(seen)
    assert case.proxy.asked(case.dialect.data_path) == 1


@fault("U23", "429, Retry-After of a second", "429，Retry-After 为 1 秒", "OK")
async def test_U23_a_retry_after_that_fits_is_waited_for(case: Case) -> None:
    path = case.dialect.data_path
    case.always(once(answering(429, ("Retry-After", "1")), path))

    seen = await case.ask()

    case.check(seen)
    assert seen.took_s >= 1.0


@fault(
    "U23",
    "429 where the data are, Retry-After beyond the time left",
    "取数得到 429，Retry-After 超出剩余时间",
    "RATE_LIMITED(http_429)",
    jiangsu="TIMEOUT(pending)",
)
async def test_U23_a_retry_after_beyond_the_time_left_is_told_at_once(case: Case) -> None:
    case.on_data(answering(429, ("Retry-After", "60")))

    seen = await case.ask()

    case.check(seen)
    assert seen.took_s < 1.0
    if case.platform != "jiangsu":  # there it is how the platform paces its pollers: the task goes on
        assert seen.answer.retry_after_s == 60.0


@fault(
    "U23",
    "429 to the question, Retry-After as an HTTP date",
    "提问得到 429，Retry-After 为 HTTP 日期",
    "RATE_LIMITED(http_429)",
)
async def test_U23_a_retry_after_as_a_date_is_understood(case: Case) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    case.on_question(answering(429, ("Retry-After", format_datetime(moment, usegmt=True))))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.retry_after_s == pytest.approx(90, abs=3)


@fault("U25", "403 used as a rate limit", "以 403 表示限流", "RATE_LIMITED(http_403)")
async def test_U25_a_manifest_may_say_that_403_is_a_rate_limit(case: Case) -> None:
    case.plugins = with_status(case, "403", "RATE_LIMITED")
    case.on_question(answering(403, ("Content-Type", "text/plain"), body=b"slow down"))

    seen = await case.ask()

    case.check(seen)


@fault("U25", "403 that no manifest explains", "清单未声明的 403", "AUTH_FAILED(http_403)")
async def test_U25_a_403_that_no_manifest_explains_is_a_refusal_of_ours(case: Case) -> None:
    case.on_data(answering(403, ("Content-Type", "text/plain"), body=b"no"))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault("U26", "503 for as long as it is asked", "持续返回 503", "UNREACHABLE(http_503)")
async def test_U26_an_outage_is_asked_again_within_the_attempts_and_told(case: Case) -> None:
    case.on_data(answering(503))

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, case.proxy.asked(case.dialect.data_path)) == (3, 3)


@fault("U26", "500, 502 and 504, then well", "先 500、502、504，后恢复", "OK")
async def test_U26_a_burst_that_a_repeat_cures_is_not_seen(case: Case) -> None:
    left = [500, 504]

    async def burst(exchange: Exchange) -> None:
        await (answering(left.pop()) if left else Exchange.forward)(exchange)

    case.on_data(burst)

    seen = await case.ask()

    case.check(seen)
    assert (seen.answer.attempts, seen.answer.said.records) == (3, case.control.records)


@fault("U26", "an outage over many queries", "多次查询均遇故障", "BREAKER_OPEN(unreachable)")
async def test_U26_a_long_outage_opens_the_breaker_which_answers_at_once(case: Case) -> None:
    case.on_data(answering(503))
    for _ in range(6):
        await case.ask()

    asked = case.proxy.asked(case.dialect.data_path)
    seen = [await case.ask() for _ in range(5)]

    for one in seen:
        case.check(one)
    assert min(one.answer.latency_s for one in seen) < 0.005  # the least: a busy machine may be slow, a call always is
    assert case.proxy.asked(case.dialect.data_path) == asked


@fault("U27", "400", "400", "BAD_ANSWER(http_400)")
async def test_U27_a_refused_request_is_not_asked_again(case: Case) -> None:
    case.on_data(answering(400, ("Content-Type", "text/plain"), body=b"bad request"))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault("U27", "404 that no manifest explains", "清单未声明的 404", "BAD_ANSWER(http_404)")
async def test_U27_a_404_is_no_word_about_the_enterprise(case: Case) -> None:
    case.on_data(answering(404, ("Content-Type", "text/html"), body=b"<html>nginx</html>"))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault("U27", "404 that the manifest calls unknown there", "清单声明为“查无此企业”的 404", "NOT_FOUND")
async def test_U27_a_404_is_a_word_about_the_enterprise_if_the_manifest_says_so(case: Case) -> None:
    case.plugins = with_status(case, "404", "NOT_FOUND")
    case.on_data(answering(404, ("Content-Type", "text/plain"), body=b"no such enterprise"))

    seen = await case.ask()

    case.check(seen)
    assert case.told_categories(seen) == {"NOT_FOUND", "NOT_COVERED"}


@fault("U27", "405", "405", "BAD_ANSWER(http_405)")
async def test_U27_a_method_not_allowed_is_not_asked_again(case: Case) -> None:
    case.on_data(answering(405))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.attempts == 1


@fault("U30", "an error code with 200", "200 状态携带错误码", "UNREACHABLE(platform_error)")
async def test_U30_an_error_envelope_has_the_outcome_its_manifest_gives_it(case: Case) -> None:
    await set_for_this_test(case, "error_envelope")

    seen = await case.ask()

    case.check(seen)


@fault("U30", "a code nobody knows with 200", "200 状态携带未知码", "BAD_ANSWER(code_unknown)")
async def test_U30_a_code_that_the_manifest_does_not_know_is_never_ok(case: Case) -> None:
    dialect = case.dialect

    def coded(original: Original) -> tuple[bytes, tuple[tuple[str, str], ...]]:
        return dialect.recoded(original.body, "77777"), ()

    case.on_data(in_place(coded))

    seen = await case.ask()

    case.check(seen)


@fault("U31", "a login page with 200", "200 状态返回登录页", "BAD_ANSWER(content_type)")
async def test_U31_a_login_page_is_no_answer(case: Case) -> None:
    case.on_data(answering(200, ("Content-Type", "text/html"), body="<html><form>请登录</form></html>".encode()))

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.said.raw_digest


@fault(
    "U31",
    "a challenge page under the right content type",
    "以正确类型返回拦截页",
    "BAD_ANSWER(json)",
    anhui="BAD_ANSWER(envelope)",
)
async def test_U31_a_page_under_the_right_content_type_is_no_answer_either(case: Case) -> None:
    page = "<html><body>账户已停用</body></html>".encode(case.dialect.charset)
    case.on_data(in_place(lambda original: (page, ())))

    seen = await case.ask()

    case.check(seen)


@fault("U32", "204 without a body", "204 无响应体", "BAD_ANSWER(empty)")
async def test_U32_no_content_is_no_answer(case: Case) -> None:
    async def play(exchange: Exchange) -> None:
        exchange.write(head(204))

    case.on_data(play)

    seen = await case.ask()

    case.check(seen)


@fault("U32", "204 that the manifest calls empty", "清单声明为“无记录”的 204", "NO_RECORDS")
async def test_U32_no_content_says_that_there_is_nothing_if_the_manifest_says_so(case: Case) -> None:
    async def play(exchange: Exchange) -> None:
        exchange.write(head(204))

    case.plugins = with_status(case, "204", "NO_RECORDS")
    case.on_data(play)

    seen = await case.ask()

    case.check(seen)
    assert case.told_categories(seen) == {"NO_RECORDS", "NOT_COVERED"}


@fault("U32", "200 with an empty body", "200 空响应体", "BAD_ANSWER(empty)")
async def test_U32_an_empty_body_is_no_answer(case: Case) -> None:
    case.on_data(in_place(lambda original: (b"", ())))

    seen = await case.ask()

    case.check(seen)


@fault(
    "U37",
    "an Age header: a cache in between answered",
    "Age 头：中间缓存代答",
    "OK",
)
async def test_U37_the_age_of_an_answer_from_a_cache_in_between_is_counted(case: Case) -> None:
    async def aged(exchange: Exchange) -> None:
        await exchange.forward(("Age", "3600"))

    case.on_data(aged)

    seen = await case.ask()

    case.check(seen)
    assert seen.answer.fetched_at is not None
    assert (datetime.now(UTC) - seen.answer.fetched_at).total_seconds() == pytest.approx(3600, abs=5)


def with_status(case: Case, status: str, outcome: str) -> Plugins:
    """Gives the plugins with a manifest for this platform that declares what a status means."""
    found = find_plugins(case.house.settings)
    shipped = vars(found.connectors[case.platform])

    def build(manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> Connector:
        declared = {**manifest.dialect, "status": {status: f"{outcome}:http_{status}"}}
        connector: Connector = shipped["_build"](replace(manifest, dialect=declared), mapping, setup)
        return connector

    plugin = Plugin(f"connectors.{case.platform}", build, secrets=shipped["_secrets"])
    return replace(found, connectors={**found.connectors, case.platform: plugin})


async def set_for_this_test(case: Case, kind: str, **settings: object) -> None:
    """Switches a fault of the sandbox's own dialect on until the test is over."""
    sandbox = case.house.sandboxes[case.platform]
    await sandbox.set_fault(kind, **settings)
    case.stack.push_async_callback(sandbox.clear_faults)
