"""Suites (算法套件): which digest, signature and cipher the deployment's evidence uses; and keys for development.

None of them is a certified product: they compute what the standards say and carry no certificate of commercial cryptography
(商用密码产品认证).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.adapters.crypto.ciphers import AES, KEY_BYTES, SM4_GCM, KeyringCipher
from gateway.adapters.crypto.keys import MODULE_SCHEME, new_archive_key, new_signing_key, write_secret
from gateway.adapters.crypto.module import ModuleSigner
from gateway.adapters.crypto.signers import ReferredSigner
from gateway.adapters.crypto.verify import ED25519, SM2_SM3
from gateway.domain.sm2 import serving_implementation

KEYS_FILE: Final = "evidence-keys.json"


class Algorithms(NamedTuple):
    """What a suite's name stands for."""

    digest: str
    signature: str
    cipher: str


SUITES: Final = {
    "gm": Algorithms("SM3", SM2_SM3, SM4_GCM),
    "international": Algorithms("SHA-256", ED25519, AES),
    "mixed": Algorithms("SM3", ED25519, AES),
}
_DIGESTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "SM3": lambda content: hashlib.new("sm3", content).digest(),
    "SHA-256": lambda content: hashlib.sha256(content).digest(),
}


class Suite(NamedTuple):
    """A suite with its keys; `digest` names the digest, `digest_of` computes it."""

    name: str
    digest: str
    digest_of: Callable[[bytes], bytes]
    signer: ReferredSigner | ModuleSigner
    cipher: KeyringCipher

    @property
    def implementation(self) -> str:
        """Names what computes the signatures."""
        if isinstance(self.signer, ModuleSigner):
            return "PKCS#11"
        return serving_implementation() if self.signer.algorithm == SM2_SM3 else "cryptography (OpenSSL)"


class KeyReferences(NamedTuple):
    """Where the keys stand; the first of `archive` seals, all of them open."""

    signing: str
    archive: Sequence[str]


def suite_of(name: str, keys: KeyReferences) -> Suite:
    """Gives a suite; its keys are read when they are first needed. Raises ValueError for what a suite cannot have."""
    digest, signature, cipher = SUITES[name]
    is_module = keys.signing.startswith(MODULE_SCHEME)
    if is_module and signature != ED25519:
        raise ValueError("PKCS#11 has no common mechanism for SM2; name the signing key by file: or env:")
    if cipher != AES and keys.archive and keys.archive[0].startswith(MODULE_SCHEME):
        raise ValueError(
            "PKCS#11 has no common mechanism for SM4; name the sealing key of the archive by file: or env:"
        )
    signer = ModuleSigner(keys.signing) if is_module else ReferredSigner(signature, keys.signing)
    return Suite(name, digest, _DIGESTS[digest], signer, KeyringCipher(cipher, keys.archive))


def development_keys(folder: Path, name: str = "mixed") -> KeyReferences:
    """Gives keys of a suite that stand in the folder, made (mode 0600) where there are none; several processes may ask."""
    folder.mkdir(parents=True, exist_ok=True)
    signing, archive = key_paths(folder, name)
    if not signing.exists():
        write_secret(signing, new_signing_key(SUITES[name].signature))
    if not archive.exists():
        write_secret(archive, new_archive_key(KEY_BYTES[SUITES[name].cipher]))
    return KeyReferences(f"file:{signing}", (f"file:{archive}",))


def key_paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Gives where the signing key and the key of the archive of a suite stand in a folder."""
    _, signature, cipher = SUITES[name]
    return folder / f"evidence-{signature.lower()}.pem", folder / f"archive-{cipher.lower()}.key"
