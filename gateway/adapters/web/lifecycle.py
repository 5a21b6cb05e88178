"""What a process says of itself to a prober: whether it takes queries, and whether its loop is stuck."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

STUCK_S: Final = 5.0
"""From which delay on a loop counts as stuck: half of a default query's time."""


class Stage(StrEnum):
    """Where in its life a gateway is; the value is what /readyz says."""

    STARTING = "starting: the gateway does not listen yet 启动中：网关尚未开始监听"
    SERVING = ""
    DRAINING = "draining: calls under way may finish, new ones go elsewhere 停机中：处理完在途请求，不再接收新请求"


def unready(stage: str, trail: str) -> str:
    """Gives why no queries should be sent; the trail is told of when it ails, which is before its disk is full."""
    if stage or not trail:
        return stage
    return f"the trail: {trail} 留痕存储异常：不再适合接收新请求"


def ails(lag_s: float) -> str:
    """Gives what is wrong with a process whose loop is that late; nothing where all is well."""
    return "" if lag_s < STUCK_S else f"the event loop is {lag_s:.1f} s late 事件循环滞后 {lag_s:.1f} 秒"
