"""How a command reaches a gateway: its address, and with what it shows who it is.

--plaintext                         a development gateway, on this machine only
--cert --key --ca, or XINYIDAI_CERT, XINYIDAI_KEY, XINYIDAI_CA
a profile of `xinyidai certs`       in the folder XINYIDAI_CERTS, else var/certs: the one named by XINYIDAI_PROFILE,
                                    else the demonstration's of the kind the command needs, else the first of that kind
"""

from __future__ import annotations

import functools
import inspect
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import typer

from gateway.adapters.identity.kinds import DEMO_BANK, DEMO_OPERATOR, PROFILES, Kind
from gateway.adapters.loopback import is_loopback_address
from gateway.cli.options import LOCAL, Address, fail
from gateway.cli.words import say

FOLDER: Final = "XINYIDAI_CERTS"
DEFAULT_FOLDER: Final = Path("var/certs")
_OPTIONS: Final = (("grpc.max_receive_message_length", 64 * 1024 * 1024),)
_DEMO: Final = (DEMO_BANK, DEMO_OPERATOR)

Cert = Annotated[
    Path | None,
    typer.Option("--cert", envvar="XINYIDAI_CERT", help=say("Certificate to show, PEM.", "出示的证书（PEM）。")),
]
Key = Annotated[Path | None, typer.Option("--key", envvar="XINYIDAI_KEY", help=say("Its private key.", "证书的私钥。"))]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="XINYIDAI_CA", help=say("Authority of the gateway's certificate.", "网关证书的签发机构。")
    ),
]
Plaintext = Annotated[
    bool,
    typer.Option(
        "--plaintext", help=say("Of a gateway served with --development.", "连接以 --development 启动的网关。")
    ),
]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a gateway is and how to speak with it; without credentials in plain text.

    `certificate` is the file of what is shown, `profile` the name by which it was chosen: to be told where the caller is
    refused.
    """

    address: str
    credentials: grpc.ChannelCredentials | None = None
    certificate: Path | None = None
    profile: str = ""

    def channel(self) -> grpc.aio.Channel:
        """Opens a channel, to be closed by who asked."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        return grpc.aio.secure_channel(self.address, self.credentials, options=_OPTIONS)


def connecting(kind: Kind) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of how to reach a gateway; what they say is its argument `at`, a `Reach`.

    The command connects as somebody of that kind where no certificate is stated. typer reads a command's options from its
    signature, so that is what they are written into, in the place of `at`.
    """

    def around(command: Callable[..., None]) -> Callable[..., None]:
        stated = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            address, *files = (given.pop(option.name) for option in _CONNECTION[:-1])
            at = reach(address, kind, *files, is_plaintext=given.pop(_CONNECTION[-1].name))
            command(**given, at=at)

        options = [
            option for name, one in stated.parameters.items() for option in (_CONNECTION if name == "at" else (one,))
        ]
        run.__signature__ = stated.replace(  # type: ignore[attr-defined]  # what inspect.signature looks for first
            parameters=[option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
        )
        return run

    return around


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_CONNECTION: Final = (
    _option("address", Address, LOCAL),
    _option("cert", Cert, None),
    _option("key", Key, None),
    _option("ca", Ca, None),
    _option("plaintext", Plaintext, False),
)


def certs_folder() -> Path:
    """Gives where the development authority stands."""
    return Path(os.environ.get(FOLDER) or DEFAULT_FOLDER)


def reach(
    address: str, kind: Kind, cert: Path | None, key: Path | None, ca: Path | None, *, is_plaintext: bool
) -> Reach:
    """Gives how to reach the gateway as somebody of a kind; ends the command where files are missing."""
    stated = (cert, key, ca)
    if is_plaintext or not (any(stated) or _profiles(certs_folder())):
        if not is_loopback_address(address):
            lines = say(
                "plain text goes no further than this machine; state --cert, --key and --ca",
                "明文仅限本机；请给出 --cert、--key 与 --ca",
            )
            raise fail([lines], 2)
        return Reach(address)
    chosen = ""
    if not any(stated):
        chosen, (cert, key, ca) = _chosen(certs_folder(), kind, os.environ.get("XINYIDAI_PROFILE", ""))
    if cert is None or key is None or ca is None:
        raise fail([say("--cert, --key and --ca belong together", "--cert、--key 与 --ca 须同时给出")], 2)
    return Reach(address, credentials(cert, key, ca), cert, chosen)


def profile(folder: Path, kind: Kind, wanted: str = "") -> tuple[Path, Path, Path]:
    """Gives certificate, key and authority of the wanted profile, else of one of the kind; ends the command without one."""
    return _chosen(folder, kind, wanted)[1]


def who_asked(at: Reach) -> str:
    """Gives the line that says which certificate was shown and how to show another; only the client knows it."""
    if at.profile:
        others = ", ".join(name for name in sorted(_profiles(certs_folder())) if name != at.profile)
        return say(
            f"asked as profile {at.profile} ({at.certificate}); XINYIDAI_PROFILE=NAME shows another: {others or '-'}",
            f"以身份 {at.profile}（{at.certificate}）查询；可用 XINYIDAI_PROFILE=名称 换用：{others or '—'}",
        )
    if at.credentials is None:
        return say(
            "asked in plain text, without a certificate; without --plaintext one is shown",
            "以明文查询，未出示证书；去掉 --plaintext 即出示证书",
        )
    return say(
        f"asked with {at.certificate}; --cert, --key and --ca (or XINYIDAI_CERT, _KEY and _CA) show another",
        f"以证书 {at.certificate} 查询；可用 --cert、--key 与 --ca（或 XINYIDAI_CERT、_KEY、_CA）换用",
    )


def who_must_be_named(at: Reach) -> str:
    """Gives the line that says which name of the shown certificate banks.toml must have."""
    names = _names(at.certificate)
    return say(
        f"the gateway's banks.toml must name this certificate's SAN{': ' if names else ''}{names}",
        f"网关的 banks.toml 须载有该证书的 SAN{'：' if names else ''}{names}",
    )


def _names(certificate: Path | None) -> str:
    from gateway.adapters.identity.certificates import peer_certificate  # only where a call was refused: it is large

    try:
        return ", ".join(peer_certificate(certificate.read_bytes()).names) if certificate else ""
    except (OSError, ValueError):
        return ""


def _chosen(folder: Path, kind: Kind, wanted: str) -> tuple[str, tuple[Path, Path, Path]]:
    found = _profiles(folder)
    fitting = [name for name, table in found.items() if table.get("kind") == kind]
    name = wanted or next((each for each in fitting if each in _DEMO), next(iter(fitting), ""))
    table = found.get(name)
    if table is None:
        lines = say(
            f"{folder / PROFILES} has no {wanted or kind}; see xinyidai certs issue",
            f"{folder / PROFILES} 中没有 {wanted or kind}；见 xinyidai certs issue",
        )
        raise fail([lines], 2)
    return name, (folder / table["cert"], folder / table["key"], folder / table["ca"])


def credentials(cert: Path, key: Path, ca: Path) -> grpc.ChannelCredentials:
    """Gives a client's side of the handshake; ends the command where a file cannot be read."""
    try:
        return grpc.ssl_channel_credentials(ca.read_bytes(), key.read_bytes(), cert.read_bytes())
    except OSError as error:
        raise fail([f"{error.filename}: {error.strerror}"], 2) from error


def _profiles(folder: Path) -> dict[str, dict[str, str]]:
    try:
        return tomllib.loads((folder / PROFILES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise fail([f"{folder / PROFILES}: {error}"], 2) from error
