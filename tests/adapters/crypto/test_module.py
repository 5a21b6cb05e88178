"""A key in a hardware module: SoftHSM2 signs, goes, and comes back.

Without SoftHSM2 these tests are skipped with a reason that says what to install, unless XINYIDAI_REQUIRE_HSM=1, which continuous
integration sets: then its absence is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from gateway.adapters.crypto import module_session
from gateway.adapters.crypto.ciphers import AES, KeyringCipher
from gateway.adapters.crypto.keys import ModuleReference
from gateway.adapters.crypto.module import ModuleArchiveKey, ModuleSigner
from gateway.adapters.crypto.suite import KeyReferences, suite_of
from gateway.adapters.crypto.verify import ED25519, verify
from gateway.domain.errors import CorruptRecordError, SigningUnavailableError

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


@pytest.fixture(autouse=True)
def _fresh_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session and no PIN of another test."""
    monkeypatch.setattr(module_session, "_LIBRARY", module_session._Library())


def _module() -> str:
    found = next((path for path in _MODULES if Path(path).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        missing = "SoftHSM2 is not installed, so keys in a module are NOT tested here: apt-get install softhsm2"
        if os.environ.get("XINYIDAI_REQUIRE_HSM"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A token with an Ed25519 key and two of AES; gives the folder that SoftHSM2 keeps it in."""
    module, folder = _module(), tmp_path_factory.mktemp("hsm")
    tokens = folder / "tokens"
    tokens.mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        patch.setenv("HSM_TEST_PIN", "4711")
        init = ["softhsm2-util", "--init-token", "--free", "--label", "evidence", "--so-pin", "0815", "--pin", "4711"]
        subprocess.run(init, check=True, capture_output=True)
        _generate(module)
        yield tokens


def _generate(module: str) -> None:
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    library = pkcs11.lib(module)
    library.reinitialize()
    with library.get_token(token_label="evidence").open(user_pin="4711", rw=True) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
        parameters: Any = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
        parameters.generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label="root", id=b"1"
        )
        for label in ("archive", "archive-before"):
            session.generate_key(pkcs11.KeyType.AES, 256, store=True, label=label)


def _reference(pin: str = "env:HSM_TEST_PIN", key: str = "root") -> str:
    return f"pkcs11:module={_module()};token=evidence;key={key};pin={pin}"


def test_a_key_in_a_module_signs_what_anyone_verifies(token: Path) -> None:
    signer = suite_of("mixed", KeyReferences(_reference(), ["env:UNUSED"])).signer

    signature = signer.sign(b"root")

    assert verify(ED25519, signer.public_key.public_key, b"root", signature)
    assert not verify(ED25519, signer.public_key.public_key, b"rood", signature)


def test_A11_a_module_that_goes_signs_nothing_and_is_used_again_when_it_is_back(token: Path) -> None:
    import pkcs11

    signer = ModuleSigner(_reference())
    signer.sign(b"root")
    away = token.with_name("away")

    token.rename(away)
    with pytest.raises(pkcs11.PKCS11Error):
        pkcs11.lib(_module()).reinitialize()  # what every session of a module that restarts sees
    for _ in range(2):
        with pytest.raises(SigningUnavailableError, match="nothing is signed or sealed"):
            signer.sign(b"root")
    away.rename(token)

    assert verify(ED25519, signer.public_key.public_key, b"root", signer.sign(b"root"))


@pytest.mark.parametrize(("pin", "key"), [("env:NO_SUCH_PIN", "root"), ("env:WRONG_PIN", "root"), ("", "no-such-key")])
def test_A11_a_wrong_pin_or_key_signs_nothing_and_is_not_shown(
    pin: str, key: str, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG_PIN", "990099")

    with pytest.raises(SigningUnavailableError) as raised:
        ModuleSigner(_reference(pin or "env:HSM_TEST_PIN", key)).sign(b"root")

    assert "990099" not in str(raised.value)
    assert "4711" not in str(raised.value)


def test_a_key_in_a_module_seals_and_opens_beside_one_that_signs_on_the_same_token(token: Path) -> None:
    suite = suite_of("mixed", KeyReferences(_reference(), [_reference(key="archive")]))

    sealed = suite.cipher.seal(b"answer", b"bank-a")
    signature = suite.signer.sign(b"root")

    assert suite.cipher.open(sealed, b"bank-a") == b"answer"
    assert verify(ED25519, suite.signer.public_key.public_key, b"root", signature)
    assert b"answer" not in sealed


def test_what_was_sealed_in_a_module_and_altered_or_bound_to_another_is_corrupt(token: Path) -> None:
    cipher = KeyringCipher(AES, [_reference(key="archive")])
    sealed = cipher.seal(b"answer", b"bank-a")

    for altered, bound_to in ((sealed[:-1] + bytes([sealed[-1] ^ 1]), b"bank-a"), (sealed, b"bank-b")):
        with pytest.raises(CorruptRecordError):
            cipher.open(altered, bound_to)
    assert cipher.open(sealed, b"bank-a") == b"answer"


def test_older_keys_open_wherever_they_stand(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELD_KEY", "ab" * 32)
    in_module, held = _reference(key="archive-before"), "env:HELD_KEY"
    ring = KeyringCipher(AES, [_reference(key="archive"), in_module, held])

    for before in (in_module, held):
        assert ring.open(KeyringCipher(AES, [before]).seal(b"answer", b"b"), b"b") == b"answer"
    assert len(set(ring.key_ids)) == 3
    with pytest.raises(SigningUnavailableError, match="add the old key's reference"):
        KeyringCipher(AES, [held]).open(ring.seal(b"answer", b"b"), b"b")


def test_A11_a_module_that_goes_seals_and_opens_nothing_and_every_key_of_it_comes_back(token: Path) -> None:
    import pkcs11

    cipher, signer = KeyringCipher(AES, [_reference(key="archive")]), ModuleSigner(_reference())
    sealed = cipher.seal(b"answer", b"b")
    signer.sign(b"root")
    away = token.with_name("away")

    token.rename(away)
    with pytest.raises(pkcs11.PKCS11Error):
        pkcs11.lib(_module()).reinitialize()
    uses: list[Callable[[], bytes]] = [
        lambda: cipher.seal(b"answer", b"b"),
        lambda: cipher.open(sealed, b"b"),
        lambda: signer.sign(b"root"),
    ]
    for use in uses:
        with pytest.raises(SigningUnavailableError, match="nothing is signed or sealed"):
            use()
    away.rename(token)

    assert cipher.open(sealed, b"b") == b"answer"
    assert signer.sign(b"root")


def test_the_nonce_that_names_a_key_in_a_module_seals_nothing(token: Path) -> None:
    key = ModuleArchiveKey(_reference(key="archive"), AES)

    with pytest.raises(ValueError, match="names the key"):
        key.seal(bytes(12), b"answer", b"")
    with pytest.raises(InvalidTag):
        key.open(b"n" * 12, key.seal(b"n" * 12, b"answer", b"a"), b"b")


def test_two_references_that_state_different_pins_of_one_token_are_refused(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_PIN", "123123")
    assert ModuleSigner(_reference()).sign(b"root")

    with pytest.raises(SigningUnavailableError, match="different PINs") as raised:
        KeyringCipher(AES, [_reference("env:OTHER_PIN", "archive")]).seal(b"answer", b"")
    assert "123123" not in str(raised.value)


def test_A11_a_wrong_pin_is_tried_once_so_that_the_module_is_not_locked(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG_PIN", "880088")
    signer = ModuleSigner(_reference("env:WRONG_PIN"))

    with pytest.raises(SigningUnavailableError, match="PinIncorrect"):
        signer.sign(b"root")
    with pytest.raises(SigningUnavailableError, match="not tried again"):
        signer.sign(b"root")
    monkeypatch.setenv("WRONG_PIN", "4711")

    assert signer.sign(b"root")


def test_A11_a_module_that_is_not_there_signs_nothing() -> None:
    with pytest.raises(SigningUnavailableError):
        ModuleSigner("pkcs11:module=/no/such.so;token=t;key=k;pin=env:PIN").sign(b"root")


@pytest.mark.parametrize(
    "reference", ["pkcs11:", "pkcs11:module=m;token=t;key=k", "pkcs11:module=m;token=t;key=k;pin=1234"]
)
def test_a_reference_that_is_none_is_refused_without_being_shown(reference: str) -> None:
    with pytest.raises(ValueError, match="pkcs11: ") as raised:
        ModuleReference.parse(reference)

    assert "1234" not in str(raised.value)


def test_sm2_and_sm4_in_a_module_are_refused_plainly() -> None:
    with pytest.raises(ValueError, match="no common mechanism for SM2"):
        suite_of("gm", KeyReferences("pkcs11:module=m;token=t;key=k;pin=env:P", ["env:A"]))
    with pytest.raises(ValueError, match="no common mechanism for SM4"):
        suite_of("gm", KeyReferences("env:S", ["pkcs11:module=m;token=t;key=k;pin=env:P"]))
