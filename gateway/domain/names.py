"""Forms in which names and document numbers (文号) are compared; what is shown stays as it was written.

NFKC folds full-width letters, digits and round brackets to ASCII but keeps 〔〕【】, which only document numbers unify:
〔2020〕3号, [2020]3号 and （2020）3号 are one number, while brackets in a name are part of the name.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

_BRACKETS: Final = str.maketrans(dict.fromkeys("〔[【〖", "(") | dict.fromkeys("〕]】〗", ")"))
_CACHED: Final = 16_384


@lru_cache(maxsize=_CACHED)
def normalise_name(text: str) -> str:
    """Gives a name for comparison: NFKC, no white space, upper case; the middle dot stays."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return "".join(folded.split()).upper()


@lru_cache(maxsize=_CACHED)
def normalise_document_number(text: str) -> str:
    """Gives a document number for comparison: as a name, with every style of bracket unified."""
    return normalise_name.__wrapped__(text).translate(_BRACKETS)
