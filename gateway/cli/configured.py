"""What the commands share that read the configuration: the settings, and how faults of them end a command."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import typer

from gateway.cli.loop import run
from gateway.cli.options import fail
from gateway.cli.words import say
from gateway.domain.errors import ConfigError, StoreError
from gateway.settings import Settings, load_settings

T = TypeVar("T")


def settings_of(config: Path | None) -> Settings:
    """Loads the settings; ends the command with every fault."""
    try:
        return load_settings(config)
    except ConfigError as error:
        raise fail([say("The configuration has faults:", "配置有误："), *error.faults], 2) from error


def run_configured(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine, and ends the command with what stands in its way at the start."""
    try:
        return run(main)
    except ConfigError as error:
        raise fail([say("The configuration has faults:", "配置有误："), *error.faults], 2) from error
    except StoreError as error:
        raise fail([str(error)], 2) from error
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
