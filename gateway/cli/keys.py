"""`xinyidai keys`: make the keys of evidence, and show the public ones to auditors."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.crypto.ciphers import KEY_BYTES, KeyringCipher
from gateway.adapters.crypto.keys import new_archive_key, new_signing_key, shown_reference, write_secret
from gateway.adapters.crypto.signers import ReferredSigner
from gateway.adapters.crypto.suite import KEYS_FILE, SUITES
from gateway.adapters.crypto.verify import PublicKey, note_public_key, read_public_keys, shown
from gateway.cli.options import AsJson, Config, fail
from gateway.cli.words import say
from gateway.domain.errors import ConfigError, SigningUnavailableError
from gateway.settings import Settings, load_settings


class SuiteName(StrEnum):
    """The suites by name, as typer lists them."""

    GM = "gm"
    INTERNATIONAL = "international"
    MIXED = "mixed"


keys = typer.Typer(
    name="keys",
    help=say("Keys of evidence: make, rotate, show.", "存证密钥：生成、更换、查看。"),
    no_args_is_help=True,
)


def uncertified() -> str:
    """Says plainly what these suites are not."""
    return say(
        "no certified product: it carries no certificate of commercial cryptography",
        "不具备商用密码产品认证",
    )


@keys.command(
    "generate",
    help=say(
        "Make a signing key and a key of the archive; again in the same folder: rotate.",
        "生成签名密钥与归档密钥； 在同一目录再次运行即为更换密钥。",
    ),
)
def generate(
    suite: Annotated[SuiteName, typer.Option(help=say("Suite.", "算法套件。"))] = SuiteName.MIXED,
    out: Annotated[Path, typer.Option(help=say("Folder, made if missing.", "目录，不存在则创建。"))] = Path("var/keys"),
    as_json: AsJson = False,
) -> None:
    """Makes the keys (mode 0600), notes the public one beside those before, and says what gateway.toml must say."""
    algorithms = SUITES[suite.value]
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        signing, public = _signing(out, algorithms.signature)
        archive = _archive(out, algorithms.cipher)
        note_public_key(out / KEYS_FILE, public)
    except (OSError, ValueError) as error:
        raise fail([str(error)], 1) from error
    others = sorted(path for path in out.glob("archive-*.key") if path != archive)
    references = [f"file:{path.resolve()}" for path in (archive, *others)]
    table = {
        "suite": suite.value,
        "signing_key": f"file:{signing.resolve()}",
        "archive_keys": references,
        "public_keys": str((out / KEYS_FILE).resolve()),
    }
    if as_json:
        typer.echo(json.dumps({**table, "key_id": public.key_id, "fingerprint": public.fingerprint}, indent=2))
        return
    typer.echo(f"{public.key_id}   SHA-256 {public.fingerprint}")
    typer.echo(say("In gateway.toml:", "gateway.toml 中须有："))
    typer.echo("  [evidence]")
    for key, value in table.items():
        typer.echo(f"  {key} = {json.dumps(value, ensure_ascii=False)}")
    typer.echo(uncertified())


@keys.command("show", help=say("Show the public keys, old ones too.", "查看公钥（含已更换的）。"))
def show(config: Config = None, as_json: AsJson = False) -> None:
    """Prints the public keys that verifiers need; the one that signs now is marked."""
    try:
        found, signing = _public_keys(load_settings(config))
    except (ConfigError, SigningUnavailableError, ValueError) as error:
        raise fail([str(error)], 1) from error
    if as_json:
        rows = [{**shown(key), "fingerprint": key.fingerprint, "signs": key.key_id == signing} for key in found]
        typer.echo(json.dumps({"keys": rows}, indent=2))
        return
    if not found:
        english = (
            "No key is configured; run xinyidai keys generate, put what it prints into gateway.toml, state --config"
        )
        chinese = "配置中没有密钥：请运行 xinyidai keys generate，将其输出写入 gateway.toml，并指定 --config"
        raise fail([say(english, chinese)], 1)
    for key in found:
        mark = say("signs now", "当前签名") if key.key_id == signing else ""
        typer.echo(f"{key.key_id}   {key.algorithm}   SHA-256 {key.fingerprint}   {mark}".rstrip())
        typer.echo(key.pem)


def _public_keys(settings: Settings) -> tuple[list[PublicKey], str]:
    evidence, trail = settings.gateway.evidence, settings.gateway.audit.path
    known = read_public_keys(evidence.public_keys_file(trail))
    if not evidence.is_stated:
        return list(known.values()), ""
    signing = evidence.built(trail).signer.public_key
    return list({**known, signing.key_id: signing}.values()), signing.key_id


def _signing(out: Path, algorithm: str) -> tuple[Path, PublicKey]:
    draft = out / ".evidence-new.pem"
    draft.unlink(missing_ok=True)
    write_secret(draft, new_signing_key(algorithm))
    public = ReferredSigner(algorithm, f"file:{draft}").public_key
    return draft.rename(out / f"evidence-{public.key_id}.pem"), public


def _archive(out: Path, cipher: str) -> Path:
    draft = out / ".archive-new.key"
    draft.unlink(missing_ok=True)
    write_secret(draft, new_archive_key(KEY_BYTES[cipher]))
    return draft.rename(out / f"archive-{KeyringCipher(cipher, [f'file:{draft}']).key_id}.key")


def evidence_notes(settings: Settings) -> list[str]:
    """Gives whether answers are signed and archived, by which suite and keys, for `check-config`; the keys were checked."""
    evidence, is_archiving = settings.gateway.evidence, settings.gateway.archive.enabled
    if not (evidence.is_stated or is_archiving):
        english = "answers are neither signed nor archived; evidence.signing_key signs, archive.enabled archives too"
        return [say(english, "应答既不签名也不归档；配置 evidence.signing_key 即签名，archive.enabled 另行归档")]
    archived = say("archived", "并归档") if is_archiving else say("not archived", "不归档")
    algorithms = SUITES[evidence.suite]
    notes = [
        f"{say('answers are signed', '应答签名')}, {archived}",
        f"{evidence.suite}: {algorithms.digest}, {algorithms.signature}, {algorithms.cipher}; {uncertified()}",
    ]
    if not evidence.is_stated:
        made = "keys of development, made beside the trail, on loopback only"
        return [*notes, say(made, "开发用密钥，自动生成于留痕文件旁，仅限本机")]
    suite = evidence.built(settings.gateway.audit.path)
    notes.append(
        f"{say('signs', '签名')} {suite.signer.key_id} ({suite.implementation}), {shown_reference(evidence.signing_key)}"
    )
    if is_archiving:
        pairs = zip(suite.cipher.key_ids, evidence.archive_keys, strict=True)
        notes += [f"{say('seals', '加密')} {key_id}, {shown_reference(reference)}" for key_id, reference in pairs]
    return notes
