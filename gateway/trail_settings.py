"""What gateway.toml says of the trail: where it is, when a file is full, what must stay free, and where it is anchored."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from gateway.table import Table


class AnchorSettings(Table):
    """Where heads of the trail are anchored: nowhere while both `file` and `url` are empty; see `AnchorPolicy`."""

    file: str = ""
    url: str = ""
    every_s: float = Field(default=60.0, ge=1)
    grace_s: float = Field(default=3_600.0, ge=0)
    stops_after_grace: bool = False

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://, or be empty")
        return value


class AuditSettings(Table):
    """The trail; see `TrailPolicy`. `digest_key` is a reference; where it is empty the key for masking is taken."""

    path: Path = Path("var/audit.jsonl")
    segment_bytes: int = Field(default=1024 * 1024 * 1024, ge=0)
    least_free_bytes: int = Field(default=256 * 1024 * 1024, ge=0)
    least_free_percent: float = Field(default=1.0, ge=0, le=100)
    digest_key: str = ""
    anchor: AnchorSettings = AnchorSettings()

    @field_validator("digest_key")
    @classmethod
    def _is_reference(cls, value: str) -> str:
        if value and not value.startswith(("env:", "file:")):
            raise ValueError("write a reference (env:NAME, file:/path), never the key")
        return value
