"""The commands that keep something up until a signal: the gateway, the simulated platforms, or both."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from gateway.adapters.telemetry.logs import configure_logs
from gateway.cli.configured import run_configured, settings_of
from gateway.cli.options import LOCAL, Config
from gateway.cli.running import (
    World,
    admin_address,
    at_sandboxes,
    gateway,
    sandbox_ports,
    sandboxes,
    stop_signals,
)
from gateway.cli.serving import serve_alone, serve_by_workers
from gateway.cli.trust import trust_of_demonstration
from gateway.cli.words import say
from gateway.cli.worker import parse_worker
from gateway.connector_bootstrap import find_sandboxes
from gateway.domain.errors import ConfigError

app = typer.Typer(add_completion=False)

Admin = Annotated[
    str | None,
    typer.Option(
        "--admin",
        help=say(
            "Address of the admin port (/metrics, /healthz, /readyz) instead of the configured one.",
            "管理端口地址 （/metrics、/healthz、 /readyz）， 替代配置中的地址。",
        ),
    ),
]
Enterprises = Annotated[
    int, typer.Option("--enterprises", min=12, help=say("Simulated enterprises.", "模拟企业数量。"))
]
Seed = Annotated[int, typer.Option("--seed", help=say("Seed of the simulated world.", "模拟数据种子。"))]


@app.command()
def serve(
    config: Config = None,
    listen: Annotated[
        str | None, typer.Option(help=say("Address instead of the configured one.", "监听地址，替代配置中的地址。"))
    ] = None,
    admin: Admin = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help=say(
                "Processes on the one port; each has its own cache, breakers and trail, and its part of the quotas.",
                "共用同一端口的工作进程数； 各有各的缓存、 熔断器与留痕文件， 并均分调用配额。",
            ),
        ),
    ] = 1,
    development: Annotated[
        bool,
        typer.Option(
            "--development",
            help=say(
                "Plain text without certificates; callers are taken at their word; loopback only.",
                "明文， 不用证书， 不核验调用方， 仅限本机。",
            ),
        ),
    ] = False,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serves until a signal; exits 2 on faults of the configuration."""
    settings = settings_of(config)
    configure_logs(settings.gateway.log.level)
    listen = listen or settings.gateway.server.listen
    if workers > 1 and worker is None:
        admin = admin_address(settings, admin)
        code = run_configured(serve_by_workers(settings, config, listen, admin, workers, is_development=development))
        if code:
            raise typer.Exit(code)
    else:
        one = parse_worker(worker) if worker else None
        run_configured(serve_alone(settings, listen, admin_address(settings, admin), one, is_development=development))


@app.command()
def sandbox(
    config: Config = None,
    platform: Annotated[list[str] | None, typer.Option(help=say("Only these.", "仅限这些平台。"))] = None,
    enterprises: Enterprises = 1_000,
    seed: Seed = 20_260_401,
) -> None:
    """Keeps sandboxes up until a signal."""
    settings = settings_of(config)

    async def main() -> None:
        names = platform or settings.enabled_platforms
        missing = sorted(set(platform or ()) - find_sandboxes(names).keys())
        if missing:
            raise ConfigError([f"--platform: {name}: no sandbox of that name is installed" for name in missing])
        async with (
            stop_signals(signal.SIGHUP) as stopped,
            sandboxes(names, World(enterprises, seed), sandbox_ports(settings)) as running,
        ):
            for name, one in running.items():
                typer.echo(f"{name:10} {one.url}   {say('faults', '故障控制')}: {one.control_url}/faults")
            await stopped.wait()

    run_configured(main())


@app.command()
def up(config: Config = None, enterprises: Enterprises = 1_000, seed: Seed = 20_260_401) -> None:
    """Keeps everything up until a signal."""
    settings = settings_of(config)
    configure_logs(settings.gateway.log.level)

    async def main() -> None:
        trusted = trust_of_demonstration(settings)
        async with (
            stop_signals(signal.SIGHUP) as stopped,
            sandboxes(settings.enabled_platforms, World(enterprises, seed), sandbox_ports(settings)) as running,
            gateway(
                at_sandboxes(settings, running),
                listen=settings.gateway.server.listen,
                admin=admin_address(settings),
                tls=trusted.tls,
            ) as (built, port),
        ):
            for name, one in running.items():
                typer.echo(f"{name:10} {one.url}   {say('faults', '故障控制')}: {one.control_url}/faults")
            trusted.warn()
            address = f"127.0.0.1:{port}"
            there = "" if address == LOCAL else f" --address {address}"
            typer.echo(f"gateway    {address}   xinyidai query 91310115MA0TERT167{there}")
            if built.admin_port is not None:
                typer.echo(
                    f"{say('admin', '管理端口'):10} http://127.0.0.1:{built.admin_port}/metrics  /healthz  /readyz"
                )
            await stopped.wait()

    run_configured(main())
