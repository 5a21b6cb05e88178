"""Where policies are read from: `policies/*.cedar` of the given folders, a file of a later one in place of its namesake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

FOLDER: Final = "policies"
SCHEMA: Final = "schema.cedarschema"

Fingerprint: TypeAlias = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class PolicySources:
    """What was read: the schema's text, and each policy file's by its name; `faults` are of files that could not be read."""

    schema: str
    files: Mapping[str, str]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyFolders:
    """The configuration folders, the shipped one first; only its schema counts, since it speaks of the code."""

    folders: Sequence[Path]

    def read(self) -> PolicySources:
        """Reads all files."""
        faults: list[str] = []
        schema = _text(self.folders[0] / FOLDER / SCHEMA, faults)
        files = {path.name: _text(path, faults) for path in self._paths()}
        return PolicySources(schema, files, tuple(faults))

    def fingerprint(self) -> Fingerprint:
        """Gives what changes when a file is written, added or removed; reads none."""
        found = []
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:  # removed since it was listed
                continue
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _paths(self) -> list[Path]:
        by_name = {path.name: path for folder in self.folders for path in sorted((folder / FOLDER).glob("*.cedar"))}
        return [by_name[name] for name in sorted(by_name)]


def _text(path: Path, faults: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        faults.append(f"{FOLDER}/{path.name}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        faults.append(f"{FOLDER}/{path.name}: is not UTF-8")
    return ""
