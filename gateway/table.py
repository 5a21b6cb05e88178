"""What every table of a settings file is: frozen once it is read, and an unknown key in it is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of a settings file, as a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)
