"""The table [wire] of a platform that needs no wire code, checked before anything is asked: every fault by its key.

`RestConnector` says what each key is for. Nothing else reads the table, so a key that is not known here is read by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from connectors.kit.envelope import read_verdict

SIGNED_BY: Final = ("hmac_sm3",)
"""What [wire.sign] may ask for; a platform that signs otherwise has a connector class that says how."""
SIGNING_SECRETS: Final = ("app_key", "app_secret")

_Keys = Mapping[str, tuple[Callable[[Any], bool], str]]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


_TEXT: Final = (_is_text, "must be a text")
_TABLE: Final = (_is_table, "must be a table")
_COUNT: Final = (_is_count, "must be a whole number above 0")
_PATH: Final = (
    lambda value: _is_text(value) and value.startswith("/") and "{uscc}" in value,
    "must begin with / and hold {uscc}, where the enterprise's code goes",
)
_TOP: Final[_Keys] = {
    "method": (lambda value: value in ("GET", "POST"), "must be GET or POST"),
    "path": _PATH,
    "charset": _TEXT,
    "content_types": (_is_list, 'must be a list such as ["application/json"]'),
    "categories": _TABLE,
    "sign": _TABLE,
    "envelope": _TABLE,
    "status": _TABLE,
    "paging": _TABLE,
}
_INNER: Final[Mapping[str, _Keys]] = {
    "categories": {"parameter": _TEXT, "separator": _TEXT},
    "sign": {
        "kind": (
            lambda value: value in SIGNED_BY,
            f"must be one of {', '.join(SIGNED_BY)}; a platform that signs otherwise needs a connector class",
        )
    },
    "envelope": {"code": _TEXT, "data": (lambda value: isinstance(value, str), "must be a text"), "codes": _TABLE},
    "paging": {"page": _TEXT, "size": _TEXT, "page_size": _COUNT, "total": _TEXT, "max_pages": _COUNT},
}
_MAY_LACK: Final = frozenset({"data"})


def wire_faults(wire: Mapping[str, Any], unnamed: Sequence[str], secrets: Collection[str]) -> list[str]:
    """Gives every fault of a manifest's [wire]; `unnamed` are the mapping's types that have no `category_key`."""
    faults = _checked(wire, "wire", _TOP, needed=("path", "envelope"))
    for name, keys in _INNER.items():
        if isinstance(table := wire.get(name), Mapping):
            faults += _checked(table, f"wire.{name}", keys, needed=[key for key in keys if key not in _MAY_LACK])
    faults += _verdict_faults(_table(_table(wire.get("envelope")).get("codes")), "wire.envelope.codes")
    statuses = _table(wire.get("status"))
    faults += [f"wire.status.{status}: must be an HTTP status" for status in statuses if not status.isdecimal()]
    faults += _verdict_faults(statuses, "wire.status")
    if "sign" in wire:
        missing = [name for name in SIGNING_SECRETS if name not in secrets]
        faults += [f"wire.sign: needs the secret {name}; name it in the plugin's secrets" for name in missing]
    faults = [f"manifest.toml: {fault}" for fault in faults]
    if "categories" in wire:  # which are asked for by their keys
        faults += [
            f"mapping.toml: {name}.category_key: is missing; the manifest has wire.categories" for name in unnamed
        ]
    return faults


def _checked(table: Mapping[str, Any], where: str, keys: _Keys, *, needed: Sequence[str]) -> list[str]:
    faults = [f"{where}.{key}: unknown key; known are {', '.join(keys)}" for key in table if key not in keys]
    faults += [f"{where}.{key}: is missing" for key in needed if key not in table]
    return faults + [f"{where}.{key}: {keys[key][1]}" for key in table if key in keys and not keys[key][0](table[key])]


def _verdict_faults(meanings: Mapping[str, Any], where: str) -> list[str]:
    faults = []
    for key, meaning in meanings.items():
        try:
            read_verdict(str(meaning))
        except ValueError as error:
            faults.append(f"{where}.{key}: {error}")
    return faults


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
