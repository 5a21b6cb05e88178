"""Certificate × token × owner × method for what is kept of a bank and found by a name: answers, batches, watches, trails.

Two banks, each with one who queries and one who audits, ask for each other's archived views (a sealed one too), go on with
each other's watches of joint lists, state each other's correlation ids in batches, and read the trail from each other's
positions and about each other's enterprises. Whatever is refused is compared as the bytes that the client was sent: of a
thing that is another bank's, of one that is sealed, of one that never was, they are the same. What is answered is answered
of the bank's own alone, and as much of it as if the others were not there.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2
from google.type.date_pb2 import Date
from grpc_status import rpc_status

from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2 as archive_pb
from gateway._pb.xinyidai.gateway.v1 import (
    archive_service_pb2_grpc,
    audit_service_pb2_grpc,
    credit_service_pb2,
    credit_service_pb2_grpc,
    joint_list_service_pb2_grpc,
)
from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2 as audit_pb
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as lists_pb
from gateway.adapters.identity.kinds import Kind
from tests.domain.joint_entries import DEMO
from tests.e2e.certified import BANKS, House, open_house
from tests.e2e.tenants import batched
from tests.e2e.test_mix_ups import MISMATCH, TOKENS, tokens_of, turned_away
from tests.faults.callers_fixtures import new_uscc, query

AUDITORS = tuple(f"{bank}-auditor" for bank in BANKS)
CERTIFICATES = (*BANKS, *AUDITORS, "ops", "stranger", "none")
OWNERS = (*BANKS, "sealed", "nobody")
"""Whose the named thing is; of bank-a's two archived views one is sealed, elsewhere "sealed" is one more that never was."""
METHODS = ("GetArchivedView", "BatchGetCreditViews", "WatchEntries", "ExportAfter", "ExportAbout")
MAY = {
    **dict.fromkeys(BANKS, ("GetArchivedView", "BatchGetCreditViews", "WatchEntries")),
    **dict.fromkeys(AUDITORS, ("GetArchivedView", "ExportAfter", "ExportAbout")),
    "ops": ("WatchEntries",),
}
MISSING = {
    "GetArchivedView": ("NOT_FOUND", "ANSWER_NOT_FOUND"),
    "WatchEntries": ("INVALID_ARGUMENT", "RESUME_TOKEN_REFUSED"),
}
DENIED = ("PERMISSION_DENIED", "POLICY_DENIED")
Combination = tuple[str, str, str, str]
COMBINATIONS = tuple(itertools.product(CERTIFICATES, TOKENS, OWNERS, METHODS))
SAMPLE = 13
"""One in so many of the others is tried in `make test`: prime to the numbers of kinds, so that every kind occurs."""


class Told(NamedTuple):
    """What a client was told: code and reason, the bytes it was told them by, and of an answer what it is about."""

    said: tuple[str, ...]
    raw: bytes = b""
    answers: tuple[str, ...] = ()


def bank_of(certificate: str) -> str:
    return certificate.removesuffix("-auditor")


def owed(certificate: str, token: str, owner: str, method: str) -> tuple[str, ...]:
    """Gives what a combination must be told: of a refusal nothing depends on whose the thing is."""
    if certificate in ("none", "stranger"):
        return (turned_away(certificate, token) or ())[:2]
    if token == "expired" and bank_of(certificate) == "bank-a":
        return ("UNAUTHENTICATED", "TOKEN_EXPIRED")
    if token != "none" and (certificate, token) != ("bank-a", "bank-a"):
        return MISMATCH[:2]  # only bank-a has an issuer, and its tokens are bound to the one certificate
    if method not in MAY[certificate]:
        return DENIED
    is_own = owner == bank_of(certificate) or (owner == "sealed" and certificate == "bank-a-auditor")
    return ("OK",) if is_own or method not in MISSING else MISSING[method]


