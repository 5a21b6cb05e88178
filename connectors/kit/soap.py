"""SOAP 1.1 as older platforms speak it: a request as text, and an XML document inside a CDATA section of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from lxml import etree

from connectors.kit.documents import read_xml
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import OUTCOME_BAD_ANSWER, OUTCOME_UNREACHABLE
from gateway.domain.errors import PlatformError

_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"


def soap_request(operation: str, namespace: str, arguments: Mapping[str, str]) -> str:
    """Gives the envelope of a call; arguments are escaped."""
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in arguments.items())
    return (
        f'<soapenv:Envelope xmlns:soapenv="{_SOAP}"><soapenv:Body>'
        f'<q:{operation} xmlns:q="{namespace}">{inner}</q:{operation}>'
        "</soapenv:Body></soapenv:Envelope>"
    )


def soap_return(text: str, element: str) -> str:
    """Gives the text of the return element; raises PlatformError for a fault, BadDocument for what is no envelope."""
    root = read_xml(text)
    if root.tag != f"{{{_SOAP}}}Envelope":
        raise PlatformError(OUTCOME_BAD_ANSWER, "envelope", detail="no SOAP envelope")
    fault = root.find(f".//{{{_SOAP}}}Fault")
    if fault is not None:
        raise PlatformError(OUTCOME_UNREACHABLE, "soap_fault", detail=(fault.findtext("faultcode") or "")[:64])
    for found in root.iter():
        if isinstance(found.tag, str) and etree.QName(found).localname == element:
            return found.text or ""
    raise PlatformError(OUTCOME_BAD_ANSWER, "envelope", detail=f"no {element}")


def rows_by_table(root: etree._Element) -> dict[str, list[dict[str, Any]]]:
    """Gives `<rows table="t"><row><key>value</key></row></rows>` as lists of flat objects by table.

    A key that occurs twice in one row would hide a value: such a row is refused.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for rows in root.iter("rows"):
        found = tables.setdefault(rows.get("table", ""), [])
        for row in rows.iter("row"):
            values = {str(cell.tag): cell.text for cell in row}
            if len(values) != len(row):
                raise PlatformError(OUTCOME_BAD_ANSWER, "shape", detail="a key occurs twice in a row")
            found.append(values)
    return tables
