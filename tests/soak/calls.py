"""The calls of a soak as a bank's system makes them, each checked as it ends: how it may end, when, and what it says."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import grpc

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2 as archive_pb
from gateway._pb.xinyidai.gateway.v1 import archive_service_pb2_grpc, consent_service_pb2_grpc, credit_service_pb2_grpc
from gateway._pb.xinyidai.gateway.v1 import consent_service_pb2 as consent_pb
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.adapters.rpc.evidence import delivered_of
from gateway.cli.public_keys import read_keys
from gateway.cli.verify import is_signed
from gateway.domain.proof import check
from tests.soak.held import ENDINGS, of_answers, of_names, of_unconsented, of_view, of_withheld
from tests.soak.house import House
from tests.soak.machine import Machine
from tests.soak.record import Call, Record
from tests.soak.truth import Ask, Calm, knowing, message

GRACE_S: Final = 1.0
"""How long after its deadline a call may still be heard to have ended: the machine is shared."""
_KEPT: Final = 200
_STATUS: Final[Mapping[int, grpc.StatusCode]] = {status.value[0]: status for status in grpc.StatusCode}
_VIEW: Final = "/xinyidai.gateway.v1.CreditService/GetCreditView"

Work = Callable[[Call], Awaitable[None]]


class Calls:
    """Makes calls at a house; `calm` is what each question showed when calm, `consents` each enterprise's consent."""

    def __init__(self, house: House, record: Record, machine: Machine, random: Random) -> None:
        self.house = house
        self.record = record
        self.machine = machine
        self.random = random
        self.calm: dict[tuple[str, str], Calm] = {}
        self.consents: dict[str, str] = {}
        self.archived: deque[tuple[str, bytes]] = deque(maxlen=_KEPT)
        self._keys = read_keys(house.trail_folder / "evidence-keys.json") if house.has_identity else ()
        self._number = 0

    def channel(self) -> grpc.aio.Channel:
        """Gives one of the house's connections."""
        return self.random.choice(list(self.house.channels))

    def question(self, uscc: str, ask: Ask, **more: Any) -> pb.CreditQuery:
        """Gives a question under the enterprise's consent, where there is one."""
        consent = self.consents.get(uscc)
        return message(uscc, ask, (consent,) if consent is not None else (), **more)

    async def made(self, kind: str, text: str, deadline_s: float, work: Work) -> grpc.StatusCode | None:
        """Makes a call and checks how and when it ended; None where it had not."""
        self._number += 1
        call = Call(self._number, kind, text, deadline_s, f"{self.record.seed:016x}{self._number:016x}")
        self.record.begin(call)
        status, details = grpc.StatusCode.OK, ""
        try:
            async with asyncio.timeout(deadline_s + GRACE_S):
                await work(call)
        except TimeoutError:
            self.record.breach("has not ended", call)
            self.record.end(call, "not ended")
            return None
        except grpc.aio.AioRpcError as error:
            status, details = error.code(), error.details() or ""
        except _EndedError as ended:
            status = ended.status
        self.ends(call, status, details)
        return status

    def ends(self, call: Call, status: grpc.StatusCode, details: str = "") -> None:
        """Notes how a call ended, or an item of one."""
        is_excused = status is grpc.StatusCode.DEADLINE_EXCEEDED and self.machine.was_busy()
        if status not in ENDINGS[call.kind] and not is_excused:
            took_s = time.monotonic() - call.began
            self.record.breach(f"ended {status.name} after {took_s:.3f} s: {details}", call)
        self.record.end(call, status.name)

    def check(self, call: Call, faults: Sequence[str]) -> None:
        """Notes what does not hold of an answer."""
        for fault in faults:
            self.record.breach(fault, call)

    def check_unknown(self, call: Call, uscc: str, ask: Ask, status: int) -> None:
        """Notes an enterprise that is said to be unknown though some asked platform knows it."""
        if status == grpc.StatusCode.NOT_FOUND.value[0] and knowing(uscc, ask):
            self.record.breach(f"is said to be unknown; {sorted(knowing(uscc, ask))} know it", call)

    async def view_of(self, call: Call, query: pb.CreditQuery, ask: Ask, channel: grpc.aio.Channel) -> bytes:
        """Asks for a view and checks it; gives the answer's bytes."""
        sent = pb.GetCreditViewRequest(query=query).SerializeToString(deterministic=True)
        try:
            ask_in_bytes: Any = channel.unary_unary(_VIEW)
            raw: bytes = await ask_in_bytes(sent, timeout=call.deadline_s, metadata=call.metadata)
        except grpc.aio.AioRpcError as error:
            self.check_unknown(call, query.uscc, ask, error.code().value[0])
            raise
        self.check_answer(call, raw, query, ask)
        return raw

    def check_answer(self, call: Call, raw: bytes, query: pb.CreditQuery, ask: Ask) -> None:
        """Checks an answer as it came: what it says, what it must not say, and what it proves."""
        response = pb.GetCreditViewResponse.FromString(raw)
        delivery = response.delivery
        self.record.answered.add(delivery.answer_id)
        if delivery.is_repeated:
            self.record.repeated[delivery.answer_id] += 1
        calm = self.calm.get((query.uscc, ask.name))
        if calm is None:  # it is being looked at for the first time, or nobody knows the enterprise
            calm = Calm() if not knowing(query.uscc, ask) else Calm.of(response.view)
        faults = of_view(response.view, calm)
        if [(a.platform, a.outcome) for a in delivery.answers] != [
            (a.platform, a.outcome) for a in response.view.answers
        ]:
            faults.append("delivery and view tell different outcomes")
        if self.house.has_identity:
            faults += of_names(raw, query.uscc)
            faults += of_unconsented(response.view.answers, response.view.records)
            faults += self._of_receipt(raw, query)
        self.check(call, faults)

    def _of_receipt(self, raw: bytes, query: pb.CreditQuery) -> list[str]:
        """Gives what an answer does not prove; keeps the view's bytes, to get them back from the archive."""
        try:
            delivered = delivered_of(raw)
        except ValueError as error:
            return [str(error)]
        asked = query.SerializeToString(deterministic=True)
        checked = check(delivered, lambda root: is_signed(root, self._keys), questions=(asked,))
        self.archived.append((delivered.answer_id, delivered.view))
        return [] if checked.failed is None else [f"the receipt does not hold: {checked.failed}"]

    def check_landed(self, call: Call, landed: pb.AnswerLanded, query: pb.CreditQuery, ask: Ask) -> None:
        """Checks one step of a stream."""
        calm = self.calm.get((query.uscc, ask.name), Calm())
        faults = of_answers([landed.answer], calm) + of_view(landed.view_so_far, calm, is_final=False)
        faults += of_withheld(landed.view_so_far.permit, landed.answer.records)
        if self.house.has_identity:
            faults += of_names(landed.SerializeToString(), query.uscc)
            faults += of_unconsented([landed.answer], landed.answer.records)
            faults += of_unconsented(landed.view_so_far.answers, landed.view_so_far.records)
        self.check(call, faults)

    def check_step(self, call: Call, step: pb.StreamCreditViewResponse, query: pb.CreditQuery, ask: Ask) -> None:
        """Checks one message of a stream."""
        if step.HasField("final"):
            self.check_answer(call, step.final.SerializeToString(deterministic=True), query, ask)
        else:
            self.check_landed(call, step.answer_landed, query, ask)

    def check_item(self, call: Call, response: pb.BatchGetCreditViewsResponse, query: pb.CreditQuery, ask: Ask) -> None:
        """Checks one item of a batch."""
        item = self._item("batch item", call, query.uscc)
        if response.HasField("view"):
            self.check_answer(item, response.view.SerializeToString(deterministic=True), query, ask)
            self.ends(item, grpc.StatusCode.OK)
        else:
            self.check_unknown(item, query.uscc, ask, response.error.code)
            self.ends(item, _STATUS[response.error.code], response.error.message)

    def check_item_wrong(self, call: Call, response: pb.BatchGetCreditViewsResponse) -> None:
        """Checks one item of a batch that was wrong, or whose id was used before."""
        item = self._item("batch item wrong", call, response.correlation_id)
        self.ends(item, _STATUS[response.error.code], response.error.message)

    def _item(self, kind: str, call: Call, text: str) -> Call:
        return Call(call.number, kind, text, call.deadline_s, call.trace, call.began)

    def stub(self, channel: grpc.aio.Channel) -> Any:
        """Gives a client of the credit service."""
        return credit_service_pb2_grpc.CreditServiceStub(channel)

    async def register(self, uscc: str, categories: Sequence[int], deadline_s: float = 5.0) -> str:
        """Registers a consent about an enterprise and gives its id."""
        now = datetime.now(UTC)
        terms = consent_pb.ConsentTerms(
            uscc=uscc,
            purposes=[PURPOSE_PRE_LOAN],
            categories=categories,  # type: ignore[arg-type]  # enums are ints at run time
            channel=consent_pb.CONSENT_CHANNEL_PAPER_SCAN,
            document_digest=bytes(32),
        )
        terms.valid_from.FromDatetime(now - timedelta(days=1))
        terms.valid_to.FromDatetime(now + timedelta(days=1))
        registered: list[str] = []

        async def work(call: Call) -> None:
            stub: Any = consent_service_pb2_grpc.ConsentServiceStub(self.channel())
            response = await stub.RegisterConsent(
                consent_pb.RegisterConsentRequest(terms=terms), timeout=call.deadline_s, metadata=call.metadata
            )
            registered.append(response.consent.consent_id)

        await self.made("consent registered", uscc, deadline_s, work)
        return registered[0] if registered else ""

    async def revoke(self, consent_id: str, deadline_s: float = 5.0) -> bool:
        """Revokes a consent; says whether it is known to be revoked."""

        async def work(call: Call) -> None:
            stub: Any = consent_service_pb2_grpc.ConsentServiceStub(self.channel())
            request = consent_pb.RevokeConsentRequest(consent_id=consent_id, reason="soak")
            await stub.RevokeConsent(request, timeout=call.deadline_s, metadata=call.metadata)

        return await self.made("consent revoked", consent_id, deadline_s, work) is grpc.StatusCode.OK

    async def archived_view(self, answer_id: str, view: bytes | None, deadline_s: float = 5.0) -> None:
        """Gets back an answer, of which the view's bytes are known; None for an id that nobody was given."""

        async def work(call: Call) -> None:
            stub: Any = archive_service_pb2_grpc.ArchiveServiceStub(self.channel())
            request = archive_pb.GetArchivedViewRequest(answer_id=answer_id)
            copy = await stub.GetArchivedView(request, timeout=call.deadline_s, metadata=call.metadata)
            if copy.view != view:
                self.record.breach("the copy is not what was answered", call)

        await self.made("archived" if view is not None else "archived, unknown", answer_id, deadline_s, work)


class _EndedError(Exception):
    """A call ended with a status that gRPC raises otherwise, as a cancelled one does."""

    def __init__(self, status: grpc.StatusCode) -> None:
        super().__init__(status.name)
        self.status = status


async def ending_of(call: Any) -> None:
    """Waits until a call that was cancelled has ended, and raises how, unless it was answered all the same."""
    status = await call.code()
    if status is not grpc.StatusCode.OK:
        raise _EndedError(status)
