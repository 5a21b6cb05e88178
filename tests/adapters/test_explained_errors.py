"""What a command prints of a refused call: the reason, in Chinese too where the locale is, and each fault once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_status import rpc_status

from gateway._pb.xinyidai.gateway.v1.error_reason_pb2 import ErrorReason
from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import Kind
from gateway.adapters.rpc.status import status_of
from gateway.cli.client import explain
from gateway.cli.reach import FOLDER, Reach, reach
from gateway.cli.reason_text import REASONS_ZH
from gateway.domain.errors import (
    GatewayError,
    InvalidIdentifierError,
    InvalidRequestError,
    ListFileError,
    PolicyDeniedError,
    Reason,
    UnauthenticatedError,
)
from gateway.domain.list_fault import ListFault, at_line

AT = Reach("127.0.0.1:1")


def refused(error: GatewayError) -> grpc.aio.AioRpcError:
    """The error as a client gets it over the wire."""
    status = rpc_status.to_status(status_of(error, "trace-1"))
    trailing = grpc.aio.Metadata(*status.trailing_metadata)
    return grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailing, details=status.details)


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def test_every_reason_of_the_contract_has_its_chinese_sentence_and_no_other() -> None:
    reasons = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]]

    assert sorted(REASONS_ZH) == sorted(reasons)
    assert [reason for reason, text in REASONS_ZH.items() if not text.endswith("。")] == []


def test_the_reason_is_printed_and_explained_in_the_locales_language(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(PolicyDeniedError("some-policy"))

    english = explain(error, AT)
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    chinese = explain(error, AT)

    head = "PERMISSION_DENIED (POLICY_DENIED): not permitted to this caller; ask the gateway's operator"
    assert (english[0], english[-1]) == (head, "  trace trace-1")
    assert (chinese[:2], chinese[-1]) == ([head, f"  {REASONS_ZH['POLICY_DENIED']}"], "  追踪号 trace-1")


def test_faults_of_a_list_file_are_read_in_chinese_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    error = ListFileError(
        [at_line(4, "listed_on: is needed", "listed_on：必填"), ListFault("digest", "not it", "不符")]
    )

    told = explain(refused(error), AT)

    assert told[1:4] == [f"  {REASONS_ZH['LIST_FILE_REFUSED']}", "  第 4 行：listed_on：必填", "  digest：不符"]


def at_profile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Reach:
    """Reaches as a command does, with a development authority of its own."""
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.delenv("XINYIDAI_PROFILE", raising=False)
    Authority(folder).init()
    return reach("127.0.0.1:1", Kind.BANK, None, None, None, is_plaintext=False)


def test_a_caller_who_is_refused_reads_as_whom_it_asked_and_how_to_ask_as_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_profile(tmp_path, monkeypatch)
    stated = replace(at, profile="")

    denied = explain(refused(PolicyDeniedError("some-policy")), at)
    by_files = explain(refused(PolicyDeniedError("some-policy")), stated)
    plain = explain(refused(PolicyDeniedError("some-policy")), AT)

    shown = tmp_path / "demo-bank.pem"
    others = ", ".join(sorted(path.stem for path in tmp_path.glob("demo-*.pem") if path != shown))
    assert f"  asked as profile demo-bank ({shown}); XINYIDAI_PROFILE=NAME shows another: {others}" in denied
    assert f"  asked with {shown}; --cert, --key and --ca (or XINYIDAI_CERT, _KEY and _CA) show another" in by_files
    assert "  asked in plain text, without a certificate; without --plaintext one is shown" in plain


def test_an_unknown_caller_reads_which_name_banks_toml_must_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = at_profile(tmp_path, monkeypatch)
    unknown = refused(UnauthenticatedError(Reason.CALLER_UNKNOWN, "the caller is not known"))

    told = explain(unknown, at)
    unreadable = explain(unknown, replace(at, certificate=tmp_path / "gone.pem"))

    assert "  the gateway's banks.toml must name this certificate's SAN: URI:urn:xinyidai:bank:demo-bank" in told
    assert "  the gateway's banks.toml must name this certificate's SAN" in unreadable
    assert not [line for line in explain(refused(InvalidIdentifierError("x")), at) if "asked" in line]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            InvalidRequestError("purpose", "state a purpose", Reason.UNKNOWN_PURPOSE),
            ["INVALID_ARGUMENT (UNKNOWN_PURPOSE): purpose: state a purpose"],
        ),
        (InvalidIdentifierError("too short"), ["INVALID_ARGUMENT (INVALID_IDENTIFIER): uscc: too short"]),
        (
            ListFileError([at_line(1, "no code", "无代码"), at_line(2, "no date", "无日期")]),
            [
                "INVALID_ARGUMENT (LIST_FILE_REFUSED): the file was refused and nothing changed; 2 faults",
                "  line 1: no code",
                "  line 2: no date",
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_field_is_printed_once(error: GatewayError, told: list[str]) -> None:
    assert explain(refused(error), AT) == [*told, "  trace trace-1"]
