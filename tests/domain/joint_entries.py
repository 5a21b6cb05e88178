"""Builders of list entries, valid by default."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

from gateway.domain.joint_lists import EntryEvent, EntryState, JointEntry

NOON: Final = datetime(2026, 11, 26, 4, tzinfo=UTC)
TODAY: Final = date(2026, 11, 26)
DEMO: Final = "91310115MA0TERT167"
OTHER: Final = "91310115MAC0DEM080"


def joint_entry(number: int = 1, **more: Any) -> JointEntry:
    """Gives a published entry."""
    values: dict[str, Any] = {
        "entry_id": f"entry-{number}",
        "list_code": "YRD_ENV",
        "uscc": DEMO,
        "listed_on": date(2018, 5, 2),
        "province": "33",
        "subject_name": "示例化工有限公司",
        "list_year": 2018,
        "document_number": f"浙环名单〔2018〕{number}号",
        "authority": "浙江省生态环境厅",
        "reason": "超标排放",
        "state": EntryState.PUBLISHED,
        "event": EntryEvent.PUBLISHED,
        "changed_at": NOON,
        "origin": "operator:first",
        "proposed_by": "first",
        "confirmed_by": "second",
    }
    return JointEntry(**{**values, **more})
