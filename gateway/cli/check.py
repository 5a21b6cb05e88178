"""`xinyidai check-config`: every fault of the configuration, and what is in force when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import typer

from gateway.adapters.rights.policies import compile_policies, unknown_banks
from gateway.bootstrap import masker_of
from gateway.cli.configured import settings_of
from gateway.cli.keys import evidence_notes
from gateway.cli.options import Config, fail
from gateway.cli.words import say
from gateway.connector_bootstrap import Plugins, connector_faults, find_plugins, platform_notes
from gateway.domain.dates import china_date
from gateway.domain.errors import ConfigError
from gateway.domain.green_policy import GreenPolicy
from gateway.green_bootstrap import rule_faults
from gateway.identity_bootstrap import tls_faults, tls_notes
from gateway.list_bootstrap import token_key
from gateway.settings import Settings
from gateway.trail_bootstrap import response_digests

app = typer.Typer(add_completion=False)


@app.command("check-config")
def check_config(config: Config = None) -> None:
    """Lists every fault with file and key; exits 2 when there is one."""
    settings = settings_of(config)
    plugins = find_plugins(settings)
    faults = [
        *tls_faults(settings),
        *settings.gateway.evidence.faults(),
        *connector_faults(settings, plugins),
        *rule_faults(settings.rules, china_date(datetime.now(UTC))),
    ]
    faults += _key_faults(settings)
    try:
        policies = compile_policies(settings.policies.read())
        faults = [*unknown_banks(policies, settings.banks.banks), *faults]
    except ConfigError as error:
        faults = [*error.faults, *faults]
    if faults:
        raise fail([say("The configuration has faults:", "配置有误："), *faults], 2)
    decided = say(f"{len(policies.by_id)} policies, version", f"{len(policies.by_id)} 条策略，版本")
    typer.echo(f"{'policies':10} {decided} {policies.version}")
    for table in settings.rules.tables:
        rows = say(f"{len(table.rows)} rows, version", f"{len(table.rows)} 行，版本")
        said = f"{table.table_id} {table.title_zh}: {rows} {table.version} ({table.certainty}) {table.digest[:12]}"
        typer.echo(f"{'rules':10} {said}")
    for policy in (settings.green.default, *settings.green.by_bank.values()):
        typer.echo(f"{'green':10} {_green_note(policy)}")
    notes = [
        *_platform_notes(settings, plugins),
        *(("evidence", note) for note in evidence_notes(settings)),
        *(("server.tls", note) for note in tls_notes(settings)),
    ]
    for about, note in notes:
        typer.echo(f"{about:10} {note}")
    marked = sum(note.endswith("⚠") for _, note in notes)
    heed = say(f" Notes marked ⚠: {marked}.", f"请留意标 ⚠ 的提示：{marked} 条。") if marked else ""
    typer.echo(say("The configuration is sound.", "配置无误。") + heed)


def _green_note(policy: GreenPolicy) -> str:
    """Gives what a bank's green policy is known by in its assessments, and what it does otherwise than the tables."""
    stated = [f"{rule} = {value}" for rule, value in (*policy.measures.items(), *policy.admissions.items())]
    waived = say(f"{len(policy.waived)} list years waived", f"不予要求的名单年度 {len(policy.waived)} 个")
    return f"{policy.name}: {policy.version} {policy.digest[:12]}, {', '.join([waived, *stated])}"


def _platform_notes(settings: Settings, plugins: Plugins) -> Iterator[tuple[str, str]]:
    """Gives what is said of each platform, with its name before the first of it."""
    for name, facts in plugins.platforms.items():
        covered = say(f"{len(facts.coverage)} categories", f"{len(facts.coverage)} 个类目")
        yield name, f"{settings.platforms[name].base_url}   {covered}   {facts.dialect}"
        yield from (("", note) for note in platform_notes(settings, plugins, name))
    for name in sorted(settings.platforms.keys() - set(settings.enabled_platforms)):
        yield name, say("off: enabled = false", "已停用：enabled = false")


def _key_faults(settings: Settings) -> list[str]:
    """Gives what is wrong with keys that only the start would resolve, each once."""
    stated = settings.gateway
    resolving: list[Callable[[], object]] = [
        lambda: stated.store.resolved(stated.audit.path),
        stated.store.resolved_seal_key,
        lambda: token_key(stated.lists.token_key),
    ]
    if any(bank.tokens is not None for bank in settings.banks.banks.values()):
        resolving.append(stated.identity.seen_tokens_password)
    if stated.consent.enforced:
        resolving.append(lambda: masker_of(settings))
    if stated.audit.digest_key or not stated.consent.enforced:  # else it is the masking key, told of already
        resolving.append(lambda: response_digests(stated))
    faults: list[str] = []
    for resolve in resolving:
        try:
            resolve()
        except ConfigError as error:
            faults += error.faults
    return faults
