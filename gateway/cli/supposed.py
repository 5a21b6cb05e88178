"""Whom `xinyidai access check` asks about: callers as banks.toml has them, or as options suppose them.

A certificate has one duty. A bank with certificates for several duties is several callers, one for each set of roles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from gateway.cli.words import say
from gateway.domain.caller import Caller, CertificateHolder, Role
from gateway.identity_settings import FILE, Banks

_CERTIFICATE: Final = "supposed"
"""Stands for the certificate of the caller that is asked about: whoever comes from beyond loopback has one."""


@dataclass(frozen=True, slots=True)
class Supposed:
    """A caller, and the names of certificates in banks.toml by which it is known; none where only options say who it is."""

    caller: Caller
    names: tuple[str, ...] = ()


def supposed_callers(banks: Banks, stated: Caller, san: str) -> list[Supposed]:
    """Gives whom is asked about: as stated where it states roles, else as banks.toml has the SAN or the bank.

    Raises ValueError that says what to state.
    """
    if stated.roles and san:
        text = "state --role or --san: a name in banks.toml has its roles"
        raise ValueError(say(text, "--role 与 --san 只能给出其一：banks.toml 中的名称已有角色"))
    if stated.roles:
        return [Supposed(replace(stated, certificate=_CERTIFICATE))]
    holders = banks.register.holders
    if san:
        holder = holders.get(san)
        if holder is None:
            raise ValueError(_unknown("SAN", san, holders))
        if stated.bank and stated.bank != holder.bank:
            text = f"{san} is not a name of {stated.bank}; leave --bank out"
            raise ValueError(say(text, f"{san} 不是 {stated.bank} 的证书名称；请省略 --bank"))
        return [_as_held(stated, holder, [san])]
    if not stated.bank:
        text = "say whom: --bank or --san as banks.toml has them, or --role"
        raise ValueError(say(text, "请说明调用方：banks.toml 中的 --bank 或 --san，或 --role"))
    if stated.bank not in banks.banks:
        raise ValueError(_unknown(say("bank", "银行"), stated.bank, banks.banks))
    by_roles: dict[frozenset[Role], tuple[CertificateHolder, list[str]]] = {}
    for name, holder in holders.items():
        if holder.bank == stated.bank:
            by_roles.setdefault(holder.roles, (holder, []))[1].append(name)
    if not by_roles:
        text = f"{FILE} gives {stated.bank} no certificate, so that it may do nothing; state --role to suppose one"
        raise ValueError(say(text, f"{FILE} 中 {stated.bank} 没有证书，不可进行任何操作；可用 --role 假设角色"))
    return [_as_held(stated, holder, names) for holder, names in by_roles.values()]


def _as_held(stated: Caller, holder: CertificateHolder, names: Iterable[str]) -> Supposed:
    caller = replace(
        stated,
        bank=holder.bank,
        roles=holder.roles,
        province=stated.province or holder.province,
        certificate=_CERTIFICATE,
    )
    return Supposed(caller, tuple(names))


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    listed = ", ".join(sorted(known)) or "–"
    return say(
        f"{FILE} has no {kind} {name!r}: {listed}; or state --role to suppose one",
        f"{FILE} 中没有{kind} {name!r}：{listed}；也可用 --role 假设角色",
    )
