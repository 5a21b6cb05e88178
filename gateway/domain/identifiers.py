"""Identifiers of an enterprise: 统一社会信用代码 (GB 32100-2015), 组织机构代码 (GB 11714), 注册号 (GS 15-2006).

Parsing folds width, case, white space and hyphens; what it gives is canonical and is not checked again. A wrong check
character of the whole code is an error; a wrong inner check character of the organisation code is a warning, since not
every legacy code has a right one. Codes are texts: an all-digit code does not survive as a number.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.domain.errors import InvalidIdentifierError

ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE: Final = {character: value for value, character in enumerate(ALPHABET)}
_WEIGHTS: Final = tuple(3**i % 31 for i in range(17))
_REGISTRY_CODES: Final = frozenset("123456789ANY")
_ORG_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_DASHES: Final = dict.fromkeys(map(ord, "-‐‑‒–—－−"), None)


class IdentifierWarning(StrEnum):
    """What is odd about an identifier that is accepted all the same."""

    INNER_CHECK = "inner_check"


def _fold(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise InvalidIdentifierError(f"{what} must be a text, not {type(text).__name__}: as a number it loses digits")
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return "".join(folded.translate(_DASHES).split()).upper()


def uscc_check_character(first17: str) -> str:
    """Gives the check character of the first 17; raises KeyError for a character outside the alphabet.

    When the weighted sum is a multiple of 31 the formula gives 31, which wraps to "0".
    """
    total = sum(_VALUE[character] * weight for character, weight in zip(first17, _WEIGHTS, strict=True))
    return ALPHABET[(31 - total % 31) % 31]


def organisation_check_character(first8: str) -> str:
    """Gives the GB 11714 check character of the first 8 characters of an organisation code."""
    total = sum(int(c, 36) * weight for c, weight in zip(first8, _ORG_WEIGHTS, strict=True))
    check = 11 - total % 11
    return {10: "X", 11: "0"}.get(check, str(check))


@dataclass(frozen=True, slots=True)
class Uscc:
    """A unified social credit code (统一社会信用代码), canonical and with a right check character."""

    value: str

    @classmethod
    def parse(cls, text: object) -> Uscc:
        """Gives the code; raises InvalidIdentifierError naming the 1-based position of the first fault."""
        code = _fold(text, "a unified social credit code")
        if len(code) != 18:
            raise InvalidIdentifierError(
                f"a unified social credit code has 18 characters, this one has {len(code)}; "
                "check for missing or doubled characters",
                position=min(len(code), 18) + 1 if len(code) < 18 else 19,
            )
        for place, character in enumerate(code, start=1):
            if character not in _VALUE:
                raise InvalidIdentifierError(
                    f"position {place}: {character!r} is not used in these codes "
                    "(the alphabet is 0-9 and A-Y without I, O, S, V, Z); check for a typing error",
                    position=place,
                )
        if code[0] not in _REGISTRY_CODES:
            raise InvalidIdentifierError(
                f"position 1: {code[0]!r} is no registering department (登记管理部门码)", position=1
            )
        for place in range(3, 9):
            if not code[place - 1].isdigit():
                raise InvalidIdentifierError(
                    f"position {place}: {code[place - 1]!r} must be a digit of the division code",
                    position=place,
                )
        expected = uscc_check_character(code[:17])
        if code[17] != expected:
            raise InvalidIdentifierError(
                f"position 18: check character is {code[17]!r}, expected {expected!r}; "
                "check the code for a typing error",
                position=18,
            )
        return cls(code)

    @property
    def division(self) -> str:
        """The six-digit division code of the authority at first registration; a hint at best."""
        return self.value[2:8]

    @property
    def province_hint(self) -> str | None:
        """The first two digits of the division; None for nationally registered codes (100000)."""
        prefix = self.value[2:4]
        return None if prefix == "10" else prefix

    @property
    def organisation_code(self) -> str:
        """The organisation code inside (GB 11714), 9 characters without hyphen; joins to legacy data."""
        return self.value[8:17]

    @property
    def warnings(self) -> tuple[IdentifierWarning, ...]:
        """What is odd about the code."""
        inner = self.organisation_code
        is_right = organisation_check_character(inner[:8]) == inner[8]
        return () if is_right else (IdentifierWarning.INNER_CHECK,)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class OrganisationCode:
    """An organisation code (组织机构代码, GB 11714), 9 characters without hyphen."""

    value: str

    @classmethod
    def parse(cls, text: object) -> OrganisationCode:
        """Gives the code; raises InvalidIdentifierError."""
        code = _fold(text, "an organisation code")
        if len(code) != 9 or not (code.isascii() and code.isalnum()):
            raise InvalidIdentifierError("an organisation code has 9 letters and digits")
        expected = organisation_check_character(code[:8])
        if code[8] != expected:
            raise InvalidIdentifierError(
                f"position 9: check character is {code[8]!r}, expected {expected!r}", position=9
            )
        return cls(code)


@dataclass(frozen=True, slots=True)
class RegistrationNumber:
    """An old registration number (注册号): 15 digits with a check digit, or 13 digits, opaque, from before 2007."""

    value: str

    @classmethod
    def parse(cls, text: object) -> RegistrationNumber:
        """Gives the number; raises InvalidIdentifierError."""
        number = _fold(text, "a registration number")
        if not (number.isascii() and number.isdigit()) or len(number) not in (13, 15):
            raise InvalidIdentifierError("a registration number has 15 digits, or 13 before 2007")
        if len(number) == 15:
            expected = registration_check_digit(number[:14])
            if number[14] != expected:
                raise InvalidIdentifierError(
                    f"position 15: check digit is {number[14]!r}, expected {expected!r}", position=15
                )
        return cls(number)


def registration_check_digit(first14: str) -> str:
    """Gives the check digit of a 15-digit registration number (GB/T 17710, MOD 11,10)."""
    product = 10
    for digit in first14:
        product = (product + int(digit)) % 10 or 10
        product = product * 2 % 11
    return str((11 - product) % 10)


def organisation_code_of_tax_number(tax_number: str) -> str | None:
    """Gives the organisation code inside a legacy taxpayer number (15 characters: division and code), else None."""
    folded = _fold(tax_number, "a taxpayer number")
    return folded[6:] if len(folded) == 15 else None
