"""`xinyidai demo`: four simulated platforms, a gateway, two queries and two assessments over real gRPC, all checked."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.rule import Rule

from gateway._pb.xinyidai.catalogue.v1.options_pb2 import Category
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_OK
from gateway._pb.xinyidai.gateway.v1 import green_credit_service_pb2 as green_pb
from gateway._pb.xinyidai.gateway.v1.credit_service_pb2 import GetCreditViewResponse
from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.kinds import Kind
from gateway.adapters.rpc.evidence import delivered_of
from gateway.cli.client import get_view, get_view_bytes, query_message
from gateway.cli.green import assess_at
from gateway.cli.green_card import show_assessment
from gateway.cli.public_keys import read_keys
from gateway.cli.reach import Reach, credentials, profile
from gateway.cli.render import show
from gateway.cli.running import World, at_sandboxes, gateway, sandboxes
from gateway.cli.trust import own_trust
from gateway.cli.verify import is_signed
from gateway.cli.words import say
from gateway.domain.answer import HEARD
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.proof import check
from gateway.gateway_file import ArchiveSettings, ConsentSettings, LogSettings
from gateway.settings import Settings

USCC = "91310115MA0TERT167"
LISTED = "91330106MA6DEM0E0C"
CATEGORIES = (
    "SUBJECT", "REGISTRATION", "HOLDER", "LICENCE", "PENALTY", "LIST_ENTRY", "ABNORMAL_OPERATION", "HONOUR",
    "EVALUATION", "TAX_PAYMENT", "SOCIAL_INSURANCE", "JUDICIAL_CASE",
)  # fmt: skip
_DOWN = "anhui"


class DemoFailedError(Exception):
    """The demo did not show what it promises."""


async def demo(settings: Settings, console: Console) -> None:
    """Runs the demo; raises DemoFailedError when a promised thing is not in the view."""
    # The views are the output; one log line per query would stand between them.
    with tempfile.TemporaryDirectory(prefix="xinyidai-demo-") as scratch:
        masking_key = Path(scratch) / "masking_key"
        masking_key.write_text(secrets.token_hex(32), encoding="ascii")
        consent = ConsentSettings(enforced=True, masking_key=f"file:{masking_key}")
        demonstrated = settings.gateway.model_copy(
            update={"log": LogSettings(level="error"), "consent": consent, "archive": ArchiveSettings(enabled=True)}
        )
        settings = replace(settings, gateway=demonstrated)
        trail = Path(scratch) / "audit.jsonl"
        certificates = Authority(Path(scratch) / "certs")
        tls = own_trust(certificates).tls
        async with (
            sandboxes(list(settings.platforms), World()) as platforms,
            gateway(
                at_sandboxes(settings, platforms),
                listen="127.0.0.1:0",
                admin="127.0.0.1:0",
                audit_path=trail,
                tls=tls,
            ) as (_, port),
        ):
            files = profile(certificates.folder, Kind.BANK)
            at = Reach(f"127.0.0.1:{port}", credentials(*files))
            console.print(Rule(say("The enterprise's consent", "企业授权")))
            consent_id = await register_consent(console, Path(scratch), at.address, files)
            console.print(Rule(say("1. One question, four platforms", "一、一次查询，四个平台")))
            query = query_message(USCC, "PRE_LOAN", [], CATEGORIES, consents=[consent_id])
            raw = await get_view_bytes(at, query, 10)
            whole = GetCreditViewResponse.FromString(raw)
            show(console, whole)
            check_whole(whole)
            console.print(check_evidence(raw, query.SerializeToString(deterministic=True), trail), highlight=False)
            shown = whole.view.records.registrations[0].legal_representative
            _require("*" in shown, "the name of a person is not masked")
            console.print(Rule(say(f"2. The same question while {_DOWN} is down", f"二、{_DOWN} 平台中断时的同一查询")))
            async with aiohttp.ClientSession() as session:
                await session.post(f"{platforms[_DOWN].control_url}/faults", json={"kind": "refuse"})
            query.oldest_acceptable_age.SetInParent()  # zero: what was kept a moment ago would hide that it is down
            partial = await get_view(at, query, 10)
            show(console, partial)
            check_partial(partial)
            async with aiohttp.ClientSession() as session:
                await session.delete(f"{platforms[_DOWN].control_url}/faults")
            reviewer = Reach(at.address, credentials(*profile(certificates.folder, Kind.REVIEWER)))
            await green_act(console, reviewer, platforms["zhejiang"].control_url)
        lines = trail.read_text(encoding="utf-8").splitlines()
        entries = sum(
            '"event":"root"' not in line for line in lines
        )  # each commit of answers has a signed one of its own
        _require(entries == 7, f"the trail holds {entries} entries instead of 7")
    console.print(Rule())
    console.print(
        say(
            "Both views were checked, and both assessments. All platforms here are simulated: none publishes its interface.",
            "两个视图、两次评估均已核对。以上平台均为模拟：各平台并未公开其真实接口。",
        )
    )
    console.print(say("Next:", "下一步："))
    console.print("  make run                                       # sandbox + gateway stay up 保持运行")
    console.print(f"  .venv/bin/xinyidai query {USCC} --json  # ask them 查询")
    console.print(f"  .venv/bin/xinyidai green assess {LISTED}  # 绿色信贷评估")
    console.print("  make test · make check · make bench")


async def green_act(console: Console, reviewer: Reach, lister_control: str) -> None:
    """Assesses an enterprise on the environmental list of 2018, has its lister repair the entry, and assesses it again."""
    console.print(
        Rule(
            say(
                "3. A green reviewer asks about an enterprise listed in 2018", "三、绿色信贷审查：2018 年列入名单的企业"
            )
        )
    )
    request = green_pb.AssessEnterpriseRequest(uscc=LISTED, is_fresh=True)
    before = await assess_at(reviewer, request, 10)
    show_assessment(console, before)
    check_listed(before)
    console.print(Rule(say("4. The lister repairs the entry", "四、认定单位修复后再次评估")))
    told = {"uscc": LISTED, "kind": "list_entry", "on": "2026-11-02"}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{lister_control}/repairs", json=told)
    after = await assess_at(reviewer, request, 10)
    show_assessment(console, after)
    check_repaired(after)


def check_listed(found: green_pb.GreenAssessment) -> None:
    """Checks that the list of 2018 alone demands to leave, with who said it."""
    _require(found.measure == green_pb.GREEN_MEASURE_EXIT, "the listed enterprise is not to be left")
    _require(found.admission == green_pb.GREEN_ADMISSION_CLOSED, "the listed enterprise may have new credit")
    entries = [each for each in found.evidence if each.fact == "env_list" and "2018" in each.text]
    _require(len(entries) == 1 and len(entries[0].sources) == 2, "the entry of 2018 is not shown with both platforms")


def check_repaired(found: green_pb.GreenAssessment) -> None:
    """Checks that nothing of the repaired entry is left, and that missing list years still do not pass by themselves."""
    _require(not any(each.fact == "env_list" for each in found.evidence), "a repaired entry is shown")
    _require(found.at_least == green_pb.GREEN_MEASURE_NONE, "something adverse is left")
    _require(found.measure == green_pb.GREEN_MEASURE_INCOMPLETE, "missing list years passed by themselves")
    missing = {each.platform for each in found.missing if each.kind == green_pb.GREEN_MISSING_KIND_LIST_YEAR}
    _require("jiangsu" in missing, "the years Jiangsu has not provided are not named")


async def register_consent(console: Console, scratch: Path, address: str, files: Sequence[Path]) -> str:
    """Registers the enterprise's consent to what is not public, by the command as a bank would; gives its id."""
    document = scratch / "consent.txt"
    document.write_text(f"{USCC} 授权书（示例）\n", encoding="utf-8")
    wanted = [name for name in CATEGORIES if not CATALOGUE.by_category[Category.Value(f"CATEGORY_{name}")].is_public]
    shown = ["consent", "register", USCC, "--purpose", "PRE_LOAN"]
    for name in wanted:
        shown += ["--category", name]
    shown += ["--document", document.name]
    console.print("  xinyidai " + " ".join(shown), highlight=False, soft_wrap=True)
    options = [value for pair in zip(("--cert", "--key", "--ca"), map(str, files), strict=True) for value in pair]
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *shown, "--address", address, *options, "--json"),
        cwd=scratch,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await command.communicate()
    if command.returncode:
        raise DemoFailedError(f"the consent could not be registered: {said.decode(errors='replace').strip()}")
    found = json.loads(out)
    consent_id = str(found["consent"]["consent_id"] if "consent" in found else found["consent_id"])
    console.print(say(f"  registered as {consent_id}", f"  已登记：{consent_id}"), highlight=False)
    return consent_id


