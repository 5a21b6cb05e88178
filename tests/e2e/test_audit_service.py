"""A bank's own trail over real gRPC and by the command: all of it, nothing of anybody else's, and every page of it checks."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typer.testing import CliRunner

from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import audit_service_pb2_grpc
from gateway.adapters.rpc.server import AUDIT, CONSENTS, CREDIT
from gateway.adapters.stores.audit_file import FileAuditLog, TrailPolicy
from gateway.adapters.stores.trail_batch import Evidence
from gateway.adapters.stores.trail_files import segments_of
from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.audit import _table
from gateway.cli.audit import audit as app
from gateway.cli.running import gateway
from gateway.domain.audit import AuditEntry
from gateway.domain.evidence import ViewCopy
from gateway.domain.statement import sm3
from gateway.domain.trail import taken_apart
from tests.adapters.test_audit_file import entry
from tests.domain.trails import KeySigner
from tests.e2e.test_credit_service import refused
from tests.e2e.test_sharing import BANK
from tests.shipped import shipped_settings

DEMO: Final = "91310115MA0TERT167"
OTHER: Final = "91310115MAC0DEM080"
BEGIN: Final = datetime(2026, 11, 1, tzinfo=UTC)
BANKS: Final = ("bank-a", "bank-b", 'bank-"quoted"', "bank-a-branch")


def made(number: int) -> AuditEntry:
    """Gives the entry of one answer: banks in turns, an hour apart, two enterprises, three employees."""
    return msgspec.structs.replace(
        entry(f"a-{number}"),
        bank=BANKS[number % 4],
        time=(BEGIN + timedelta(hours=number)).isoformat(timespec="milliseconds"),
        uscc=DEMO if number % 3 else OTHER,
        operator=f"op-{number % 5}",
    )


async def written(folder: Path) -> None:
    """Writes the trails of two workers, in segments, with roots among the entries."""
    evidence = Evidence(KeySigner(), "SM3", sm3)
    for worker, numbers in ((1, range(60)), (2, range(60, 100))):
        trail = FileAuditLog(
            folder / f"audit.{worker}.jsonl", evidence=evidence, policy=TrailPolicy(segment_bytes=20_000)
        )
        for begin in range(numbers.start, numbers.stop, 5):
            await asyncio.gather(
                *(trail.append(made(n), ViewCopy(b"v", DEMO, b"r" * 32, "q")) for n in range(begin, begin + 5))
            )
        await trail.aclose()


@asynccontextmanager
async def house(folder: Path, **audit: Any) -> AsyncIterator[tuple[int, grpc.aio.Channel]]:
    configure_logs("error")
    settings = shipped_settings()
    stated = settings.gateway.audit.model_copy(update=audit)
    settings = replace(settings, gateway=settings.gateway.model_copy(update={"audit": stated}))
    async with (
        gateway(settings, listen="127.0.0.1:0", audit_path=folder / "audit.jsonl") as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield port, channel


async def exported(channel: grpc.aio.Channel, bank: str, **more: Any) -> list[pb.AuditRecord]:
    stub = audit_service_pb2_grpc.AuditServiceStub(channel)
    call = stub.ExportEntries(pb.ExportEntriesRequest(**more), metadata=((BANK, bank),), timeout=20)
    return [record async for response in call for record in response.entries]


def answers(records: list[pb.AuditRecord]) -> list[str]:
    return [record.answer_id for record in records if record.event == "answered"]


async def test_a_bank_is_given_all_of_its_own_entries_and_nothing_of_another_s(tmp_path: Path) -> None:
    await written(tmp_path)
    async with house(tmp_path) as (_, channel):
        given = {bank: await exported(channel, bank) for bank in (*BANKS, "bank-none")}

    assert len(segments_of(tmp_path / "audit.1.jsonl")) > 2
    assert {bank: answers(records) for bank, records in given.items()} == {
        **{bank: [f"a-{n}" for n in range(at, 100, 4)] for at, bank in enumerate(BANKS)},
        "bank-none": [],
    }
    for bank, records in given.items():
        told = [json.loads(record.record) for record in records]
        assert {line["bank"] for line in told} <= {bank}
        assert not any(line["event"] == "root" for line in told)
        assert all((apart := taken_apart(record.record)) is not None and apart.is_sound for record in records)
        # Whoever reads is written down first, and may read that too.
        assert [record.event for record in records if record.event != "answered"] == ["exported"]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"uscc": OTHER}, [n for n in range(0, 100, 4) if n % 3 == 0]),
        ({"uscc": OTHER.lower()}, [n for n in range(0, 100, 4) if n % 3 == 0]),
        ({"operator": "op-3"}, [8, 28, 48, 68, 88]),
        ({"from_time": BEGIN + timedelta(hours=72), "to_time": BEGIN + timedelta(hours=80)}, [72, 76]),
        ({"to_time": BEGIN + timedelta(hours=4)}, [0]),
        ({"operator": "op-4", "uscc": DEMO, "from_time": BEGIN + timedelta(hours=40)}, [44, 64]),
    ],
)
async def test_entries_are_narrowed_by_time_enterprise_and_employee(
    tmp_path: Path, asked: Mapping[str, Any], wanted: list[int]
) -> None:
    await written(tmp_path)
    async with house(tmp_path) as (_, channel):
        given = await exported(channel, "bank-a", **asked)

    assert answers(given) == [f"a-{number}" for number in wanted]


async def test_D8_an_export_goes_on_after_any_entry_it_broke_off_at(tmp_path: Path) -> None:
    await written(tmp_path)
    async with house(tmp_path) as (_, channel):
        whole = await exported(channel, "bank-b")
        rest = [await exported(channel, "bank-b", after_position=record.position) for record in whole[:-1:5]]

    # Each export is an entry of the gateway's own trail, which comes first: what was read after it is not asked for again.
    assert [answers(records) for records in rest] == [answers(whole[at + 1 :]) for at in range(0, len(whole) - 1, 5)]


async def test_what_cannot_be_exported_is_refused_by_field(tmp_path: Path) -> None:
    async with house(tmp_path) as (_, channel):
        stub = audit_service_pb2_grpc.AuditServiceStub(channel)
        told = {}
        for field, more in {
            "after_position": {"after_position": "no position"},
            "after_position ": {"after_position": "another.jsonl:5"},
            "to_time": {"from_time": BEGIN, "to_time": BEGIN},
            "uscc": {"uscc": "91310115MA0TERT168"},
        }.items():
            error, _ = await refused(_all(stub.ExportEntries(pb.ExportEntriesRequest(**more), timeout=20)))  # type: ignore[arg-type]
            told[field] = error.code()

    assert set(told.values()) == {grpc.StatusCode.INVALID_ARGUMENT}


async def test_D5_an_entry_that_was_changed_is_not_given(tmp_path: Path) -> None:
    await written(tmp_path)
    path = tmp_path / "audit.2.jsonl"
    path = segments_of(path)[0]
    path.write_bytes(path.read_bytes().replace(b'"answer_id":"a-64"', b'"answer_id":"a-46"'))
    async with house(tmp_path) as (_, channel):
        error, _ = await refused(exported(channel, "bank-a"))

    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_D1_health_and_readiness_are_red_while_the_trail_can_still_be_written(tmp_path: Path) -> None:
    async with house(tmp_path, least_free_percent=100.0) as (_, channel):
        health: Any = health_pb2_grpc.HealthStub(channel)
        async with asyncio.timeout(10):
            watched = health.Watch(health_pb2.HealthCheckRequest(service=CREDIT))
            async for response in watched:
                if response.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                    break
            watched.cancel()
        said = {
            name: (await health.Check(health_pb2.HealthCheckRequest(service=name))).status
            for name in ("", CREDIT, CONSENTS, AUDIT)
        }
        given = await exported(channel, "bank-a")

    assert set(said.values()) == {health_pb2.HealthCheckResponse.NOT_SERVING}
    assert [record.event for record in given] == ["exported"]


async def test_the_export_command_writes_lines_or_a_table_that_no_spreadsheet_calculates(tmp_path: Path) -> None:
    await written(tmp_path)
    async with house(tmp_path) as (port, _):
        at = ("--plaintext", "--address", f"127.0.0.1:{port}", "--bank", "bank-a")
        asked = ("export", "--to", "2026-11-02T00:00:00", *at)
        # In a thread, on an event loop of its own, as the command has it; starting the command costs seconds.
        lines = await asyncio.to_thread(CliRunner().invoke, app, asked)
        table = await asyncio.to_thread(CliRunner().invoke, app, [*asked, "--format", "csv"])
        wrong = await asyncio.to_thread(CliRunner().invoke, app, [*asked, "--format", "xml"])

    assert (lines.exit_code, table.exit_code, wrong.exit_code) == (0, 0, 2)
    told = [json.loads(line) for line in lines.stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [line["answer_id"] for line in told] == [row["answer_id"] for row in rows] == ["a-0", "a-4", "a-8", "a-12"]
    assert [json.loads(row["record"]) for row in rows] == told


async def test_an_export_that_is_refused_leaves_the_file_and_one_that_goes_on_adds_to_it(tmp_path: Path) -> None:
    await written(tmp_path)
    kept, new = tmp_path / "kept.csv", tmp_path / "new.csv"
    async with house(tmp_path) as (port, _):
        at = ("export", "--plaintext", "--address", f"127.0.0.1:{port}", "--bank", "bank-a", "--format", "csv")

        async def exporting(file: Path, *more: str) -> int:
            asked = [*at, "--to", "2026-11-02T00:00:00", "--output", str(file), *more]
            return (await asyncio.to_thread(CliRunner().invoke, app, asked)).exit_code

        codes = [
            await exporting(kept),
            await exporting(kept, "--uscc", "no code"),
            await exporting(new, "--uscc", "no code"),
        ]
        second = rows_of(kept)[1]["position"]
        codes.append(await exporting(kept, "--after", second))

    assert codes == [0, 1, 1, 0]
    assert not new.exists()
    assert [row["answer_id"] for row in rows_of(kept)] == ["a-0", "a-4", "a-8", "a-12", "a-8", "a-12"]


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


async def test_the_verify_command_names_the_first_bad_entry_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    await written(tmp_path)
    path, kept = tmp_path / "audit.jsonl", tmp_path / "verified.json"

    def verified(*more: str) -> tuple[int, list[dict[str, Any]]]:
        done = CliRunner().invoke(app, ["verify", "--trail", str(path), "--json", *more])
        return done.exit_code, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    whole = verified("--resume", str(kept))
    again = verified("--resume", str(kept))
    segment = segments_of(tmp_path / "audit.2.jsonl")[0]
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:7] + lines[8:]))
    damaged = verified()
    none = CliRunner().invoke(app, ["verify", "--trail", str(tmp_path / "none.jsonl")])

    assert [(each["trail"], each["entries"], each["first_bad"]) for each in whole[1]] == [
        ("audit.1.jsonl", 72, None),
        ("audit.2.jsonl", 48, None),
    ]
    assert [each["entries"] for each in again[1]] == [0, 0]
    assert (whole[0], again[0], damaged[0], none.exit_code) == (0, 0, 1, 2)
    assert [(each["first_bad"], each["fault"]) for each in damaged[1]] == [(None, ""), (8, "missing")]


async def _all(stream: Any) -> list[Any]:
    return [response async for response in stream]


@pytest.mark.parametrize(
    "text",
    ["=cmd()", "+1", "-1", "@x", " =1", "＝HYPERLINK(1)", "'=1", "913302033168690875", "0012", "1E5", "7.10"],
)
def test_what_a_spreadsheet_would_calculate_or_round_is_text_in_the_table(text: str) -> None:
    target = io.StringIO()

    _table(target)(pb.AuditRecord(operator=text, event="answered"))

    row = next(csv.DictReader(io.StringIO(target.getvalue())))
    assert (row["operator"], row["event"]) == (f"'{text}", "answered")


def test_each_entry_is_one_line_of_the_table_whatever_its_caller_stated() -> None:
    target = io.StringIO()

    _table(target, has_header=False)(pb.AuditRecord(operator="\n=1", branch="a\x00b\x1b[31m\r\nc", reason="12"))

    (line,) = target.getvalue().splitlines()
    assert ",\ufffd=1,a\ufffdb\ufffd[31m\ufffd\ufffdc,12," in line


async def test_a_table_in_a_file_says_that_it_is_utf_8(tmp_path: Path) -> None:
    await written(tmp_path)
    table = tmp_path / "table.csv"
    async with house(tmp_path) as (port, _):
        at = (
            "--plaintext",
            "--address",
            f"127.0.0.1:{port}",
            "--bank",
            "bank-a",
            "--format",
            "csv",
            "--output",
            str(table),
        )
        await asyncio.to_thread(CliRunner().invoke, app, ["export", *at])

    assert table.read_bytes().startswith(b"\xef\xbb\xbfposition,")
