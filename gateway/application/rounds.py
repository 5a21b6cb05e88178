"""What goes on as long as the gateway does: one piece of work, round after round, whatever a round of it raises.

A loop that ends at an exception nobody thought of ends unseen, and what it followed is never seen again. So what a round
raises ends that round alone. It is told in the log once, with its class and place, again where it becomes another, and once
that a round was well; `failed` is called each time, for whoever must not rely on what the round did not do. What is expected
to fail, as a store out of reach, is for the work itself to catch and to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

_log = structlog.get_logger("gateway.loop")


class Rounds:
    """Does `work` again and again from `start` to `aclose`, a pause of `every_s` between two rounds; on one loop."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        every_s: float,
        is_at_once: bool = False,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        """Takes what the log calls it, and whether the first round comes before the first pause."""
        self._name = name
        self._work = work
        self._every_s = every_s
        self._is_at_once = is_at_once
        self._failed = failed
        self._failing: type[BaseException] | None = None
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, on the running loop."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Ends the pause: the next round begins now, or right after the one under way."""
        self._woken.set()

    async def aclose(self) -> None:
        """Stops, in the middle of a round too."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # its end, no cancellation of whoever closes it

    async def _run(self) -> None:
        if not self._is_at_once:
            await self._pause()
        while True:
            try:
                await self._work()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and self._is_closing():
                    raise
                self._tell(error)
            else:
                if self._failing is not None:
                    self._failing = None
                    _log.info("loop.back", loop=self._name)
            await self._pause()

    async def _pause(self) -> None:
        # Not wait_for: on Python 3.11 it swallows a cancellation that comes as the event is set, and would never end.
        try:
            async with asyncio.timeout(self._every_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def _is_closing(self) -> bool:
        """Whether it was cancelled itself, and not only something that the work waited for."""
        return self._task is not None and self._task.cancelling() > 0

    def _tell(self, error: BaseException) -> None:
        if type(error) is not self._failing:
            self._failing = type(error)
            _log.error("loop.failed", loop=self._name, exc_info=error)
        try:
            self._failed()
        except Exception as another:
            _log.error("loop.failed", loop=self._name, exc_info=another)
