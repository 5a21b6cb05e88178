"""Codes of synthetic enterprises, made by code of their own: sandbox and connector cannot share a mistake."""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def code_of(prefix: str, division: str, organisation8: str) -> str:
    """Makes a valid 18-character code from its first two characters, division and the organisation's first eight."""
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    inner = 11 - sum(int(c, 36) * w for c, w in zip(organisation8, weights, strict=True)) % 11
    first17 = prefix + division + organisation8 + ("X" if inner == 10 else "0" if inner == 11 else str(inner))
    total, weight = 0, 1
    for character in first17:
        total += ALPHABET.index(character) * weight
        weight = weight * 3 % 31
    return first17 + ALPHABET[-total % 31]


def registration_number(first14: str) -> str:
    """Makes a valid 15-digit registration number."""
    product = 10
    for digit in first14:
        product = (product + int(digit)) % 10 or 10
        product = product * 2 % 11
    return first14 + str((11 - product) % 10)
