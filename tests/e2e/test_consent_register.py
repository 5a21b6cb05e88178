"""`xinyidai consent register` on its way to a gateway: every option of it stands in the request, and comes back in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from typer.testing import CliRunner

from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2_grpc
from gateway.adapters.rpc.consent_messages import consent_message, consent_of
from gateway.cli.consents import consents
from tests.e2e.conftest import DEMO

PERSON = "测试甲"
PLATFORMS = ("anhui", "jiangsu", "shanghai", "zhejiang")


@dataclass
class Register(consent_service_pb2_grpc.ConsentServiceServicer):
    """Takes registrations by the gateway's own reading of them, and remembers them."""

    asked: list[tuple[pb.RegisterConsentRequest, dict[str, str]]] = field(default_factory=list)

    def RegisterConsent(self, request: pb.RegisterConsentRequest, context: Any) -> pb.RegisterConsentResponse:
        self.asked.append((request, dict(context.invocation_metadata())))
        now = datetime.now(UTC)
        consent = consent_of(request.terms, "bank-a", PLATFORMS, consent_id="c-1", at=now)
        return pb.RegisterConsentResponse(consent=consent_message(consent, now))


@dataclass
class Desk:
    """A service that is up, and the command before it."""

    register: Register
    address: str
    folder: Path

    def run(self, *options: str, name: str | None = None) -> Any:
        (self.folder / "consent.pdf").write_bytes(b"signed")
        stated = (
            *("register", DEMO, "--purpose", "pre-loan", "--category", "TAX_PAYMENT"),
            *("--document", str(self.folder / "consent.pdf"), "--address", self.address, "--plaintext"),
        )
        return CliRunner().invoke(consents, [*stated, *options], input=name, catch_exceptions=False)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    register = Register()  # type: ignore[abstract]  # what is not told here is unimplemented, as gRPC has it
    server = grpc.server(ThreadPoolExecutor(2))
    consent_service_pb2_grpc.add_ConsentServiceServicer_to_server(register, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Desk(register, f"127.0.0.1:{port}", tmp_path)
    server.stop(0).wait()


def test_what_is_told_of_the_document_stands_in_the_request_and_in_what_is_printed(desk: Desk) -> None:
    digest = hashes.Hash(hashes.SM3())
    digest.update(b"signed")
    stated = ("--document-ref", "vault/7:a", "--institution-code", "C1010011000013", "--signed", "2026-11-02 09:30:00")

    for_people = desk.run(*stated, "--bank", "bank-a", "--operator", "op-7", "--branch", "pudong")
    for_machines = desk.run(*stated, "--json")

    request, metadata = desk.register.asked[0]
    terms = request.terms
    assert (for_people.exit_code, for_machines.exit_code) == (0, 0)
    assert (terms.document_ref, terms.institution_code) == ("vault/7:a", "C1010011000013")
    assert terms.sign_time.ToDatetime(tzinfo=UTC) == datetime(2026, 11, 2, 1, 30, tzinfo=UTC)  # 09:30 in China
    assert terms.document_digest == digest.finalize()
    assert (metadata["xinyidai-bank"], request.operator, request.branch) == ("bank-a", "op-7", "pudong")
    assert all(each in for_people.stdout for each in ("vault/7:a", "C1010011000013", "2026-11-02 09:30"))
    assert json.loads(for_machines.stdout)["terms"]["sign_time"] == "2026-11-02T01:30:00Z"


def test_what_is_not_told_of_the_document_is_absent(desk: Desk) -> None:
    shown = desk.run()

    terms = desk.register.asked[0][0].terms
    assert shown.exit_code == 0
    assert (terms.document_ref, terms.institution_code, terms.HasField("sign_time")) == ("", "", False)
    assert not any(word in shown.stdout for word in ("document:", "institution:", "signed:"))


@pytest.mark.parametrize("is_file", [True, False], ids=["file", "standard input"])
def test_a_persons_name_goes_to_the_gateway_and_nowhere_else(desk: Desk, *, is_file: bool) -> None:
    (desk.folder / "name").write_text(f"{PERSON}\n", encoding="utf-8")

    shown = desk.run("--person", str(desk.folder / "name") if is_file else "-", name=f"{PERSON}\n")

    assert shown.exit_code == 0, shown.output
    assert desk.register.asked[0][0].person_name == PERSON
    assert PERSON not in shown.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--purpose", "fun"), "PRE_LOAN"),
        (("--category", "DNA"), "TAX_PAYMENT"),
        (("--channel", "PIGEON"), "PAPER_SCAN"),
        (("--signed", "yesterday"), "--signed"),
        (("--person", "-"), "one line"),
        (("--person", "/no/such/file"), "No such file"),
        (("--person", "/"), "Is a directory"),
    ],
)
def test_a_wrong_option_ends_with_2_and_asks_nobody(desk: Desk, options: tuple[str, ...], said: str) -> None:
    shown = desk.run(*options, name="")

    assert shown.exit_code == 2
    assert said in shown.output
    assert desk.register.asked == []
