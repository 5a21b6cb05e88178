"""Commands and their options; each decodes, calls, and tells what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import grpc
import typer
from google.protobuf import json_format

from gateway.adapters.identity.authority import Kind
from gateway.adapters.rights.policies import compile_policies
from gateway.adapters.telemetry.logs import configure_logs
from gateway.bootstrap import connector_faults, find_plugins
from gateway.cli.access import access
from gateway.cli.certs import certs
from gateway.cli.client import explain, get_view, query_message
from gateway.cli.consents import consents
from gateway.cli.demo import DemoFailedError, demo
from gateway.cli.operator import cache, platforms
from gateway.cli.options import LOCAL, Address, AsJson, Config, console, fail
from gateway.cli.reach import Ca, Cert, Key, Plaintext, reach
from gateway.cli.render import show
from gateway.cli.running import (
    World,
    admin_address,
    at_sandboxes,
    gateway,
    run,
    sandboxes,
    stop_signals,
)
from gateway.cli.serving import serve_alone, serve_by_workers
from gateway.cli.store import store
from gateway.cli.trust import trust_of_demonstration
from gateway.cli.words import say
from gateway.cli.worker import parse_worker
from gateway.domain.errors import ConfigError, StoreError
from gateway.identity_bootstrap import tls_faults, tls_notes
from gateway.settings import Settings, load_settings

T = TypeVar("T")

app = typer.Typer(
    name="xinyidai",
    help=say(
        "Xinyidai interconnection gateway: one question about one enterprise, all platforms, one merged view.",
        "信易贷互联网关：一次查询，所有平台，一个统一信用视图。",
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(platforms)
app.add_typer(cache)
app.add_typer(consents)
app.add_typer(store)
app.add_typer(access)
app.add_typer(certs)

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


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(config)
    except ConfigError as error:
        raise fail([say("The configuration has faults:", "配置有误："), *error.faults], 2) from error


@app.command(help=say("Serve gRPC until SIGTERM.", "启动 gRPC 服务，直至收到 SIGTERM。"))
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
    settings = _settings(config)
    configure_logs(settings.gateway.log.level)
    listen = listen or settings.gateway.server.listen
    if workers > 1 and worker is None:
        admin = admin_address(settings, admin)
        code = _run(serve_by_workers(settings, config, listen, admin, workers, is_development=development))
        if code:
            raise typer.Exit(code)
    else:
        one = parse_worker(worker) if worker else None
        _run(serve_alone(settings, listen, admin_address(settings, admin), one, is_development=development))


@app.command(help=say("Start the simulated platforms and keep them up.", "启动模拟平台并保持运行。"))
def sandbox(
    config: Config = None,
    platform: Annotated[list[str] | None, typer.Option(help=say("Only these.", "仅限这些平台。"))] = None,
    enterprises: Enterprises = 1_000,
    seed: Seed = 20_260_401,
) -> None:
    """Keeps sandboxes up until a signal."""
    settings = _settings(config)

    async def main() -> None:
        names = platform or list(settings.platforms)
        async with (
            stop_signals() as stopped,
            sandboxes(names, World(enterprises, seed), free_ports=False) as running,
        ):
            for name, one in running.items():
                typer.echo(f"{name:10} {one.url}   {say('faults', '故障控制')}: {one.control_url}/faults")
            await stopped.wait()

    _run(main())


@app.command(help=say("Sandbox and gateway together, until SIGTERM.", "模拟平台与网关一同启动，直至收到 SIGTERM。"))
def up(config: Config = None, enterprises: Enterprises = 1_000, seed: Seed = 20_260_401) -> None:
    """Keeps everything up until a signal."""
    settings = _settings(config)
    configure_logs(settings.gateway.log.level)

    async def main() -> None:
        trusted = trust_of_demonstration(settings)
        async with (
            stop_signals() as stopped,
            sandboxes(list(settings.platforms), World(enterprises, seed), free_ports=False) as running,
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
            typer.echo(f"gateway    127.0.0.1:{port}   xinyidai query 91310115MA0TERT167")
            if built.admin_port is not None:
                typer.echo(
                    f"{say('admin', '管理端口'):10} http://127.0.0.1:{built.admin_port}/metrics  /healthz  /readyz"
                )
            await stopped.wait()

    _run(main())


@app.command(help=say("Ask a running gateway about one enterprise.", "向运行中的网关查询一家企业。"))
def query(
    uscc: Annotated[str, typer.Argument(help=say("Unified social credit code.", "统一社会信用代码。"))],
    purpose: Annotated[
        str, typer.Option(help=say("Why: PRE_LOAN, IN_LOAN, …", "用途：PRE_LOAN、IN_LOAN 等。"))
    ] = "PRE_LOAN",
    platform: Annotated[list[str] | None, typer.Option(help=say("Only these platforms.", "仅限这些平台。"))] = None,
    category: Annotated[list[str] | None, typer.Option(help=say("Only these categories.", "仅限这些类目。"))] = None,
    timeout: Annotated[float, typer.Option(min=0.05, help=say("Deadline in seconds.", "时限（秒）。"))] = 10.0,
    oldest: Annotated[
        float | None,
        typer.Option(
            "--oldest",
            min=0,
            help=say(
                "Oldest acceptable age of a kept answer, in seconds; 0 asks anew.",
                "可接受的缓存最长时间（秒）；0 为重新查询。",
            ),
        ),
    ] = None,
    stale: Annotated[
        bool,
        typer.Option(
            "--stale",
            help=say("Of a platform that fails take a kept answer of any age.", "平台查询失败时 接受更早的缓存应答。"),
        ),
    ] = False,
    consent: Annotated[
        list[str] | None, typer.Option(help=say("Id of a consent; may be repeated.", "授权标识，可重复。"))
    ] = None,
    loan: Annotated[str, typer.Option(help=say("The loan, for POST_LOAN.", "贷款编号（贷后必填）。"))] = "",
    application: Annotated[str, typer.Option(help=say("The application.", "贷款申请编号。"))] = "",
    address: Address = LOCAL,
    cert: Cert = None,
    key: Key = None,
    ca: Ca = None,
    plaintext: Plaintext = False,
    as_json: AsJson = False,
) -> None:
    """Prints the view; exits 1 when the gateway refuses or cannot answer, 2 for a wrong option."""
    try:
        message = query_message(
            uscc,
            purpose,
            platform or [],
            category or [],
            oldest_s=oldest,
            is_stale_acceptable=stale,
            consents=consent or [],
            loan_reference=loan,
            application_reference=application,
        )
    except ValueError as error:
        raise fail([str(error)], 2) from error
    at = reach(address, Kind.BANK, cert, key, ca, is_plaintext=plaintext)
    try:
        response = run(get_view(at, message, timeout))
    except grpc.aio.AioRpcError as error:
        raise fail(explain(error, at), 1) from error
    if as_json:
        typer.echo(json_format.MessageToJson(response, preserving_proto_field_name=True, ensure_ascii=False))
    else:
        show(console(), response)


@app.command("check-config", help=say("Check the configuration, list every fault.", "检查配置，列出所有错误。"))
def check_config(config: Config = None) -> None:
    """Lists every fault with file and key; exits 2 when there is one."""
    settings = _settings(config)
    plugins = find_plugins(settings)
    faults = [*tls_faults(settings), *connector_faults(settings, plugins)]
    try:
        settings.gateway.store.resolved(settings.gateway.audit.path)
    except ConfigError as error:
        faults += error.faults
    try:
        policies = compile_policies(settings.policies.read())
    except ConfigError as error:
        faults = [*error.faults, *faults]
    if faults:
        raise fail([say("The configuration has faults:", "配置有误："), *faults], 2)
    decided = say(f"{len(policies.by_id)} policies, version", f"{len(policies.by_id)} 条策略，版本")
    typer.echo(f"{'policies':10} {decided} {policies.version}")
    for name, facts in plugins.platforms.items():
        covered = say(f"{len(facts.coverage)} categories", f"{len(facts.coverage)} 个类目")
        typer.echo(f"{name:10} {settings.platforms[name].base_url}   {covered}   {facts.dialect}")
        for note in plugins.connectors[name].notes():
            typer.echo(f"{'':10} {note}")
    for note in tls_notes(settings):
        typer.echo(f"{'server.tls':10} {note}")
    typer.echo(say("The configuration is sound.", "配置无误。"))


@app.command("demo", help=say("Show it all once and check it, then end.", "演示一遍并自行核对，然后结束。"))
def demo_command(config: Config = None) -> None:
    """Runs the demo; exits 1 when it does not show what it promises."""
    settings = _settings(config)
    configure_logs("error")
    try:
        _run(demo(settings, console()))
    except DemoFailedError as error:
        raise fail([say(f"The demo failed: {error}", f"演示失败：{error}")], 1) from error


def _run(main: Coroutine[Any, Any, T]) -> T:
    try:
        return run(main)
    except ConfigError as error:
        raise fail([say("The configuration has faults:", "配置有误："), *error.faults], 2) from error
    except StoreError as error:
        raise fail([str(error)], 2) from error
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def main() -> None:
    """Runs the command line."""
    app()
