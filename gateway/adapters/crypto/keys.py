"""Keys by reference: `file:/path`, `env:NAME`, or `pkcs11:module=…;token=…;key=…;pin=env:NAME` for one in a module.

A signing key is a private key in PEM (PKCS#8); a key of the archive is hexadecimal. Texts of errors name the reference's
place, never its content.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.adapters.crypto.verify import SM2_SM3
from gateway.domain import sm2_plain
from gateway.domain.errors import SigningUnavailableError

MODULE_SCHEME: Final = "pkcs11:"
SCHEMES: Final = ("file:", "env:", MODULE_SCHEME)
_PARTS: Final = ("module", "token", "key", "pin")


class ModuleReference(NamedTuple):
    """Where a key of a hardware module stands; `pin` is itself a reference."""

    module: str
    token: str
    key: str
    pin: str

    @classmethod
    def parse(cls, reference: str) -> ModuleReference:
        """Gives the parts; raises ValueError saying what is missing."""
        parts = dict(part.partition("=")[::2] for part in reference.removeprefix(MODULE_SCHEME).split(";"))
        if missing := [name for name in _PARTS if not parts.get(name)]:
            raise ValueError(f"pkcs11: {', '.join(missing)} missing; write pkcs11:module=…;token=…;key=…;pin=env:NAME")
        if strange := sorted(parts.keys() - set(_PARTS)):
            raise ValueError(f"pkcs11: {len(strange)} unknown parts; there are {', '.join(_PARTS)}")
        if not parts["pin"].startswith(("env:", "file:")):
            raise ValueError("pkcs11: write the PIN as a reference (pin=env:NAME, pin=file:/path), never the PIN")
        return cls(**parts)


def checked_reference(reference: str) -> str:
    """Gives the reference as it is; raises ValueError where it is none, without showing what may be a key."""
    if not reference.startswith(SCHEMES):
        raise ValueError("write a reference (file:/path, env:NAME, pkcs11:module=…), never the key")
    if reference.startswith(MODULE_SCHEME):
        ModuleReference.parse(reference)
    return reference


def shown_reference(reference: str) -> str:
    """Gives a reference as it may be shown: where the key stands; of a module without where its PIN does."""
    if not reference.startswith(MODULE_SCHEME):
        return reference
    module = ModuleReference.parse(reference)
    return f"{MODULE_SCHEME}module={module.module};token={module.token};key={module.key}"


def read_key(reference: str) -> str:
    """Gives the text behind a file or variable; raises SigningUnavailableError saying what to provide."""
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        if not (value := os.environ.get(name)):
            raise SigningUnavailableError(f"set the environment variable {name} to the key")
        return value.strip()
    try:
        return Path(name).read_text(encoding="ascii").strip()
    except OSError as error:
        raise SigningUnavailableError(f"the key file {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SigningUnavailableError(f"the key file {name} is not a key in text") from None


def new_signing_key(algorithm: str) -> str:
    """Gives a new private key, PEM."""
    if algorithm == SM2_SM3:
        scalar = (secrets.randbelow(sm2_plain.ORDER - 2) + 1).to_bytes(32)
        return sm2_plain.pem_of_pkcs8(sm2_plain.pkcs8(scalar, sm2_plain.public_point(scalar)))
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def new_archive_key(length: int) -> str:
    """Gives a new key of the archive, hexadecimal."""
    return secrets.token_hex(length) + "\n"


def archive_key_id(cipher: str, key: bytes) -> str:
    """Gives a key's id, which tells nothing of a random key."""
    return f"{cipher.lower()}-{hashlib.sha256(b'xinyidai archive key' + key).hexdigest()[:16]}"


def write_secret(path: Path, text: str) -> bool:
    """Writes a file that only its owner reads, whole or not at all; False where there is one already, which stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
