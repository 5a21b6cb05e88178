"""Makes the generated code before a wheel or sdist is built, so that it is in them without being committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateProtoHook(BuildHookInterface):  # type: ignore[misc]  # hatchling has no types
    """Runs proto/generate.py."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Is called by hatchling before each build."""
        script = Path(self.root) / "proto" / "generate.py"
        subprocess.run([sys.executable, str(script)], check=True)
