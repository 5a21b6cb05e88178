"""Identifiers of an enterprise: 统一社会信用代码 (GB 32100-2015), 组织机构代码 (GB 11714), 注册号 (GS 15-2006).

Parsing folds full width, case, white space and hyphens, and nothing else: a circled digit or a zero-width character is
a fault with a position, not something to guess at. What it gives is canonical and is not checked again. A wrong check
character of the whole code is an error; a wrong inner check character of the organisation code is a warning, since not
every legacy code has a right one. Codes are texts: an all-digit code does not survive as a number.

Every single wrong character and every swap of two is found, save one: the weights are powers of 3, all different modulo
31, but the check character weighs 1 as the first character does, so swapping first and last goes unseen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import registration_pb2
from gateway.domain.errors import InvalidIdentifierError

ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_REGISTRY_CODES: Final = "123456789ANY"
_SHAPE: Final = re.compile(rf"[{_REGISTRY_CODES}][{ALPHABET}][0-9]{{6}}[{ALPHABET}]{{10}}")
# Python's digits of base 34 are 0-9A-X: each character becomes the digit of its value, any other becomes no digit at all.
_BASE_34: Final = bytes(
    b"0123456789ABCDEFGHIJKLMNOPQRSTU"[ALPHABET.index(chr(code))] if chr(code) in ALPHABET else ord("?")
    for code in range(256)
)
_ORG_CHECKS: Final = "0X987654321"  # of each remainder
_FOLD: Final = (
    {full: chr(full - 0xFEE0).upper() for full in range(0xFF01, 0xFF5F)}
    | {ord(lower): lower.upper() for lower in "abcdefghijklmnopqrstuvwxyz"}
    | {space: None for space in range(0x3001) if chr(space).isspace()}
    | dict.fromkeys(map(ord, "-‐‑‒–—－−"), None)
)
_KINDS: Final = {
    "91": registration_pb2.SUBJECT_KIND_ENTERPRISE,
    "92": registration_pb2.SUBJECT_KIND_INDIVIDUAL_BUSINESS,
    "93": registration_pb2.SUBJECT_KIND_COOPERATIVE,
    "N1": registration_pb2.SUBJECT_KIND_COLLECTIVE,
    "N2": registration_pb2.SUBJECT_KIND_COLLECTIVE,
    "N3": registration_pb2.SUBJECT_KIND_COLLECTIVE,
}


class IdentifierWarning(StrEnum):
    """What is odd about an identifier that is accepted all the same."""

    INNER_CHECK = "inner_check"


def fold_identifier(text: str) -> str:
    """Gives an identifier as it is compared: full width, case, white space and hyphens folded, nothing checked."""
    return text if text.isascii() and text.isalnum() and text == text.upper() else text.translate(_FOLD)


def _fold(text: object, what: str) -> str:
    if not isinstance(text, str):
        raise InvalidIdentifierError(f"{what} must be a text, not {type(text).__name__}: as a number it loses digits")
    return text.translate(_FOLD)


def uscc_check_character(first17: str) -> str:
    """Gives the check character of the first 17; raises ValueError unless they are 17 characters of the alphabet.

    When the weighted sum is a multiple of 31 the standard's formula gives 31, which wraps to "0".
    """
    if len(first17) != 17:
        raise ValueError("17 characters are needed")
    # The weight of place i is 3 to the power i - 1 modulo 31. As 34 = 31 + 3, the weighted sum is, modulo 31, the
    # code read backwards as a number of base 34: one conversion in C instead of 17 products.
    return ALPHABET[-int(first17[::-1].encode("ascii").translate(_BASE_34), 34) % 31]


def organisation_check_character(first8: str) -> str:
    """Gives the GB 11714 check character of the first 8 characters of an organisation code."""
    # The weight of place i is 2 to the power 9 - i modulo 11. As 35 = 33 + 2, the weighted sum is, modulo 11, twice the
    # code read as a number of base 35, in which Z, 35 as well as 24, is written O.
    return _ORG_CHECKS[int(first8.replace("Z", "O"), 35) * 2 % 11]


@dataclass(frozen=True, slots=True)
class Uscc:
    """A unified social credit code (统一社会信用代码), canonical and with a right check character."""

    value: str

    @classmethod
    def parse(cls, text: object) -> Uscc:
        """Gives the code; raises InvalidIdentifierError naming the 1-based position of the first fault."""
        code = text if isinstance(text, str) and _SHAPE.fullmatch(text) else _shaped(text)
        expected = uscc_check_character(code[:17])
        if code[17] != expected:
            raise InvalidIdentifierError(
                f"position 18: check character is {code[17]!r}, expected {expected!r}; "
                "check the code for a typing error",
                position=18,
            )
        return cls(code)

    @property
    def registry_code(self) -> str:
        """The registering department (登记管理部门码), such as "9" for market regulation."""
        return self.value[0]

    @property
    def kind_code(self) -> str:
        """The kind of body (机构类别码); it means something only together with the registering department."""
        return self.value[1]

    @property
    def subject_kind_hint(self) -> registration_pb2.SubjectKind.ValueType:
        """The kind the first two characters tell, else OTHER; a branch has an enterprise's code and cannot be told."""
        return _KINDS.get(self.value[:2], registration_pb2.SUBJECT_KIND_OTHER)

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


