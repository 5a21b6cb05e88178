"""Bytes to text by the charset the manifest declares, strictly: no replacement character is ever stored.

What a platform's Content-Type says is not asked: the manifest does. A body that is strict UTF-8 and not ASCII is refused
under a declared GB18030, since most UTF-8 Chinese also decodes silently, and wrongly, as GB18030.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from connectors.kit.documents import BadDocument

_GB: Final = frozenset({"gb18030", "gbk", "gb2312"})
_GB_MARK: Final = "\ufeff"

# Python's codec follows GB 18030-2000, where 25 two-byte characters stand in the private use area. ḿ left it in the 2005
# edition; ten vertical punctuation forms and eight ideographs (U+9FB4-9FBB) in the 2022 one. The other six ideographs
# (U+20087 … 241FE) keep their two-byte private code there, but have had a standard code point, and so a second,
# four-byte form, all along: both forms must give one text, or two copies of a name would differ. Sources: the mapping
# changes of ICU 73.2 (ICU-22357) and of the WHATWG Encoding Standard; the text of GB 18030-2022 itself was not at hand.
_PRIVATE: Final = dict(
    zip(
        (0xE7C7, *range(0xE78D, 0xE797), 0xE816, 0xE817, 0xE818, 0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE831,
         0xE832, 0xE83B, 0xE843, 0xE854, 0xE855, 0xE864),
        (0x1E3F, 0xFE10, 0xFE12, 0xFE11, 0xFE13, 0xFE14, 0xFE15, 0xFE16, 0xFE17, 0xFE18, 0xFE19,
         0x20087, 0x20089, 0x200CC, 0x9FB4, 0x9FB5, 0x9FB6, 0x9FB7, 0x215D7, 0x9FB8, 0x2298F,
         0x9FB9, 0x9FBA, 0x241FE, 0x9FBB),
        strict=True,
    )
)  # fmt: skip
_IS_PRIVATE: Final = re.compile(f"[{''.join(map(chr, _PRIVATE))}]")


def decode_declared(body: bytes, charset: str) -> str:
    """Gives the text of a body; raises BadDocument("charset") where it is not strictly in the declared charset."""
    try:
        name = codecs.lookup(charset).name  # cp936 and ms936 are GBK too, and need its guard
        if name in _GB:
            return _decode_gb(body)
        if name == "utf-8" and body.startswith(codecs.BOM_UTF8):
            return body[3:].decode("utf-8")
        return body.decode(name)
    except (UnicodeDecodeError, LookupError) as error:
        raise BadDocument("charset", f"not strictly {charset}") from error


def _decode_gb(body: bytes) -> str:
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            pass  # as it should be: GB 18030 Chinese is hardly ever valid UTF-8
        else:
            raise BadDocument("charset", "declared GB18030, but the body is UTF-8")
    try:
        text = body.decode("gb18030")
    except UnicodeDecodeError as error:
        raise BadDocument("charset", "not strictly GB18030") from error
    text = text.removeprefix(_GB_MARK)
    # A search costs a fifth of a translation, and nearly no body needs one.
    return text.translate(_PRIVATE) if _IS_PRIVATE.search(text) is not None else text
