"""Masks (脱敏) of what is about persons: how names, numbers, addresses and texts are shown where nothing lifts the mask.

Where they are put on in a view, see `masking.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway._pb.xinyidai.catalogue.v1 import options_pb2
from gateway.domain.names import as_seen

Mask = Callable[[str], str]

_STAR: Final = "*"
_IDENTITY: Final = re.compile(  # of old and new identity cards, and of bank accounts, written in groups too
    r"\d{15,}[XxＸｘ]?|(?<!\d)(?:\d{6}[ -]\d{8}[ -]\d{3}[\dXxＸｘ]|\d{4}(?:[ -]\d{4}){3}(?:[ -]\d{1,3})?)(?!\d)"
)
_TELEPHONE: Final = re.compile(
    r"((?<!\d)(?:(?:\+|00)?86[ -]?)?)(1[3-9]\d([ -]?)\d{4}\3\d{4}|0\d{2,3}[)）]?[ -]?\d{3,4}[ -]?\d{4})(?!\d)"
)
_LONG_NUMBER: Final = re.compile(r"\d[\d -]{8}|[)）]\d{7}|\d{3}[)）][ -]?\d{3}")
"""Without this there is no identity or telephone number: most texts are told by one search."""
_FEWEST: Final = 5
"""What is shorter is taken for a person's name: an organisation's, which ends with what kind it is, is longer."""
_ORGANISATIONS: Final = re.compile(
    r"公司|集团|银行|合伙|企业|中心|合作社|委员会|管理局|政府|基金|信托|协会|学校|大学|医院|研究院|研究所|事务所"
    r"|厂$|店$|行$|社$|\b(?:Ltd|LLC|Inc|Corp|Co)\b"
)


def mask_name(name: str) -> str:
    """Gives 张* for 张三: how long the name is shows up to four characters only."""
    name = name.strip()
    if len(name) < 2:
        return _STAR * len(name)
    return name[0] + _STAR * min(len(name) - 1, 3)


def mask_party(name: str) -> str:
    """Masks a name that may be a person's or an organisation's, unless it is evidently an organisation's."""
    return name if len(name) >= _FEWEST and _ORGANISATIONS.search(name) else mask_name(name)


def mask_number(number: str) -> str:
    """Gives 310***********1234, or 138****1234: the first three and last four characters of one that is long enough."""
    number = number.strip()
    if len(number) < 10:
        return _STAR * len(number)
    return number[:3] + _STAR * (len(number) - 7) + number[-4:]


def mask_address(address: str) -> str:
    """Keeps the first six characters, which name province and city, of an address that goes on."""
    return address[:6] + _STAR * 4 if len(address) > 6 else _STAR * len(address)


def mask_text(text: str) -> str:
    """Masks identity, account and telephone numbers where they stand in a text; for names see `mask_names`."""
    if not _LONG_NUMBER.search(text):
        return text
    masked = _IDENTITY.sub(lambda found: mask_number(found[0]), text)
    return _TELEPHONE.sub(lambda found: found[1] + mask_number(found[2]), masked)


def mask_names(text: str, names: Iterable[str]) -> str:
    """Masks the names where they stand in a text as it is read; they come as `as_seen` gives them, the longest first."""
    seen = left = as_seen.__wrapped__(text)
    found: list[tuple[int, str]] = []
    for name in names:
        at = left.find(name)
        if at < 0:
            continue
        while at >= 0:
            found.append((at, name))
            at = left.find(name, at + len(name))
        left = left.replace(name, _TAKEN * len(name))
    return _masked_at(text, seen, found) if found else text


_TAKEN: Final = "\0"  # no character that is seen


def _masked_at(text: str, seen: str, found: list[tuple[int, str]]) -> str:
    """Masks names by where they are seen; what stands between them stays as written."""
    parts = [(part, place) for place, character in enumerate(text) for part in as_seen(character)]
    if any("".join([part for part, _ in parts[at : at + len(name)]]) != name for at, name in found):
        # Characters are put together of several: the text is shown as it is seen.
        text, parts = seen, [(part, place) for place, part in enumerate(seen)]
    shown: list[str] = []
    done = 0
    for at, name in sorted(found):
        first, last = parts[at][1], parts[at + len(name) - 1][1]
        shown += text[done:first], text[first], mask_name(name)[1:]
        done = last + 1
    return "".join((*shown, text[done:]))


MASKS: Final[Mapping[int, Mask]] = {
    options_pb2.MASK_NAME: mask_name,
    options_pb2.MASK_PARTY: mask_party,
    options_pb2.MASK_ID_NUMBER: mask_number,
    options_pb2.MASK_PHONE: mask_number,
    options_pb2.MASK_ADDRESS: mask_address,
    options_pb2.MASK_TEXT: mask_text,
}