def _shaped(text: object) -> str:
    code = _fold(text, "a unified social credit code")
    # Characters come before the length: a stray one in the middle is the better news than "19 characters".
    for place, character in enumerate(code[:18], start=1):
        if character not in ALPHABET:
            raise InvalidIdentifierError(
                f"position {place}: {character!r} is not used in these codes "
                "(the alphabet is 0-9 and A-Y without I, O, S, V, Z); check for a typing error",
                position=place,
            )
    if len(code) != 18:
        raise InvalidIdentifierError(
            f"a unified social credit code has 18 characters, this one has {len(code)}; "
            "check for missing or doubled characters",
            position=min(len(code) + 1, 19),
        )
    if code[0] not in _REGISTRY_CODES:
        raise InvalidIdentifierError(
            f"position 1: {code[0]!r} is no registering department (登记管理部门码, one of {_REGISTRY_CODES}); "
            "check for a typing error",
            position=1,
        )
    for place, character in enumerate(code[2:8], start=3):
        if not character.isdigit():
            raise InvalidIdentifierError(
                f"position {place}: {character!r} must be a digit of the division code; check for a typing error",
                position=place,
            )
    return code


@dataclass(frozen=True, slots=True)
class OrganisationCode:
    """An organisation code (组织机构代码, GB 11714), 9 characters without hyphen."""

    value: str

    @classmethod
    def parse(cls, text: object) -> OrganisationCode:
        """Gives the code; raises InvalidIdentifierError."""
        code = _fold(text, "an organisation code")
        if len(code) != 9 or not (code.isascii() and code.isalnum()):
            raise InvalidIdentifierError(
                f"an organisation code has 9 letters and digits, the hyphen apart; this text has {len(code)} characters"
            )
        expected = organisation_check_character(code[:8])
        if code[8] != expected:
            raise InvalidIdentifierError(
                f"position 9: check character is {code[8]!r}, expected {expected!r}; check the code for a typing error",
                position=9,
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
            raise InvalidIdentifierError(
                f"a registration number has 15 digits, or 13 before 2007; this text has {len(number)} characters"
            )
        if len(number) == 15:
            expected = registration_check_digit(number[:14])
            if number[14] != expected:
                raise InvalidIdentifierError(
                    f"position 15: check digit is {number[14]!r}, expected {expected!r}; "
                    "check the number for a typing error",
                    position=15,
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
    """Gives the organisation code inside a legacy taxpayer number (15 characters: division and code), else None.

    None too when the code's check character is wrong: an individual business's tax number may be an old identity number
    of 15 digits, and a wrong join is worse than none.
    """
    folded = _fold(tax_number, "a taxpayer number")
    if len(folded) != 15 or not (folded.isascii() and folded.isalnum() and folded[:6].isdigit()):
        return None
    inner = folded[6:]
    return inner if organisation_check_character(inner[:8]) == inner[8] else None
