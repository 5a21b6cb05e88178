"""Where sandboxes listen: where the gateway looks for their platforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.running import World, sandbox_ports, sandboxes
from gateway.domain.errors import ConfigError
from gateway.settings import load_settings


def test_a_sandbox_listens_where_its_platform_is_looked_for_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text(
        '[anhui]\nbase_url = "http://127.0.0.1:18134/base"\n[fifth]\nbase_url = "http://localhost:18136"\n'
        '[far]\nbase_url = "http://credit.example.invalid:18137"\n[secure]\nbase_url = "https://127.0.0.1:18138"\n'
        '[portless]\nbase_url = "http://127.0.0.1"\n'
    )

    assert sandbox_ports(load_settings(tmp_path)) == {"anhui": 18134, "fifth": 18136}


def test_the_shipped_platforms_are_where_their_sandboxes_listen() -> None:
    settings = load_settings()

    assert sandbox_ports(settings).keys() == settings.platforms.keys()


async def test_a_sandbox_without_a_port_listens_on_a_free_one() -> None:
    async with sandboxes(["anhui"], World(enterprises=12)) as running:
        assert int(running["anhui"].url.rpartition(":")[2]) > 0


async def test_a_port_that_is_taken_is_a_fault_that_names_it() -> None:
    async with sandboxes(["anhui"], World(enterprises=12)) as running:
        port = int(running["anhui"].url.rpartition(":")[2])

        with pytest.raises(ConfigError, match=f"anhui.base_url: the sandbox cannot listen on 127.0.0.1:{port}"):
            async with sandboxes(["anhui"], World(enterprises=12), {"anhui": port}):
                pass


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:0", "http://127.0.0.1:99999"])
def test_an_address_without_a_host_or_with_a_port_that_is_none_is_a_fault(tmp_path: Path, address: str) -> None:
    (tmp_path / "platforms.toml").write_text(f'[anhui]\nbase_url = "{address}"\n')

    with pytest.raises(ConfigError) as raised:
        load_settings(tmp_path)

    (found,) = raised.value.faults
    assert found.startswith("platforms.toml: anhui: base_url: ")


def test_a_platform_that_is_switched_off_is_not_among_the_enabled_ones(tmp_path: Path) -> None:
    (tmp_path / "platforms.toml").write_text(
        '[anhui]\nbase_url = "http://127.0.0.1:1"\nenabled = false\n[shanghai]\nbase_url = "http://127.0.0.1:2"\n'
    )

    assert load_settings(tmp_path).enabled_platforms == ["shanghai"]
