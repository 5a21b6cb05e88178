"""What verification proves of a response, and at which step it fails when one part was changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import CreditView
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.crypto.verify import PublicKey, write_public_keys
from gateway.adapters.rpc.evidence import delivered_of, evidence_bytes, questions_of
from gateway.cli.public_keys import read_keys
from gateway.cli.verify import app, is_signed
from gateway.domain.evidence import Receipt
from gateway.domain.proof import Step, check
from tests.adapters.evidence import leaf_of, receipts
from tests.domain.trails import KEY, PUBLIC

VIEW = CreditView(view_id="v-1", home_province="31")
QUESTION = pb.CreditQuery(uscc="91310115MA0TERT167")
KEYS = [PublicKey("test-1", "ED25519", PUBLIC)]


def response(change: Callable[[Receipt], Receipt] = lambda receipt: receipt, *, of: int = 5) -> bytes:
    """Gives a response whose leaf is in the middle of a commit."""
    leaves = [leaf_of(b"another's", answer_id=f"b-{number}") for number in range(of)]
    leaves[of // 2] = leaf_of(VIEW.SerializeToString(), request=QUESTION.SerializeToString())
    message = pb.GetCreditViewResponse(view=VIEW)
    message.delivery.answer_id = "a-1"
    message.delivery.evidence.MergeFromString(evidence_bytes(change(receipts(*leaves)[of // 2])))
    return message.SerializeToString()


def failed(raw: bytes, question: bytes = b"") -> Step | None:
    questions = questions_of(question) if question else ()
    return check(delivered_of(raw), lambda root: is_signed(root, KEYS), questions=questions).failed


@pytest.mark.parametrize("of", [1, 2, 3, 8, 13])
def test_an_answer_in_a_commit_of_any_size_is_proved(of: int) -> None:
    assert failed(response(of=of)) is None


def test_the_question_is_proved_in_either_form() -> None:
    request = pb.GetCreditViewRequest(query=QUESTION)

    assert failed(response(), QUESTION.SerializeToString()) is None
    assert failed(response(), request.SerializeToString()) is None
    assert failed(response(), pb.CreditQuery(uscc="91310115MAC0DEM080").SerializeToString()) is Step.REQUEST


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (lambda r: r._replace(leaf=r.leaf._replace(answer_id="a-2")), Step.ANSWER),
        (lambda r: r._replace(leaf=r.leaf._replace(view_id="v-2")), Step.ANSWER),
        (lambda r: r._replace(leaf=r.leaf._replace(view_digest=bytes(32))), Step.VIEW),
        (lambda r: r._replace(leaf=r.leaf._replace(bank="bank-b")), Step.INCLUSION),
        (lambda r: r._replace(leaf=r.leaf._replace(at="2026-11-24T04:00:00.001+00:00")), Step.INCLUSION),
        (lambda r: r._replace(position=r.position + 1), Step.INCLUSION),
        (lambda r: r._replace(path=r.path[:-1]), Step.INCLUSION),
        (lambda r: r._replace(root=r.root._replace(leaf_count=r.root.leaf_count + 4)), Step.INCLUSION),
        (lambda r: r._replace(root=r.root._replace(digest="MD5")), Step.DIGEST),
        (lambda r: r._replace(root=r.root._replace(sequence=8)), Step.SIGNATURE),
        (lambda r: r._replace(root=r.root._replace(signed_at="2020-01-01T00:00:00.000+00:00")), Step.SIGNATURE),
        (lambda r: r._replace(root=r.root._replace(key_id="other")), Step.SIGNATURE),
        (lambda r: r._replace(root=r.root._replace(algorithm="SM2-SM3")), Step.SIGNATURE),
        (lambda r: r._replace(root=r.root._replace(signature=bytes(64))), Step.SIGNATURE),
    ],
)
def test_whatever_is_changed_the_step_that_fails_is_named(change: Callable[[Receipt], Receipt], step: Step) -> None:
    assert failed(response(change)) is step


def test_a_question_proves_itself_however_a_library_wrote_it() -> None:
    code = b"\x0a\x12" + QUESTION.uscc.encode()
    asked = QUESTION.SerializeToString()

    assert [failed(response(), question) for question in (asked, b"\x0a\x14" + asked, b"\x10\x00" + code)] == [None] * 3
    assert failed(response(), b"\x10\x01" + code) is Step.REQUEST


def test_a_second_view_that_a_library_would_merge_in_is_refused() -> None:
    added = pb.GetCreditViewResponse(view=CreditView(home_province="32")).SerializeToString()

    with pytest.raises(ValueError, match="more than one view"):
        delivered_of(response() + added)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff" * 20, b"\x0a\x05ab", pb.GetCreditViewResponse(view=VIEW).SerializeToString()]
)
def test_what_is_no_response_with_evidence_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"the file is no|carries no evidence"):
        delivered_of(raw)


def test_keys_are_read_in_each_form(tmp_path: Path) -> None:
    forms = {
        "keys.json": b'{"keys": [{"key_id": "test-1", "algorithm": "ED25519", "public_key": "%b"}]}'
        % PUBLIC.hex().encode(),
        "key.pem": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "key.hex": PUBLIC.hex().encode() + b"\n",
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)

        assert check(delivered_of(response()), partial(is_signed, keys=read_keys(tmp_path / name))).failed is None


def test_the_command_tells_a_key_that_is_missing_from_a_signature_that_is_wrong(tmp_path: Path) -> None:
    answer, ours, theirs = tmp_path / "view.bin", tmp_path / "ours.json", tmp_path / "theirs.json"
    answer.write_bytes(response())
    write_public_keys(ours, KEYS)
    write_public_keys(theirs, [PublicKey("test-2", "ED25519", PUBLIC)])

    proved = CliRunner().invoke(app, [str(answer), "--public-key", str(ours)])
    unknown = CliRunner().invoke(app, [str(answer), "--public-key", str(theirs)])
    answer.write_bytes(response()[:-9])
    altered = CliRunner().invoke(app, [str(answer), "--public-key", str(ours)])
    ours.write_text('{"keys": 7}')
    answer.write_bytes(response())
    no_keys = CliRunner().invoke(app, [str(answer), "--public-key", str(ours)])

    assert [each.exit_code for each in (proved, unknown, altered, no_keys)] == [0, 1, 2, 2]
    assert "theirs.json holds no key of that name" in unknown.output
    assert "holds no key" not in proved.output
    assert "it was altered, or was not written by query --output" in altered.output
    assert "ours.json: is no file of public keys" in no_keys.output
