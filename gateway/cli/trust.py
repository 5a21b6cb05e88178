"""With what a gateway serves: the configured certificates, a development authority's, or plain text where told so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from gateway.adapters.identity.authority import Authority
from gateway.adapters.identity.certificates import TlsFiles
from gateway.cli.reach import certs_folder
from gateway.cli.words import say
from gateway.domain.errors import ConfigError
from gateway.settings import Settings

_RENEW_DAYS = 7


@dataclass(frozen=True, slots=True)
class Trust:
    """What the server shows, None for plain text; `warning` is what the log says of it at the start: event and note."""

    tls: TlsFiles | None
    warning: tuple[str, str] | None = None

    def warn(self) -> None:
        """Logs the warning, where there is one."""
        if self.warning is not None:
            event, note = self.warning
            structlog.get_logger("gateway").warning(event, note=note)


_PLAINTEXT = Trust(None, ("gateway.plaintext", "no certificates; callers are taken at their word; loopback only"))


def trust(settings: Settings, *, is_development: bool) -> Trust:
    """Gives what to serve with; raises ConfigError saying what helps where nothing is configured."""
    if is_development or settings.gateway.server.development:
        return _PLAINTEXT
    stated = settings.gateway.server.tls
    if stated.is_stated:
        try:
            return Trust(stated.files())
        except ValueError as error:
            raise ConfigError([f"gateway.toml: server.tls: {error}"]) from error
    authority = Authority(certs_folder())
    if not authority.exists:
        raise ConfigError(
            [
                say(
                    "gateway.toml: server.tls: no certificates are configured, so callers could not be known",
                    "gateway.toml: server.tls: 未配置证书，无法识别调用方",
                ),
                say(
                    "  xinyidai certs init             makes some for this machine, found by the next xinyidai serve",
                    "  xinyidai certs init             为本机生成证书，之后 xinyidai serve 会自动使用",
                ),
                say(
                    "  xinyidai serve --development    plain text, callers taken at their word, loopback only",
                    "  xinyidai serve --development    明文，不核验调用方，仅限本机",
                ),
            ]
        )
    return _of(authority)


def trust_of_demonstration(settings: Settings) -> Trust:
    """Gives what `xinyidai up` serves with: as `trust`, but certificates are made where there are none."""
    stated = settings.gateway.server
    if stated.development or stated.tls.is_stated:
        return trust(settings, is_development=False)
    return own_trust(Authority(certs_folder()))


def own_trust(authority: Authority) -> Trust:
    """Gives what to serve with from an authority that is made where it is missing, and renewed where it is about to end."""
    if not authority.exists:
        authority.init()
    _renew(authority)
    return _of(authority)


def _renew(authority: Authority) -> None:
    soon = datetime.now(UTC) + timedelta(days=_RENEW_DAYS)
    for one in authority.list():
        if one.not_after < soon:
            authority.rotate(one.name)


def _of(authority: Authority) -> Trust:
    note = f"certificates of a development authority in {authority.folder}; loopback only"
    return Trust(authority.server_files(), ("gateway.development_authority", note))
