"""What every table of a settings file is: frozen once it is read, and an unknown key in it is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

_TEXTS: Final[Mapping[str, str]] = {"extra_forbidden": "unknown key", "missing": "is missing"}
_OWN: Final = "Value error, "
"""What stands before the text of a check of ours, and says nothing of its own."""


class Table(BaseModel):
    """A table of a settings file, as a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def table_faults(error: ValidationError) -> list[str]:
    """Gives every fault of a table as "key: what is wrong", never with the value that is: it may be a secret."""
    faults = []
    for fault in error.errors(include_input=False):
        text = _TEXTS.get(fault["type"]) or fault["msg"].removeprefix(_OWN)
        faults.append(": ".join(part for part in (".".join(map(str, fault["loc"])), text) if part))
    return faults
