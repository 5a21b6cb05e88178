"""Forms in which names and document numbers (文号) are compared; what is shown stays as it was written.

NFKC folds full-width letters, digits and round brackets to ASCII but keeps 〔〕【】, which only document numbers unify:
〔2020〕3号, [2020]3号 and （2020）3号 are one number, while brackets in a name are part of the name. What nobody sees
(zero-width, direction and control characters) does not tell two texts apart. Characters of private use and those newer
than our Unicode tables stay: rare characters of names are written with them.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

_BRACKETS: Final = str.maketrans(dict.fromkeys("〔[【〖", "(") | dict.fromkeys("〕]】〗", ")"))
_INVISIBLE: Final = frozenset({"Cf", "Cc"})
_CACHED: Final = 16_384


@lru_cache(maxsize=_CACHED)
def normalise_name(text: str) -> str:
    """Gives a name for comparison: NFKC, nothing blank or invisible, upper case; the middle dot stays."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    joined = "".join(folded.split()).upper()
    if joined.isprintable():  # nearly always; the rest is told apart one by one
        return joined
    return "".join(character for character in joined if unicodedata.category(character) not in _INVISIBLE)


@lru_cache(maxsize=_CACHED)
def normalise_document_number(text: str) -> str:
    """Gives a document number for comparison: as a name, with every style of bracket unified."""
    return normalise_name.__wrapped__(text).translate(_BRACKETS)
