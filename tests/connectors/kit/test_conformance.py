"""The conformance suite as its author's connector meets it: found by name, every case told, a failure never passed over."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from connectors.anhui import plugin
from connectors.anhui.sandbox import sandbox
from connectors.kit.conformance import CASES, conforms, main
from gateway.domain.platform import Platform
from gateway.ports import Connector, ConnectorPlugin, ConnectorSetup


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """A plugin whose connector cannot be built."""

    inner: ConnectorPlugin

    def platform(self) -> Platform:
        """The facts."""
        return self.inner.platform()

    def notes(self) -> tuple[str, ...]:
        """Has none."""
        return ()

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Cannot."""
        raise KeyError("path")


async def test_a_connector_that_raises_fails_every_case_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert not await conforms(Unbuilt(plugin), sandbox)

    *told, total = capsys.readouterr().out.splitlines()
    assert told == [f"FAILED {case.number}: KeyError('path')" for case in CASES]
    assert total == f"0 of {len(CASES)} cases passed"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "usage: python -m connectors.kit.conformance PLATFORM"),
        (["nowhere"], "no entry point 'nowhere' is installed"),
    ],
)
def test_what_cannot_be_run_is_no_success(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2

    assert told in capsys.readouterr().err
