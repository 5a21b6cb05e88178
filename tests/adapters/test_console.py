"""What others wrote is shown on a terminal, and has no other effect on it."""

from __future__ import annotations

import io

import pytest

from gateway._pb.xinyidai.catalogue.v1.registration_pb2 import Registration
from gateway._pb.xinyidai.catalogue.v1.value_pb2 import Money
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2 as pb
from gateway.cli.options import InertConsole
from gateway.cli.render import show, text_of
from gateway.domain.catalogue import CATALOGUE


@pytest.mark.parametrize("text", ["甲[/bold][/x]乙", "甲[red]乙", "甲[/]乙", "甲:smile:乙"])
def test_what_reads_like_markup_is_shown_as_it_stands(text: str) -> None:
    assert text in printed(text)


@pytest.mark.parametrize("control", ["\x1b[2J", "\x1b]0;title\x07", "\x9b2J", "\r", "\b"])
def test_no_control_of_a_platform_reaches_the_terminal(control: str) -> None:
    shown = printed(f"甲{control}乙")

    assert "甲" in shown
    assert not set(shown) & set("\x1b\x07\x9b\r\b")


def printed(text: str) -> str:
    """Gives a view as it is printed, with the text as an enterprise's name and in a table."""
    response = pb.GetCreditViewResponse()
    response.view.records.subjects.add(name=text)
    response.view.records.penalties.add(document_number=text)
    terminal = io.StringIO()
    show(InertConsole(file=terminal, width=118), response)
    return terminal.getvalue()


def test_yen_are_shown_without_hundredths() -> None:
    capital = CATALOGUE.by_records_field["registrations"].field("registered_capital")

    def shown(currency: str) -> str:
        return text_of(capital, Registration(registered_capital=Money(minor_units=500_000_000, currency=currency)))

    assert (shown("JPY"), shown("USD")) == ("500,000,000 JPY", "5,000,000.00 USD")
