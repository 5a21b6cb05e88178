"""Texts in English or Chinese, by the locale of whoever runs the command."""

from __future__ import annotations

import os


def is_chinese() -> bool:
    """Whether the locale asks for Chinese (LC_ALL, LC_MESSAGES, LANG, in that order)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return value.lower().startswith("zh")
    return False


def say(english: str, chinese: str) -> str:
    """Gives the text in the locale's language.

    In the narrow columns of a command's help a line is broken at spaces only: a long Chinese text has some after its commas.
    """
    return chinese if is_chinese() else english
