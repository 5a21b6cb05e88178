"""`xinyidai verify view.bin`: what an answer's evidence proves, checked offline, told in plain words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.adapters.crypto.verify import PublicKey
from gateway.adapters.crypto.verify import verify as verify_signature
from gateway.adapters.rpc.evidence import delivered_of, questions_of
from gateway.cli.options import AsJson, fail
from gateway.cli.public_keys import read_keys
from gateway.cli.words import say
from gateway.domain.evidence import Receipt, SignedRoot
from gateway.domain.merkle import root_message
from gateway.domain.proof import Checked, Delivered, Step, check

_KEYS: Final = Path("var/evidence-keys.json")

app = typer.Typer(add_completion=False)


@app.command()
def verify(
    response: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help=say(
                "The response as it came: of query --output or archive get --output.",
                "收到的原始应答文件： 由 query --output 或 archive get --output 保存。",
            ),
        ),
    ],
    public_key: Annotated[
        Path,
        typer.Option(
            help=say(
                "The gateway's public keys (JSON by key id), or one key in PEM or hexadecimal.",
                "网关公钥文件 （按密钥标识的 JSON）， 或单个 PEM、 十六进制公钥。",
            )
        ),
    ] = _KEYS,
    request: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help=say("The question as it was sent, to be checked too.", "所发送的查询文件，一并核验。"),
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tells what holds; exits 1 at the first step that does not, 2 where there is nothing to check or no key."""
    try:
        delivered = delivered_of(response.read_bytes())
    except ValueError as error:
        english = "it was altered, or was not written by query --output or archive get --output of a gateway that signs"
        chinese = "文件已被改动，或并非由签名网关的 query --output、archive get --output 保存"
        raise fail([f"{response}: {error}", say(english, chinese)], 2) from error
    try:
        keys = read_keys(public_key)
    except ValueError as error:
        raise fail([str(error)], 2) from error
    questions = questions_of(request.read_bytes()) if request is not None else ()
    checked = check(delivered, lambda root: is_signed(root, keys), questions=questions)
    is_key_known = bool({delivered.receipt.root.key_id, ""} & {key.key_id for key in keys})
    if as_json:
        typer.echo(json.dumps({**_as_table(delivered, checked), "is_key_known": is_key_known}, indent=2))
    else:
        keys_lack = None if is_key_known else public_key
        for line in _lines(delivered.receipt, checked, is_asked=request is not None, keys_lack=keys_lack):
            typer.echo(line)
    if checked.failed is not None:
        raise typer.Exit(1)


def is_signed(root: SignedRoot, keys: Sequence[PublicKey]) -> bool:
    """Whether one of the keys, the one that the root names, signed it."""
    return any(
        verify_signature(root.algorithm, key.public_key, root_message(root), root.signature)
        for key in keys
        if key.algorithm == root.algorithm and key.key_id in (root.key_id, "")
    )


def _as_table(delivered: Delivered, checked: Checked) -> dict[str, object]:
    leaf, root = delivered.receipt.leaf, delivered.receipt.root
    return {
        "is_proved": checked.failed is None,
        "failed": checked.failed,
        "held": list(checked.held),
        "answer_id": leaf.answer_id,
        "view_id": leaf.view_id,
        "bank": leaf.bank,
        "answered_at": leaf.at,
        "root_sequence": root.sequence,
        "signed_at": root.signed_at,
        "digest": root.digest,
        "algorithm": root.algorithm,
        "key_id": root.key_id,
    }


def _lines(receipt: Receipt, checked: Checked, *, is_asked: bool, keys_lack: Path | None) -> list[str]:
    leaf, root = receipt.leaf, receipt.root
    words = {
        Step.DIGEST: say(f"the digest {root.digest} is known here", f"摘要算法 {root.digest} 可核验"),
        Step.ANSWER: say("the evidence is of this answer and this view", "证据对应本次应答与本视图"),
        Step.VIEW: say("the view's bytes are those the evidence speaks of", "视图字节与证据所载摘要一致"),
        Step.REQUEST: say("the question is the one that was answered", "查询与所应答的查询一致"),
        Step.INCLUSION: say(
            f"the answer is number {receipt.position + 1} of the {root.leaf_count} under the root",
            f"该应答为根下 {root.leaf_count} 个应答中的第 {receipt.position + 1} 个",
        ),
        Step.SIGNATURE: say(
            f"the root is signed by the key {root.key_id} ({root.algorithm})",
            f"根由密钥 {root.key_id}（{root.algorithm}）签名",
        ),
    }
    lines = [f"{say('holds', '成立')}   {words[step]}" for step in checked.held]
    if checked.failed is not None:
        lines += [f"{say('FAILS', '不成立')}   {words[checked.failed]}", say("Not proved.", "未获证明。")]
        if checked.failed is Step.SIGNATURE and keys_lack is not None:
            english = f"{keys_lack} holds no key of that name: ask the gateway's operator for its keys, old ones too"
            lines.append(say(english, f"{keys_lack} 中没有该密钥：请向网关运营方获取公钥（含已更换的）"))
        return lines
    proved = say(
        f"Proved: {leaf.bank} was answered {leaf.answer_id} with this very view at {leaf.at}, by the gateway's clock.",
        f"已证明：{leaf.bank} 于 {leaf.at}（网关时钟）获得应答 {leaf.answer_id}，内容即为本视图。",
    )
    not_proved = say(
        "Not proved: that what platforms said is true; that the trail still holds it (see its entry "
        f"{root.sequence}, xinyidai audit verify)",
        f"未证明：平台所述内容属实；留痕至今完好（见第 {root.sequence} 条，xinyidai audit verify）",
    )
    if not is_asked:
        not_proved += say("; what was asked (state --request)", "；所提查询内容（可用 --request 指定）")
    return [*lines, proved, not_proved + say(".", "。")]
