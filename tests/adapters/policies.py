"""The shipped policies, and some of a test's own, compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.adapters.rights.cedar import CedarRights
from gateway.adapters.rights.policies import Policies, compile_policies
from gateway.adapters.rights.sources import PolicyFolders
from gateway.domain.caller import Caller, Role

CONFIG: Final = Path(__file__).parents[2] / "config"
CERTIFICATE: Final = "ab" * 32


def compiled(folder: Path | None = None, **files: str) -> Policies:
    """Gives the shipped policies, with files of a folder over them that are written first, by their names without ending."""
    if folder is None:
        return compile_policies(PolicyFolders([CONFIG]).read())
    write(folder, **files)
    return compile_policies(PolicyFolders([CONFIG, folder]).read())


def write(folder: Path, **files: str) -> None:
    """Writes policy files into a configuration folder."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / "policies" / f"{name}.cedar").write_text(text, encoding="utf-8")


def rights(folder: Path | None = None, **files: str) -> CedarRights:
    """Gives rights under those policies."""
    return CedarRights(compiled(folder, **files))


def caller(*roles: Role, bank: str = "bank-a", branch: str = "", operator: str = "", province: str = "") -> Caller:
    """Gives a caller with a certificate."""
    return Caller(bank, frozenset(roles), operator, branch, province, CERTIFICATE)
