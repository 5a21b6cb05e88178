"""The log's lines when they cannot be written: nobody is failed or held up, and what was lost is told."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.adapters.telemetry.log_stream import LogStream


@dataclass
class Pipe:
    """Both ends of a pipe that takes one page; who reads it may go away."""

    reader: int
    writer: int

    def read(self) -> list[str]:
        """Gives the lines that are there."""
        return os.read(self.reader, 65_536).decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(*os.pipe())
    fcntl.fcntl(made.writer, fcntl.F_SETPIPE_SZ, 4_096)
    yield made
    os.close(made.writer)
    if made.reader >= 0:
        os.close(made.reader)


def told(line: str) -> tuple[str, int]:
    said = json.loads(line)
    return said["event"], said["lines"]


def test_D1_lines_whose_reader_is_gone_are_lost_and_counted(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer)
    os.close(pipe.reader)
    pipe.reader = -1

    stream.write("one\n")
    stream.write("two\nthree\n")

    assert stream.lost == 3


def test_D1_lines_for_a_full_disk_are_lost_and_counted() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = LogStream(full)

    stream.write("one\n")
    os.close(full)

    assert stream.lost == 1


def test_a_reader_that_does_not_read_is_waited_for_once_and_told_what_it_missed(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer, patience_ms=1)
    os.write(pipe.writer, b"." * 4_095 + b"\n")  # no room is left

    stream.write("lost\n")
    stream.write("lost too\n")
    pipe.read()
    stream.write("heard\n")
    note, heard = pipe.read()
    stream.write("as before\n")

    assert (told(note), heard, pipe.read(), stream.lost) == (("log.lost", 2), "heard", ["as before"], 2)


def test_what_follows_on_half_a_line_begins_a_line_of_its_own(pipe: Pipe) -> None:
    stream = LogStream(pipe.writer, patience_ms=1)

    stream.write("." * 5_000 + "\n")  # a page of it is taken
    half = pipe.read()
    stream.write("whole\n")

    nothing, note, whole = pipe.read()
    assert (half, nothing, told(note), whole) == (["." * 4_096], "", ("log.lost", 1), "whole")
