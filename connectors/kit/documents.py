"""Guarded parsers: JSON with exact numbers and bounded depth, XML without DTD, entities or network."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from lxml import etree

MAX_DEPTH: Final = 64
_LONG: Final = 2_048
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*\?>")
_DOCTYPE: Final = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


class BadDocument(ValueError):  # noqa: N818  # it is what the platform sent, not an error of ours
    """A document that cannot be read; `reason` is a short stable code, `detail` holds no payload."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_json(body: bytes | str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Gives the parsed document, fractions as Decimal and whole numbers exact; of a repeated key the last one counts.

    Raises BadDocument: "empty", "truncated", "json", "too_deep", "charset".
    """
    if not body or body.isspace():
        raise BadDocument("empty", "no body")
    try:
        document = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        reason = "truncated" if "truncated" in str(error) else "json"
        raise BadDocument(reason, "not JSON") from error
    except RecursionError as error:
        raise BadDocument("too_deep", "nested too deeply") from error
    except UnicodeError as error:
        raise BadDocument("charset", "a text in the JSON is not strict UTF-8") from error
    except InvalidOperation as error:  # an exponent that Decimal cannot hold
        raise BadDocument("json", "a number out of range") from error
    if _opens_more_than(body, max_depth) and _depth(document) > max_depth:
        raise BadDocument("too_deep", f"nested deeper than {max_depth}")
    return document


def _opens_more_than(body: bytes | str, most: int) -> bool:
    """Whether a document may hold more objects and lists; a long one is looked through sooner as values than as text."""
    if len(body) > _LONG:
        return True
    if isinstance(body, str):
        return body.count("[") + body.count("{") > most
    return body.count(b"[") + body.count(b"{") > most


def _depth(document: Any) -> int:
    depth, level = 0, [document] if isinstance(document, (dict, list)) else []
    while level:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
    return depth


def read_xml(text: str, *, max_depth: int = MAX_DEPTH) -> etree._Element:
    """Gives the root element of an already decoded document.

    A DOCTYPE or entity declaration anywhere, CDATA included, is refused before parsing, since an internal entity's text
    still comes through XPath. Raises BadDocument: "empty", "dtd", "truncated", "xml", "too_deep", "too_large".
    """
    if not text.strip():
        raise BadDocument("empty", "no body")
    if _DOCTYPE.search(text):
        raise BadDocument("dtd", "a DOCTYPE or entity declaration is refused")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
    try:
        root = etree.fromstring(_DECLARATION.sub("", text, count=1), parser)
    except etree.XMLSyntaxError as error:
        message = str(error)
        if "depth" in message.lower():
            raise BadDocument("too_deep", "nested too deeply") from error
        if "Resource limit" in message or "too long" in message:
            raise BadDocument("too_large", "a name, text or attribute beyond the parser's limits") from error
        cut = text.lstrip().startswith("<") and (
            "Premature end" in message
            or "EndTag" in message
            or "find end" in message
            or not text.rstrip().endswith(">")  # inside a tag or text: a whole document ends with the root's own end
        )
        raise BadDocument("truncated" if cut else "xml", "not well-formed XML") from error
    except ValueError as error:
        raise BadDocument("xml", "characters that XML forbids") from error
    if _xml_depth(root, max_depth) > max_depth:
        raise BadDocument("too_deep", f"nested deeper than {max_depth}")
    return root


def _xml_depth(root: etree._Element, limit: int) -> int:
    depth, level = 0, [root]
    while level and depth <= limit:
        depth += 1
        level = [child for node in level for child in node]
    return depth
