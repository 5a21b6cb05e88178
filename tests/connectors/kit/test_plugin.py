"""A plugin of the kit: what a deployment gives it reaches the connector, and nothing that nobody reads."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from connectors.kit.manifest import Manifest
from connectors.kit.mapping import MappingFault, PayloadMapping
from connectors.kit.plugin import Plugin
from connectors.kit.rest import RestConnector
from connectors.shanghai.sandbox import CREDENTIALS
from gateway.adapters.state.clock import SystemClock
from gateway.ports import ConnectorSetup


class OfOneArea(RestConnector):
    """A connector that asks in one area only."""

    def __init__(self, manifest: Manifest, mapping: PayloadMapping, setup: ConnectorSetup) -> None:
        super().__init__(manifest, mapping, setup)
        self.area: str = setup.options.get("area", "everywhere")


async def connected(options: dict[str, Any]) -> Any:
    plugin = Plugin("connectors.shanghai", OfOneArea, secrets=("app_key", "app_secret"), options=("area",))
    async with aiohttp.ClientSession() as session:
        return plugin.connect(
            ConnectorSetup("http://127.0.0.1:1", session, SystemClock(), secrets=CREDENTIALS, options=options)
        )


@pytest.mark.parametrize(("options", "area"), [({"area": "36"}, "36"), ({}, "everywhere")])
async def test_an_option_that_a_plugin_declares_reaches_its_connector(options: dict[str, Any], area: str) -> None:
    assert (await connected(options)).area == area


async def test_an_option_that_no_plugin_declares_is_a_fault() -> None:
    with pytest.raises(MappingFault) as raised:
        await connected({"area": "36", "region": "36"})

    assert raised.value.faults == ("options.region: is not used",)
