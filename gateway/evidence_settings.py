"""`[evidence]` of `gateway.toml`: the suite (算法套件) and where its keys stand, always by reference."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from gateway.adapters.crypto.keys import checked_reference
from gateway.adapters.crypto.suite import KEYS_FILE, KeyReferences, Suite, development_keys, suite_of
from gateway.adapters.crypto.verify import note_public_key
from gateway.domain.errors import SigningUnavailableError
from gateway.table import Table


class EvidenceSettings(Table):
    """How evidence is digested, signed and encrypted; without keys, those of development beside the trail."""

    suite: Literal["gm", "international", "mixed"] = "mixed"
    signing_key: str = ""
    archive_keys: tuple[str, ...] = ()
    public_keys: str = ""

    @field_validator("signing_key")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        return checked_reference(value) if value else value

    @field_validator("archive_keys")
    @classmethod
    def _are_references(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_reference(one) for one in value)

    @model_validator(mode="after")
    def _is_whole(self) -> EvidenceSettings:
        if bool(self.signing_key) != bool(self.archive_keys):
            raise ValueError("state signing_key and archive_keys, or neither; xinyidai keys generate makes both")
        if self.is_stated:
            suite_of(self.suite, KeyReferences(self.signing_key, self.archive_keys))
        return self

    @property
    def is_stated(self) -> bool:
        """Whether the configuration names keys; without, it serves development only."""
        return bool(self.signing_key)

    def references(self, trail: Path) -> KeyReferences:
        """Gives where the keys stand; makes keys of development beside the trail where none are stated."""
        if self.is_stated:
            return KeyReferences(self.signing_key, self.archive_keys)
        return development_keys(trail.parent, self.suite)

    def built(self, trail: Path) -> Suite:
        """Gives the suite; makes keys of development beside the trail where none are stated."""
        return suite_of(self.suite, self.references(trail))

    def note_public_key(self, suite: Suite, trail: Path) -> None:
        """Notes the key that signs now in the file of public keys, beside those before.

        Raises SigningUnavailableError without the key, ValueError or OSError where the file is broken or cannot be written.
        """
        note_public_key(self.public_keys_file(trail), suite.signer.public_key)

    def public_keys_file(self, trail: Path) -> Path:
        """Gives where public keys are noted: as stated, or beside the trail."""
        return Path(self.public_keys) if self.public_keys else trail.parent / KEYS_FILE

    def faults(self) -> list[str]:
        """Gives what is wrong with the stated keys, by key; reads them, and signs and seals once."""
        if not self.is_stated:
            return []
        suite = suite_of(self.suite, KeyReferences(self.signing_key, self.archive_keys))
        found = []
        for key, use in (
            ("signing_key", lambda: suite.signer.sign(b"check")),
            ("archive_keys", lambda: (suite.cipher.seal(b"check", b""), suite.cipher.key_ids)),
        ):
            try:
                use()
            except SigningUnavailableError as error:
                found.append(f"gateway.toml: evidence.{key}: {error}")
        return found
