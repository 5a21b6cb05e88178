"""The ids by which a client knows the items of its stream (`correlation_id`): one that comes twice is told, in bounded room.

A stream may go on for as long as its client likes, and each item that is refused costs it nothing but the bytes of its id.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

LONGEST: Final = 128
"""Characters of an id, as the contract has it: an item with a longer one is refused for that."""
MOST: Final = 100_000
"""So many of the newest ids are remembered, of each stream."""


class ItemIds:
    """The ids of one stream's items."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def is_repeated(self, item_id: str) -> bool:
        """Whether the id was seen before, among the newest ones; it has been from now on."""
        if len(item_id) > LONGEST:
            return False
        if item_id in self._seen:
            return True
        self._seen[item_id] = None
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return False
