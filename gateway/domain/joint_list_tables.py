"""Joint lists as data (名单目录): the tables of `config/lists/`, read once, every fault told by file and key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from gateway._pb.xinyidai.catalogue.v1.conduct_pb2 import JOINT_FIELD_UNMAPPED, JOINT_FIELD_UNSPECIFIED, JointField
from gateway.domain.errors import ConfigError
from gateway.domain.joint_lists import Basis, JointList
from gateway.domain.publication import ListRule

_FIELDS: Final = {
    name.removeprefix("JOINT_FIELD_"): number
    for name, number in JointField.items()
    if number not in (JOINT_FIELD_UNSPECIFIED, JOINT_FIELD_UNMAPPED)
}
FIELD_NAMES: Final[Mapping[int, str]] = {number: name for name, number in _FIELDS.items()}
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,31}")
_PLACE: Final = re.compile(r"[0-9]{2}|[0-9]{6}")
_CERTAINTIES: Final = ("sure", "likely", "unsure")
_TEXTS: Final = ("title_zh", "title_en", "lister", "basis", "joint_field", "version", "source", "certainty")
_CLAIMS: Final = ("is_reward", "is_mutually_recognised")
_MONTHS: Final = ("stay_months", "early_exit_months")
_DATES: Final = ("valid_from", "valid_to")
_KNOWN: Final = frozenset((*_TEXTS, *_CLAIMS, *_MONTHS, *_DATES, "measures", "criteria"))


def joint_lists_of(files: Mapping[str, Mapping[str, Any]]) -> Mapping[str, JointList]:
    """Gives the lists by code, from parsed files by name; raises ConfigError with every fault as "file: key: what"."""
    faults: list[str] = []
    lists: dict[str, JointList] = {}
    stated_in: dict[str, str] = {}
    for name, file in sorted(files.items()):
        faults += [f"{name}: {key}: is not known here" for key in file if key != "list"]
        tables = file.get("list", {})
        if not isinstance(tables, Mapping):
            faults.append(f"{name}: list: must be tables, such as [list.YRD_ENV]")
            continue
        for code, table in tables.items():
            wrong = _faults(code, table)
            if code in stated_in:
                wrong.append(f"list.{code}: is stated in {stated_in[code]} already")
            stated_in.setdefault(code, name)
            faults += [f"{name}: {fault}" for fault in wrong]
            if not wrong:
                lists[code] = _list(code, table)
    if faults:
        raise ConfigError(faults)
    return lists


def stay_rules(lists: Mapping[str, JointList]) -> Mapping[str, ListRule]:
    """Gives what the merge needs to know of each list."""
    return {
        code: ListRule(
            code=code,
            title_zh=one.title_zh,
            lister=one.lister,
            basis=one.basis,
            stay_months=one.stay_months,
            joint_field=FIELD_NAMES.get(one.field),
        )
        for code, one in lists.items()
    }


def _list(code: str, table: Mapping[str, Any]) -> JointList:
    return JointList(
        code=code,
        title_zh=table["title_zh"],
        lister=table["lister"],
        basis=Basis(table["basis"]),
        field=_FIELDS.get(table.get("joint_field", ""), JOINT_FIELD_UNSPECIFIED),
        is_reward=table.get("is_reward", False),
        stay_months=table.get("stay_months"),
        early_exit_months=table.get("early_exit_months"),
        measures=tuple(table.get("measures", ())),
        criteria=tuple(sorted(table.get("criteria", {}).items())),
        is_mutually_recognised=table.get("is_mutually_recognised", False),
        version=table.get("version", ""),
        valid_from=table.get("valid_from"),
        valid_to=table.get("valid_to"),
        source=table.get("source", ""),
        certainty=table.get("certainty", ""),
        title_en=table.get("title_en", ""),
    )


def _faults(code: str, table: Any) -> list[str]:
    at = f"list.{code}"
    if not isinstance(table, Mapping):
        return [f"{at}: must be a table"]
    faults = [f"{at}.{key}: is not known here" for key in table if key not in _KNOWN]
    if not _CODE.fullmatch(code):
        faults.append(f"{at}: a code is capitals, digits and underscores, at most 32")
    faults += [f"{at}.{key}: is needed" for key in ("title_zh", "lister", "basis") if not table.get(key)]
    faults += [f"{at}.{key}: must be a text" for key in _TEXTS if not isinstance(table.get(key, ""), str)]
    faults += [f"{at}.{key}: must be true or false" for key in _CLAIMS if not isinstance(table.get(key, False), bool)]
    faults += [f"{at}.{key}: must be a whole number of months, 1 to 600" for key in _MONTHS if not _months(table, key)]
    faults += [f"{at}.{key}: must be a date, such as 2020-10-01" for key in _DATES if not _date(table.get(key))]
    faults += _choice(at, table, "basis", tuple(Basis))
    faults += _choice(at, table, "joint_field", tuple(_FIELDS))
    faults += _choice(at, table, "certainty", _CERTAINTIES)
    if faults:
        return faults
    measures = table.get("measures", [])
    if not isinstance(measures, list) or not all(isinstance(one, str) and one for one in measures):
        faults.append(f"{at}.measures: must be a list of texts")
    elif len(set(measures)) < len(measures):
        faults.append(f"{at}.measures: states a measure twice")
    criteria = table.get("criteria", {})
    if not isinstance(criteria, Mapping):
        return [*faults, f"{at}.criteria: must be a table of places and names of decision tables"]
    for place, name in criteria.items():
        if not _PLACE.fullmatch(place):
            faults.append(f"{at}.criteria.{place}: a place is two digits of a province or six of a city")
        if not isinstance(name, str) or not name:
            faults.append(f"{at}.criteria.{place}: must name a decision table")
    stay, early = table.get("stay_months"), table.get("early_exit_months")
    if early is not None and (stay is None or early >= stay):
        faults.append(f"{at}.early_exit_months: must be less than stay_months")
    begins, ends = table.get("valid_from"), table.get("valid_to")
    if begins is not None and ends is not None and ends < begins:
        faults.append(f"{at}.valid_to: is before valid_from")
    return faults


def _choice(at: str, table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> list[str]:
    stated = table.get(key)
    if not isinstance(stated, str) or not stated or stated in choices:
        return []
    return [f"{at}.{key}: {stated!r} is none of {', '.join(choices)}"]


def _months(table: Mapping[str, Any], key: str) -> bool:
    months = table.get(key, 1)
    return isinstance(months, int) and not isinstance(months, bool) and 1 <= months <= 600


def _date(value: Any) -> bool:
    return value is None or (isinstance(value, date) and not isinstance(value, datetime))
