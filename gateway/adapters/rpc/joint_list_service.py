"""JointListService over gRPC: who is on which list, for banks; and how that changes, by operators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from typing import Any, Final

from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import joint_list_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.deciding import decider, reader
from gateway.adapters.rpc.hear_out import hear_out
from gateway.adapters.rpc.joint_list_messages import (
    after_of,
    content_of,
    day_of,
    entry_message,
    entry_of,
    list_message,
    page_token,
)
from gateway.adapters.rpc.requests import check_annotations
from gateway.adapters.rpc.turns import Turns, pieces
from gateway.application.deciding import By
from gateway.application.joint_lists import Decide, JointLists
from gateway.application.list_watch import ListWatch
from gateway.domain import joint_list_life as life
from gateway.domain.dates import china_date
from gateway.domain.errors import GatewayError, InvalidRequestError
from gateway.domain.identifiers import Uscc
from gateway.domain.joint_lists import JointEntry
from gateway.domain.list_index import ListIndex
from gateway.domain.list_reading import ListReading, readings_of
from gateway.domain.list_statistics import statistics
from gateway.domain.publication import PublicationTable
from gateway.domain.repair import require_repairable, stay_ends
from gateway.domain.supervision import SupervisionClass
from gateway.ports import Clock

_PAGE: Final = 50
_MOST_FILE_BYTES: Final = 256 * 1024 * 1024
_MOST_YEARS: Final = 100
_MOST_POPULATION: Final = 500_000
_CLASS: Final = "SUPERVISION_CLASS_"


class JointListService(joint_list_service_pb2_grpc.JointListServiceServicer):
    """Serves joint lists."""

    def __init__(
        self, lists: JointLists, watch: ListWatch, publication: PublicationTable, clock: Clock, callers: RpcCallers
    ) -> None:
        """Takes the dated rules of publication, by which a repair may come too early."""
        self._lists = lists
        self._publication = publication
        self._watch = watch
        self._clock = clock
        self._callers = callers
        self._turns = Turns()

    def end_watches(self) -> None:
        """Ends the streams that would go on for ever."""
        self._watch.close()

    async def ListJointLists(  # noqa: N802  # named by the proto
        self, request: pb.ListJointListsRequest, context: Context
    ) -> pb.ListJointListsResponse:
        """Lists the lists."""
        try:
            check_annotations(request)
            return pb.ListJointListsResponse(
                lists=[list_message(self._lists.lists[code]) for code in sorted(self._lists.lists)]
            )
        except Exception as error:
            await abort(context, error)

    async def GetEntries(self, request: pb.GetEntriesRequest, context: Context) -> pb.GetEntriesResponse:  # noqa: N802
        """Gets an enterprise's entries."""
        try:
            caller = reader(request, await self._callers.of(context))
            check_annotations(request)
            uscc = Uscc.parse(request.uscc).value
            found = await self._lists.of_enterprise(uscc, request.person_ref, request.consent_id, caller)
            return pb.GetEntriesResponse(entries=[self._message(entry, caller.bank) for entry in found])
        except Exception as error:
            await abort(context, error)

    async def SearchEntries(self, request: pb.SearchEntriesRequest, context: Context) -> pb.SearchEntriesResponse:  # noqa: N802
        """Searches entries page by page."""
        try:
            caller = reader(request, await self._callers.of(context))
            check_annotations(request)
            codes = self._lists.chosen(request.joint_field, request.list_codes)
            year = request.list_year if request.HasField("list_year") else None
            asked = (sorted(codes), request.province, year)
            found, after = await self._lists.search(
                codes, request.province, year, caller, after=after_of(request.page_token, asked),
                limit=request.page_size or _PAGE,
            )  # fmt: skip
            return pb.SearchEntriesResponse(
                entries=[self._message(entry, caller.bank) for entry in found],
                next_page_token=page_token(after, asked) if after else "",
            )
        except Exception as error:
            await abort(context, error)

    async def WatchEntries(  # noqa: N802
        self, request: pb.WatchEntriesRequest, context: Context
    ) -> AsyncIterator[pb.WatchEntriesResponse]:
        """Streams what stands and what changes."""
        try:
            caller = reader(request, await self._callers.of(context))
            check_annotations(request)
            self._lists.require_known(request.list_codes, "list_codes")
            method = "JointListService/WatchEntries"
            await self._lists.read(caller, method)
            watch = self._watch.watch(
                caller.bank, tuple(request.list_codes), request.resume_token, ends_when_told=request.ends_when_told
            )
            async with aclosing(watch) as seen:
                async for some in seen:
                    await self._lists.read(caller, method, readings_of([one.entry.uscc for one in some]))
                    for one in some:
                        if one.is_removed:
                            entry = pb.JointEntry(entry_id=one.entry.entry_id)
                            change = pb.ENTRY_CHANGE_REMOVED
                        else:
                            entry, change = self._message(one.entry, caller.bank), pb.ENTRY_CHANGE_SHOWN
                        yield pb.WatchEntriesResponse(change=change, entry=entry, resume_token=one.resume_token)
        except Exception as error:
            await abort(context, error)

    async def ScreenEnterprises(  # noqa: N802
        self, requests: AsyncIterator[pb.ScreenEnterprisesRequest], context: Context
    ) -> AsyncIterator[pb.ScreenEnterprisesResponse]:
        """Screens codes, message by message."""
        try:
            caller = who = await self._callers.of(context)
            async for request in requests:
                async with self._turns.turn(caller.bank):
                    check_annotations(request)
                    who = reader(request, caller) if request.operator else who
                    response, read = await self._screened(request)
                await self._lists.read(who, "JointListService/ScreenEnterprises", read)
                yield response
        except Exception as error:
            await hear_out(requests, in_talk=True)
            await abort(context, error)

    async def GetListStatistics(  # noqa: N802
        self, request: pb.GetListStatisticsRequest, context: Context
    ) -> pb.GetListStatisticsResponse:
        """Counts with coverage."""
        try:
            check_annotations(request)
            codes = self._lists.chosen(request.joint_field, request.list_codes)
            if request.from_year and request.to_year and not 0 <= request.to_year - request.from_year < _MOST_YEARS:
                raise InvalidRequestError("to_year", f"must not be before from_year, nor {_MOST_YEARS} years after it")
            index = await self._watch.index()
            cells, years = statistics(
                index.counts, await self._watch.provisions(), codes, from_year=request.from_year,
                to_year=request.to_year,
            )  # fmt: skip
            return pb.GetListStatisticsResponse(
                cells=[
                    pb.ListCell(
                        list_code=cell.list_code,
                        province=cell.province,
                        list_year=cell.list_year,
                        coverage=pb.ListCoverage.Value(f"LIST_COVERAGE_{cell.coverage}"),
                        entry_count=cell.entry_count,
                    )
                    for cell in cells
                ],
                years=[pb.ListYear(**year._asdict()) for year in years],
            )
        except Exception as error:
            await abort(context, error)

    async def PublishEntry(self, request: pb.PublishEntryRequest, context: Context) -> pb.PublishEntryResponse:  # noqa: N802
        """Proposes an entry."""
        try:
            by = await decider(request, context, self._callers)
            entry = entry_of(request, self._clock.now())
            self._lists.require_known((entry.list_code,), "list_code")
            if entry.due_off is None:
                ends = stay_ends(self._lists.lists[entry.list_code], entry.listed_on)
                entry = replace(entry, due_off=ends)
            return pb.PublishEntryResponse(entry=self._message(await self._lists.propose(entry, by)))
        except Exception as error:
            await abort(context, error)

    async def ConfirmEntry(self, request: pb.ConfirmEntryRequest, context: Context) -> pb.ConfirmEntryResponse:  # noqa: N802
        """Confirms or declines what was proposed."""
        try:
            by = await decider(request, context, self._callers)
            act = life.decline if request.is_declined else life.confirm
            entry = await self._decide(request, by, lambda entry, at, today: act(entry, by.operator, at, today))
            return pb.ConfirmEntryResponse(entry=entry)
        except Exception as error:
            await abort(context, error)

    async def AmendEntry(self, request: pb.AmendEntryRequest, context: Context) -> pb.AmendEntryResponse:  # noqa: N802
        """Proposes an amendment."""
        try:
            by = await decider(request, context, self._callers)
            content = content_of(request.content)
            entry = await self._decide(
                request,
                by,
                lambda entry, at, today: life.amend(entry, content, request.because, by.operator, at, today),
            )
            return pb.AmendEntryResponse(entry=entry)
        except Exception as error:
            await abort(context, error)

    async def DisputeEntry(self, request: pb.DisputeEntryRequest, context: Context) -> pb.DisputeEntryResponse:  # noqa: N802
        """Marks a dispute, or its end."""
        try:
            by = await decider(request, context, self._callers)
            act = life.settle if request.is_settled else life.dispute
            entry = await self._decide(request, by, lambda entry, at, today: act(entry, by.operator, at, today))
            return pb.DisputeEntryResponse(entry=entry)
        except Exception as error:
            await abort(context, error)

    async def WithdrawEntry(self, request: pb.WithdrawEntryRequest, context: Context) -> pb.WithdrawEntryResponse:  # noqa: N802
        """Proposes a withdrawal."""
        try:
            by = await decider(request, context, self._callers)
            entry = await self._decide(
                request, by, lambda entry, at, today: life.withdraw(entry, request.because, by.operator, at, today)
            )
            return pb.WithdrawEntryResponse(entry=entry)
        except Exception as error:
            await abort(context, error)

    async def RepairEntry(self, request: pb.RepairEntryRequest, context: Context) -> pb.RepairEntryResponse:  # noqa: N802
        """Proposes a repair."""
        try:
            by = await decider(request, context, self._callers)
            on = day_of(request.repaired_on, "repaired_on")

            def repair(entry: JointEntry, at: Any, today: date) -> JointEntry:
                about = self._lists.lists.get(entry.list_code)
                if about is not None:
                    require_repairable(about, entry, on, self._publication.rules)
                return life.repair(entry, on, request.because, by.operator, at, today)

            return pb.RepairEntryResponse(entry=await self._decide(request, by, repair))
        except Exception as error:
            await abort(context, error)

    async def LoadListFile(  # noqa: N802
        self, requests: AsyncIterator[pb.LoadListFileRequest], context: Context
    ) -> pb.LoadListFileResponse:
        """Takes a file piece by piece and loads it."""
        try:
            by: By | None = None
            digest, content = b"", bytearray()
            async for request in requests:
                if by is None:
                    by = await decider(request, context, self._callers)
                    digest = request.digest
                check_annotations(request)
                content += request.content
                if len(content) > _MOST_FILE_BYTES:
                    raise InvalidRequestError("content", f"a list file has at most {_MOST_FILE_BYTES:,} bytes")
            if by is None or len(digest) != 32:  # SM3
                raise InvalidRequestError("digest", "state the file's SM3 digest, 32 bytes, in the first message")
            lapsed = by.caller.lapse(self._clock.now())
            if lapsed is not None:  # a large file takes its time
                raise lapsed
            loaded = await self._lists.load(bytes(content), digest, by)
            plan = loaded.plan
            return pb.LoadListFileResponse(
                list_code=loaded.list_code,
                list_year=loaded.list_year,
                provinces=loaded.provinces,
                added=plan.added,
                amended=plan.amended,
                removed=plan.removed,
                unchanged=plan.unchanged,
                stale_lines=plan.stale_lines,
                is_repeated=plan.is_repeated,
            )
        except Exception as error:
            await hear_out(requests)
            await abort(context, error)

    async def DrawInspectionSample(  # noqa: N802
        self, requests: AsyncIterator[pb.DrawInspectionSampleRequest], context: Context
    ) -> pb.DrawInspectionSampleResponse:
        """Takes a population piece by piece and draws of it."""
        try:
            first: pb.DrawInspectionSampleRequest | None = None
            by: By | None = None
            population: list[tuple[str, str]] = []
            async for request in requests:
                if by is None:
                    by, first = await decider(request, context, self._callers), request
                check_annotations(request)
                population += [(one.uscc, one.grade_raw) for one in request.population]
                if len(population) > _MOST_POPULATION:
                    raise InvalidRequestError("population", f"has more than {_MOST_POPULATION:,} enterprises")
            if by is None or first is None:
                raise InvalidRequestError("scheme", "state a scheme in the first message")
            stated = {
                SupervisionClass(pb.SupervisionClass.Name(getattr(ratio, "class")).removeprefix(_CLASS)): (
                    ratio.basis_points
                )
                for ratio in first.ratios
            }
            samples, digest = await self._lists.sample(first.scheme, population, stated, first.seed, first.total, by)
            response = pb.DrawInspectionSampleResponse(
                population_count=len(population), sample_count=sum(len(one.usccs) for one in samples), digest=digest
            )
            for one in samples:
                response.samples.add(
                    population_count=one.population_count,
                    usccs=one.usccs,
                    **{"class": pb.SupervisionClass.Value(f"{_CLASS}{one.class_}")},  # a word of Python's own
                )
            return response
        except Exception as error:
            await hear_out(requests)
            await abort(context, error)

    async def _screened(
        self, request: pb.ScreenEnterprisesRequest
    ) -> tuple[pb.ScreenEnterprisesResponse, Sequence[ListReading]]:
        today = china_date(self._clock.now()).toordinal()
        response = pb.ScreenEnterprisesResponse(code_count=len(request.usccs))
        read: list[ListReading] = []
        async with aclosing(pieces(request.usccs)) as parts:
            async for begin, usccs in parts:
                read.append(_screen(response, await self._watch.index(), usccs, begin, today))
        return response, read

    async def _decide(self, request: Any, by: By, decide: Decide) -> pb.JointEntry:
        method = f"JointListService/{type(request).__name__.removesuffix('Request')}"
        return self._message(await self._lists.decide(method, request.entry_id, request.expected_version, decide, by))

    def _message(self, entry: JointEntry, bank: str = "") -> pb.JointEntry:
        return entry_message(entry, china_date(self._clock.now()), is_for_bank=bool(bank))


def _screen(
    response: pb.ScreenEnterprisesResponse, index: ListIndex, usccs: Sequence[str], begin: int, today: int
) -> ListReading:
    """Adds what some codes of a message come to, the first of them being at that place in it; gives what was looked up."""
    codes: list[str] = []
    hits_before = len(response.hits)
    for number, uscc in enumerate(usccs, begin):
        hits = index.of(uscc, today)
        if not hits and not _is_code(uscc):
            response.invalid.append(number)
            continue
        codes.append(uscc)
        for hit in hits:
            response.hits.add(
                index=number,
                entry_id=hit.entry_id,
                list_code=hit.list_code,
                province=hit.province,
                list_year=hit.list_year or None,
                is_disputed=hit.is_disputed,
            )
    return ListReading(len(usccs), tuple(codes), len(response.hits) - hits_before)


def _is_code(text: str) -> bool:
    try:
        return Uscc.parse(text).value == text
    except GatewayError:
        return False
