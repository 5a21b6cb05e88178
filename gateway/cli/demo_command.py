"""The demo as a command: the terminal, and what a demo that does not keep its promise ends with."""

from __future__ import annotations

import typer

from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.configured import run_configured, settings_of
from gateway.cli.demo import DemoFailedError, demo
from gateway.cli.options import Config, console, fail
from gateway.cli.words import say

app = typer.Typer(add_completion=False)


@app.command("demo")
def demo_command(config: Config = None) -> None:
    """Runs the demo; exits 1 when it does not show what it promises."""
    settings = settings_of(config)
    configure_logs("error")
    try:
        run_configured(demo(settings, console()))
    except DemoFailedError as error:
        raise fail([say(f"The demo failed: {error}", f"演示失败：{error}")], 1) from error