class Keeper:
    """Has each bank answered and told of things of its own, and asks for them mixed up."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._tokens = tokens_of(house)
        self._channels = {name: house.channel(name) for name in CERTIFICATES}
        self._uscc = {owner: new_uscc() for owner in OWNERS}
        self._answers: dict[str, str] = {}
        self._positions: dict[str, str] = {}
        self._resume: dict[str, str] = {}
        self._own: dict[str, set[str]] = {bank: set() for bank in BANKS}

    async def seed(self) -> None:
        """Has each bank answered, watch, and read its trail; one answer of bank-a's is sealed."""
        for owner, bank in (("bank-a", "bank-a"), ("sealed", "bank-a"), ("bank-b", "bank-b")):
            asked = credit_service_pb2.GetCreditViewRequest(query=query(self._uscc[owner]))
            stub: Any = credit_service_pb2_grpc.CreditServiceStub(self._channels[bank])
            self._answers[owner] = (await stub.GetCreditView(asked)).delivery.answer_id
            self._own[bank].add(self._answers[owner])
        self._answers["nobody"] = self._answers["bank-a"][:-4] + "0000"
        archive: Any = archive_service_pb2_grpc.ArchiveServiceStub(self._channels["ops"])
        sealing = archive_pb.SealViewsRequest(uscc=self._uscc["sealed"], reason=archive_pb.SEAL_REASON_REPAIR)
        assert (await archive.SealViews(sealing)).view_count == 1
        await self._publish()
        for bank in BANKS:
            lists: Any = joint_list_service_pb2_grpc.JointListServiceStub(self._channels[bank])
            seen = [one async for one in lists.WatchEntries(lists_pb.WatchEntriesRequest(ends_when_told=True))]
            self._resume[bank] = seen[-1].resume_token
            trails: Any = audit_service_pb2_grpc.AuditServiceStub(self._channels[f"{bank}-auditor"])
            read = [one async for one in trails.ExportEntries(audit_pb.ExportEntriesRequest())]
            positions = [record.position for response in read for record in response.entries]
            self._positions[bank] = positions[0]  # its first answer's
        self._resume |= {"nobody": self._resume["bank-a"][:-4] + "AAAA", "sealed": "no token"}
        trail = self._positions["bank-a"].rpartition(":")[0]
        self._positions |= {"nobody": f"{trail}:{10**9}", "sealed": f"{trail}:0"}
        assert len(set(self._resume.values())) == len(OWNERS)

    async def _publish(self) -> None:
        stub: Any = joint_list_service_pb2_grpc.JointListServiceStub(self._channels["ops"])
        proposal = lists_pb.PublishEntryRequest(
            list_code="YRD_ENV",
            uscc=DEMO,
            province="33",
            list_year=2018,
            listed_on=Date(year=2018, month=5, day=2),
            content=lists_pb.EntryContent(subject_name="示例化工有限公司", document_number="1", reason="超标排放"),
            operator="first",
        )
        entry = (await stub.PublishEntry(proposal)).entry
        await stub.ConfirmEntry(
            lists_pb.ConfirmEntryRequest(entry_id=entry.entry_id, expected_version=entry.version, operator="second")
        )

    async def ask(self, combination: Combination) -> Told:
        """Makes one call."""
        certificate, token, owner, method = combination
        metadata = (("authorization", f"Bearer {self._tokens[token]}"),) if token != "none" else ()
        try:
            answers = await getattr(self, f"_{method}")(self._channels[certificate], owner, metadata)
        except grpc.aio.AioRpcError as error:
            return refused(error)
        return Told(("OK",), answers=tuple(answers))

    async def _GetArchivedView(self, channel: grpc.aio.Channel, owner: str, metadata: Any) -> list[str]:
        stub: Any = archive_service_pb2_grpc.ArchiveServiceStub(channel)
        request = archive_pb.GetArchivedViewRequest(answer_id=self._answers[owner])
        found = await stub.GetArchivedView(request, metadata=metadata)
        return [found.evidence.leaf.bank, found.evidence.leaf.answer_id]

    async def _BatchGetCreditViews(self, channel: grpc.aio.Channel, owner: str, metadata: Any) -> list[str]:
        # Under one correlation id all askers have a batch with the same item; each hears of its own answer alone.
        # A bank's user is part of the question: with and without a token it has ids of its own.
        request_id = f"item of {owner}, {'user' if metadata else 'bank'}"
        item = credit_service_pb2.BatchGetCreditViewsRequest(
            correlation_id=f"batch of {owner}", query=query(self._uscc[owner], request_id=request_id)
        )
        return [
            text
            for one in await batched(channel, item, metadata=metadata)
            for text in (one.correlation_id, one.view.delivery.evidence.leaf.bank, one.view.delivery.answer_id)
        ]

    async def _WatchEntries(self, channel: grpc.aio.Channel, owner: str, metadata: Any) -> list[str]:
        stub: Any = joint_list_service_pb2_grpc.JointListServiceStub(channel)
        request = lists_pb.WatchEntriesRequest(resume_token=self._resume[owner], ends_when_told=True)
        return [one.entry.entry_id async for one in stub.WatchEntries(request, metadata=metadata)]

    async def _ExportAfter(self, channel: grpc.aio.Channel, owner: str, metadata: Any) -> list[str]:
        request = audit_pb.ExportEntriesRequest(after_position=self._positions[owner])
        return await self._export(channel, request, metadata)

    async def _ExportAbout(self, channel: grpc.aio.Channel, owner: str, metadata: Any) -> list[str]:
        return await self._export(channel, audit_pb.ExportEntriesRequest(uscc=self._uscc[owner]), metadata)

    async def _export(self, channel: grpc.aio.Channel, request: Any, metadata: Any) -> list[str]:
        stub: Any = audit_service_pb2_grpc.AuditServiceStub(channel)
        read = [one async for one in stub.ExportEntries(request, metadata=metadata)]
        return [record.answer_id for response in read for record in response.entries if record.event == "answered"]

    def wrong_answer(self, combination: Combination, told: Told) -> str:
        """Gives what an answer has that it must not, or lacks; nothing where it is right."""
        certificate, _, owner, method = combination
        bank, answers = bank_of(certificate), told.answers
        own = self._own.get(bank, set())
        if method == "GetArchivedView":
            right = answers == (bank, self._answers[owner])
        elif method == "BatchGetCreditViews":
            right = answers[:2] == (f"batch of {owner}", bank) and len(answers) == 3
            right = right and not any(answers[2] in others for name, others in self._own.items() if name != bank)
            own.add(answers[2])
        elif method == "WatchEntries":
            right = answers == ()  # nothing has changed since
        elif method == "ExportAfter":
            # By the number alone: another bank's position is a number like any other.
            first = [self._answers[name] for name in ("bank-a", "sealed", "bank-b")]
            before = {"sealed": [], "bank-a": first[:1], "bank-b": first, "nobody": own}
            right = set(answers) == own.difference(before[owner])
        else:
            right = set(answers) <= own and (self._answers[owner] in answers) == (self._answers[owner] in own)
        return "" if right else f"{method} gave {answers}"

    async def aclose(self) -> None:
        """Closes the connections."""
        for channel in self._channels.values():
            await channel.close()


