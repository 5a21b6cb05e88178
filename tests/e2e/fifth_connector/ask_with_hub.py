"""Runs inside the fresh environment: a hub, the Shanghai sandbox, a gateway over both, one query; prints what came."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiohttp import web

from gateway.cli.client import get_view, query_message
from gateway.cli.reach import Reach
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.settings import load_settings

USCC = "91310115MA0TERT167"


async def answer(request: web.Request) -> web.Response:
    penalty = {"number": "合环罚【2026】12号", "body": "合肥市环境保护局", "fen": 200_000, "decided": "2026/5/8"}
    data = {"uscc": USCC, "day": "2026/10/20", "subjects": [], "penalties": [penalty]}
    return web.json_response({"code": "ok", "data": {key: data[key] for key in data}})


async def main(folder: Path) -> None:
    app = web.Application()
    app.add_routes([web.get("/hub/{uscc}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (folder / "platforms.toml").write_text(
        f'[hub]\nbase_url = "http://127.0.0.1:{runner.addresses[0][1]}"\n'
        '[shanghai]\nbase_url = "http://127.0.0.1:1"\n'
        'secrets = { app_key = "sandbox:app_key", app_secret = "sandbox:app_secret" }\n',
        encoding="utf-8",
    )
    settings = load_settings(folder)
    async with (
        sandboxes(["shanghai"], World(enterprises=20)) as running,
        gateway(at_sandboxes(settings, running), listen="127.0.0.1:0", audit_path=folder / "audit.jsonl") as (_, port),
    ):
        response = await get_view(Reach(f"127.0.0.1:{port}"), query_message(USCC, "PRE_LOAN", [], ["PENALTY"]), 10)
    await runner.cleanup()
    said = [[p.platform for p in penalty.envelope.provenances] for penalty in response.view.records.penalties]
    print(json.dumps({"platforms": list(response.view.query.platforms), "said_by": said}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
