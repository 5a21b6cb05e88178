"""Policies reloaded while the gateway runs: when told to (SIGHUP), and when a file is seen to have changed.

New policies are compiled aside and come into force whole, or not at all: with any fault the old ones keep deciding, and the
faults are logged once, not at every look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.adapters.looking import LOOK_EVERY_S, Looking
from gateway.adapters.rights.cedar import CedarRights
from gateway.adapters.rights.policies import Policies, compile_policies
from gateway.adapters.rights.sources import PolicyFolders
from gateway.domain.errors import ConfigError


class PolicyWatch:
    """Watches the policy files of a running gateway; made on its loop, closed by who made it.

    `told` is told at each reload whether it was refused.
    """

    def __init__(
        self,
        rights: CedarRights,
        folders: PolicyFolders,
        told: Callable[[bool], None] = lambda is_refused: None,
        *,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._told = told
        self._rights = rights
        self._folders = folders
        self._log = structlog.get_logger("gateway.rights")
        self._seen = folders.fingerprint()
        self._looking = Looking("policies.look", self._look, every_s=every_s)

    def tell(self) -> None:
        """Has the policies reloaded now, changed or not."""
        self._looking.tell()

    async def look(self, *, anyway: bool = False) -> None:
        """Reloads the policies if a file has changed since the last look, or in any case."""
        seen = await asyncio.to_thread(self._folders.fingerprint)
        if seen == self._seen and not anyway:
            return
        # Before they are read: a change while they are read is seen at the next look.
        self._seen = seen
        try:
            policies = await asyncio.to_thread(self._compiled)
        except ConfigError as error:
            self._told(True)
            self._log.error("policies.refused", faults=error.faults, in_force=self._rights.policies.version)
            return
        self._told(False)
        if policies.version != self._rights.policies.version:
            self._rights.use(policies)
        self._log.warning("policies.reloaded", in_force=policies.version, policies=len(policies.by_id))

    async def aclose(self) -> None:
        """Stops watching."""
        await self._looking.aclose()

    def _compiled(self) -> Policies:
        return compile_policies(self._folders.read())

    async def _look(self, told: bool) -> None:
        try:
            await self.look(anyway=told)
        except OSError as error:  # the folder itself is gone, or no thread to be had: what is in force stays
            self._log.error("policies.not_read", why=str(error), in_force=self._rights.policies.version)