def refused(error: grpc.aio.AioRpcError) -> Told:
    """Gives a refusal with the bytes it came in: all but the trace id, which is each call's own."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return Told((error.code().name,))  # the handshake fails, in words of the client's own library
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what a call has
    assert status is not None, error
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    info.metadata.pop("trace_id", None)
    status.details[0].Pack(info)
    keys = [key for metadata in (error.initial_metadata(), error.trailing_metadata()) for key, _ in metadata]
    raw = status.SerializeToString(deterministic=True) + repr((error.details(), keys)).encode()
    return Told((error.code().name, info.reason), raw)


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    async with open_house(tmp_path, is_archiving=True) as house:
        for bank in BANKS:
            house.authority.issue(Kind.AUDITOR, bank)
        made = Keeper(house)
        try:
            await made.seed()
            yield made
        finally:
            await made.aclose()


async def wrong(keeper: Keeper, combinations: Sequence[Combination]) -> dict[Combination, str]:
    """Gives what went wrong, by combination."""
    found: dict[Combination, str] = {}
    words: dict[tuple[str, str, str], bytes] = {}
    for combination in combinations:
        certificate, token, _, method = combination
        told = await keeper.ask(combination)
        expected = owed(*combination)
        if told.said != expected:
            found[combination] = f"{told.said}, not {expected}"
        elif told.said == ("OK",):
            if fault := keeper.wrong_answer(combination, told):
                found[combination] = fault
        elif words.setdefault((certificate, token, method), told.raw) != told.raw:
            found[combination] = f"other bytes: {told.raw!r}, not {words[certificate, token, method]!r}"
    return found


def sample() -> list[Combination]:
    """Gives the combinations of `make test`: all that are let in by certificate alone, and one in so many of the others."""
    plain = [c for c in COMBINATIONS if c[1] == "none" and c[3] in MAY.get(c[0], ())]
    rest = [c for c in COMBINATIONS if c not in plain]
    return [*plain, *rest[::SAMPLE]]


def test_the_sample_has_every_kind_of_every_part() -> None:
    assert [len({c[place] for c in sample()}) for place in range(4)] == [
        len(kinds) for kinds in (CERTIFICATES, TOKENS, OWNERS, METHODS)
    ]


async def test_A2_of_mix_ups_in_what_is_kept_only_a_banks_own_is_given(keeper: Keeper) -> None:
    assert await wrong(keeper, sample()) == {}


@pytest.mark.long
async def test_A2_of_all_mix_ups_in_what_is_kept_only_a_banks_own_is_given(keeper: Keeper) -> None:
    assert await wrong(keeper, COMBINATIONS) == {}
