"""What the server shows and whom it trusts in a handshake, read anew when its files change: rotation without a restart.

    each `reload_s`   stat ─ changed ─► read and check in a thread ─► offered to gRPC, which asks at every handshake
                                           └─ broken: the old ones go on, one warning once a second look finds them the same
                      seconds left of every certificate ─► metrics; a warning a day when less than `warn_days` are left

Connections that are up keep what they were begun with. A certificate and its key are two files: between the writing of one
and of the other they do not fit each other, hence the second look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
import structlog

from gateway.adapters.identity.certificates import Expiry, TlsFiles, TlsFilesError, TlsMaterial, read_tls, soon
from gateway.application.rounds import Rounds
from gateway.domain.errors import ConfigError
from gateway.ports import Clock

_DAY_S: Final = 86_400.0
_Stamp = tuple[tuple[int, int, int] | None, ...]


class ServerTls:
    """The server's side of handshakes; made with files that serve, else raises ConfigError with every fault."""

    def __init__(
        self,
        files: TlsFiles,
        clock: Clock,
        told: Callable[[str, float], None],
        refused: Callable[[bool], None] = lambda is_refused: None,
        *,
        reload_s: float = 5.0,
        warn_days: int = 30,
    ) -> None:
        """Takes what is told the seconds left of each certificate by its name, and whether new files were refused."""
        self._refused = refused
        self._files = files
        self._clock = clock
        self._told = told
        self._warn_days = warn_days
        self._log = structlog.get_logger("gateway.tls")
        self._stamp = _stamp(files)
        self._broken: _Stamp | None = None
        self._has_warned = False
        self._warned_at: dict[str, float] = {}
        self._gone: set[str] = set()
        try:
            self._material = read_tls(files, clock.now())
        except TlsFilesError as error:
            raise ConfigError([f"gateway.toml: server.tls.{key}: {text}" for key, text in error.faults]) from error
        self._offered = self._taken = _configuration(self._material)
        self._watch = Rounds("certificate.look", self._look_and_tell, every_s=reload_s)

    @property
    def expiries(self) -> tuple[Expiry, ...]:
        """Until when each certificate that is in use is valid."""
        return self._material.expiries

    def credentials(self) -> grpc.ServerCredentials:
        """Gives what the server listens with; a client without a certificate of a trusted authority ends in the handshake."""
        return grpc.dynamic_ssl_server_credentials(
            self._taken,
            self._fetch,  # type: ignore[arg-type]  # the stubs do not know that None leaves all as it is
            require_client_authentication=True,
        )

    def watch(self) -> None:
        """Begins to look at the files, on the running loop."""
        self.tell_expiries()
        self._watch.start()

    async def aclose(self) -> None:
        """Stops looking."""
        await self._watch.aclose()

    def look(self) -> None:
        """Reads the files again if they changed; broken ones leave all as it is."""
        stamp = _stamp(self._files)
        if stamp == self._stamp:
            if self._broken is not None:  # put back as they were
                self._broken = None
                self._refused(False)
            return
        try:
            material = read_tls(self._files, self._clock.now())
        except TlsFilesError as error:
            if stamp != self._broken:
                self._broken, self._has_warned = stamp, False
            elif not self._has_warned:
                self._has_warned = True
                self._refused(True)
                self._log.warning("certificate.not_reloaded", faults=[f"{key}: {text}" for key, text in error.faults])
            return
        if _stamp(self._files) != stamp:
            return  # changed while it was read: at the next look
        self._stamp, self._broken = stamp, None
        self._refused(False)
        self._gone = {e.name for e in self._material.expiries} - {e.name for e in material.expiries}
        self._material = material
        self._offered = _configuration(material)
        self._warned_at.clear()
        self._log.info("certificate.reloaded", server_until=material.expiries[0].not_after.isoformat())

    def tell_expiries(self) -> None:
        """Tells how long each certificate has, and warns of those that have little time left."""
        now = self._clock.now()
        for name in self._gone:
            self._told(name, float("nan"))
        self._gone = set()
        for expiry in self._material.expiries:
            left_s = (expiry.not_after - now).total_seconds()
            self._told(expiry.name, left_s)
            if not soon(expiry.not_after, now, self._warn_days):
                continue
            warned = self._warned_at.get(expiry.name)
            if warned is None or self._clock.monotonic() - warned >= _DAY_S:
                self._warned_at[expiry.name] = self._clock.monotonic()
                event = "certificate.expires_soon" if left_s > 0 else "certificate.expired"
                self._log.warning(event, certificate=expiry.name, days_left=round(left_s / _DAY_S, 1))

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at every handshake, in a thread of its own: None leaves all as it is."""
        offered = self._offered
        if offered is self._taken:
            return None
        self._taken = offered
        return offered

    async def _look_and_tell(self) -> None:
        await asyncio.to_thread(self.look)
        self.tell_expiries()


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.certificate)], material.client_ca)


def _stamp(files: TlsFiles) -> _Stamp:
    """Gives what changes when a file does; a link is followed, as secrets of a container are switched by one."""
    found: list[tuple[int, int, int] | None] = []
    for path in (files.certificate, files.key, files.client_ca):
        try:
            stat = path.stat()
        except OSError:
            found.append(None)
            continue
        found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)
