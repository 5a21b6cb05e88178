"""Forms in which names and document numbers (文号) are compared; what is shown stays as it was written.

NFKC folds full-width letters, digits and round brackets to ASCII but keeps 〔〕【】, which only document numbers unify:
〔2020〕3号, [2020]3号 and （2020）3号 are one number, while brackets in a name are part of the name. What nobody sees
(zero-width, direction and control characters) does not tell two texts apart. Characters of private use and those newer
than our Unicode tables stay: rare characters of names are written with them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_BRACKETS: Final = str.maketrans(dict.fromkeys("〔[【〖", "(") | dict.fromkeys("〕]】〗", ")"))
# As the parts of a name are parted by: bullet, bullet operator, katakana's, hyphenation point, Greek's, dot operator, stop.
_DOTS: Final = str.maketrans(dict.fromkeys("\u2022\u2219\u30fb\u2027\u0387\u22c5\uff0e", "\u00b7"))
# Those, combining marks, radicals, compatibility ideographs, and letters and digits in full width.
_LIKE_ANOTHER: Final = re.compile(
    "[\u2022\u2219\u30fb\u2027\u0387\u22c5\u0300-\u036f\u2e80-\u2fdf\uf900-\ufaff\uff0e\uff10-\uff19\uff21-\uffef\U0002f800-\U0002fa1f]"
)
_INVISIBLE: Final = frozenset({"Cf", "Cc"})
_CACHED: Final = 16_384


@lru_cache(maxsize=_CACHED)
def normalise_name(text: str) -> str:
    """Gives a name for comparison: NFKC, nothing blank or invisible, upper case; the middle dot stays."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _visible("".join(folded.split()).upper())


@lru_cache(maxsize=_CACHED)
def as_seen(text: str) -> str:
    """Gives a text for looking up a name in it: what reads alike is alike, every middle dot one, letters as they are."""
    folded = text
    if _LIKE_ANOTHER.search(text):  # most texts have none, and NFKC takes its time for their every full-width comma
        folded = unicodedata.normalize("NFKC", text.translate(_DOTS)).translate(_DOTS)
    return _visible("".join(folded.replace("\uff08", "(").replace("\uff09", ")").split()))


def _visible(joined: str) -> str:
    if joined.isprintable():  # nearly always; the rest is told apart one by one
        return joined
    return "".join(character for character in joined if unicodedata.category(character) not in _INVISIBLE)


@lru_cache(maxsize=_CACHED)
def normalise_document_number(text: str) -> str:
    """Gives a document number for comparison: as a name, with every style of bracket unified."""
    return normalise_name.__wrapped__(text).translate(_BRACKETS)