def check_whole(response: GetCreditViewResponse) -> None:
    """Checks on the typed view that the conflict is marked and copies became one record."""
    view = response.view
    _require(all(a.outcome == OUTCOME_OK for a in view.answers), "a platform was not heard in full")
    registration = view.records.registrations[0]
    capital = next((c for c in registration.envelope.conflicts if c.field == "registered_capital"), None)
    if capital is None:
        raise DemoFailedError("the conflict on registered_capital is not marked")
    _require(
        {(v.platform, v.value.money.minor_units) for v in capital.values}
        >= {("shanghai", 1_000_000_000), ("zhejiang", 500_000_000)},
        "a conflicting value is missing",
    )
    _require(capital.chosen_platform == "shanghai", "the home province was not chosen")
    three = [p for p in view.records.penalties if len(p.envelope.provenances) == 3]
    _require(len(three) == 1, "the penalty known to three platforms is not one record")
    _require(len(view.records.penalties) == 1, "a repaired penalty is shown")
    _require(any(len(r.envelope.provenances) == 3 for r in view.records.licences), "the licence is not one record")
    _require(len(view.records.evaluations) >= 4, "grades are missing")
    _require(bool(view.records.tax_payments) and bool(view.records.social_insurances), "tax or insurance is missing")


def check_evidence(raw: bytes, question: bytes, trail: Path) -> str:
    """Checks what the answer proves, as `xinyidai verify` does, and gives the line that says so."""
    keys = read_keys(trail.parent / "evidence-keys.json")
    delivered = delivered_of(raw)
    checked = check(delivered, lambda root: is_signed(root, keys), questions=(question,))
    _require(checked.failed is None, f"the answer's evidence does not hold: {checked.failed}")
    root = delivered.receipt.root
    return say(
        f"  evidence verified: question and view stand under root {root.sequence} of the trail, signed ({root.algorithm})",
        f"  证据核验通过：查询与视图均在留痕第 {root.sequence} 条的签名根之下（{root.algorithm}）",
    )


def check_partial(response: GetCreditViewResponse) -> None:
    """Checks on the typed view that the platform that is down is named as missing, and nothing is called clean."""
    view = response.view
    down = next(a for a in view.answers if a.platform == _DOWN)
    _require(down.outcome not in HEARD, f"{_DOWN} is down but reads as heard")
    _require(view.completeness_bp < 10_000, "the view claims to be complete")
    covered = [c for c in view.coverage if _DOWN in c.missing]
    _require(bool(covered), f"no category names {_DOWN} as missing")
    _require(not any(c.is_known_empty for c in covered), "a category is called empty though a platform is missing")


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise DemoFailedError(complaint)
