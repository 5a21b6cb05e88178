"""The conformance suite as its author's connector meets it: found by name, every case told, a failure never passed over."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

import pytest

from connectors import shanghai
from connectors.anhui import plugin
from connectors.anhui.sandbox import sandbox
from connectors.kit.conformance import CASES, check, conforms, main
from connectors.kit.manifest import read_manifest
from connectors.kit.mapping import compile_mapping
from connectors.kit.rest import RestConnector
from connectors.shanghai.sandbox import sandbox as shanghai_sandbox
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


@dataclass(frozen=True, slots=True)
class Mute(Unbuilt):
    """Shanghai's plugin, whose mapping reads nothing of penalties."""

    def connect(self, setup: ConnectorSetup) -> Connector:
        """Connects it."""
        manifest, mapping = (
            tomllib.loads((files("connectors.shanghai") / name).read_text(encoding="utf-8"))
            for name in ("manifest.toml", "mapping.toml")
        )
        mapping["penalties"]["fields"] = {}
        return RestConnector(read_manifest(manifest), compile_mapping(mapping), setup)


async def test_a_mapping_that_reads_nothing_of_rows_that_came_fails_the_control_and_nothing_else() -> None:
    mute = Mute(shanghai.plugin)
    control, *others = CASES

    with pytest.raises(AssertionError, match=r"control .*: no record states a field beyond its envelope: penalties: "):
        await check(mute, shanghai_sandbox, control)
    await check(mute, shanghai_sandbox, others[0])


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
