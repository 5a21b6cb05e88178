"""Suites: the standards' vectors, another library as oracle, every altered bit, rotation, and keys that cannot be had."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from gmssl import sm2 as oracle_sm2
from gmssl import sm3 as oracle_sm3
from gmssl import sm4 as oracle_sm4
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.crypto.ciphers import SM4_GCM, KeyringCipher, gcm_open, gcm_seal
from gateway.adapters.crypto.keys import new_archive_key, new_signing_key, write_secret
from gateway.adapters.crypto.signers import ReferredSigner
from gateway.adapters.crypto.suite import SUITES, Suite, development_keys, suite_of
from gateway.adapters.crypto.verify import (
    ED25519,
    SM2_SM3,
    Step,
    failed_step,
    note_public_key,
    read_public_keys,
    verify,
)
from gateway.domain import sm2_plain
from gateway.domain.errors import CorruptRecordError, SigningUnavailableError
from gateway.domain.sm2 import Sm2Signer

SM4_KEY = "0123456789abcdeffedcba9876543210"


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest, tmp_path: Path) -> Suite:
    return suite_of(request.param, development_keys(tmp_path, request.param))


def test_the_vectors_of_rfc_8998_and_of_sm3_hold() -> None:
    key, nonce = bytes.fromhex(SM4_KEY), bytes.fromhex("00001234567800000000ABCD")
    bound_to = bytes.fromhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2")
    plain = b"".join(bytes([byte]) * 8 for byte in bytes.fromhex("AABBCCDDEEFFEEAA"))

    sealed = gcm_seal(SM4_GCM, key, nonce, plain, bound_to)

    assert sealed.hex().upper() == (
        "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735"
        "D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D"
        "83DE3541E4C2B58177E065A9BF7B62EC"
    )
    assert gcm_open(SM4_GCM, key, nonce, sealed, bound_to) == plain
    assert hashlib.new("sm3", b"abcd" * 16).hexdigest() == (
        "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    )


@given(st.binary(max_size=120))
def test_sm3_agrees_with_another_library(content: bytes) -> None:
    assert hashlib.new("sm3", content).hexdigest() == oracle_sm3.sm3_hash(list(content))


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=60))
def test_sm4_in_gcm_encrypts_as_another_library_counts(key: bytes, content: bytes) -> None:
    nonce, block = b"n" * 12, oracle_sm4.CryptSM4()
    block.set_key(key, oracle_sm4.SM4_ENCRYPT)
    counters = range(2, 2 + (len(content) + 15) // 16)
    stream = b"".join(bytes(block.one_round(block.sk, list(nonce + n.to_bytes(4)))) for n in counters)

    sealed = gcm_seal(SM4_GCM, key, nonce, content, b"")

    assert sealed[:-16] == bytes(a ^ b for a, b in zip(content, stream, strict=False))


@pytest.mark.long
def test_the_sm4_vector_of_a_million_rounds_holds() -> None:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes
    from cryptography.hazmat.primitives.ciphers.algorithms import SM4

    block = bytes.fromhex(SM4_KEY)
    encryptor = Cipher(SM4(block), modes.ECB()).encryptor()
    for _ in range(1_000_000):
        block = encryptor.update(block)

    assert block.hex() == "595298c7c6fd271f0402f804c33d3f66"


def test_sm2_agrees_with_another_library_both_ways(tmp_path: Path) -> None:
    signer = suite_of("gm", development_keys(tmp_path, "gm")).signer
    scalar = sm2_plain.scalar_of_pem((tmp_path / "evidence-sm2-sm3.pem").read_text())
    point = signer.public_key.public_key
    oracle = oracle_sm2.CryptSM2(private_key=scalar.hex(), public_key=point.hex(), asn1=True)

    for message in (b"a", secrets.token_bytes(32), secrets.token_bytes(500)):
        assert oracle.verify_with_sm3(signer.sign(message).hex(), message)
        assert verify(SM2_SM3, point, message, bytes.fromhex(oracle.sign_with_sm3(message)))


def test_what_a_suite_signs_is_verified_and_no_altered_bit_is(suite: Suite) -> None:
    key, signature = suite.signer.public_key, suite.signer.sign(b"root")

    assert verify(suite.signer.algorithm, key.public_key, b"root", signature)
    assert not verify(suite.signer.algorithm, key.public_key, b"rood", signature)
    for place in range(len(signature)):
        flipped = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        assert not verify(suite.signer.algorithm, key.public_key, b"root", flipped)


def test_what_a_suite_seals_opens_as_it_was_and_no_altered_bit_does(suite: Suite) -> None:
    sealed = suite.cipher.seal(b"a view", b"bank-a/1")

    assert suite.cipher.open(sealed, b"bank-a/1") == b"a view"
    assert suite.cipher.seal(b"a view", b"bank-a/1") != sealed
    with pytest.raises(CorruptRecordError):
        suite.cipher.open(sealed, b"bank-b/1")
    for place in range(len(sealed)):
        with pytest.raises((CorruptRecordError, SigningUnavailableError)):
            suite.cipher.open(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], b"bank-a/1")
        with pytest.raises((CorruptRecordError, SigningUnavailableError)):
            suite.cipher.open(sealed[:place], b"bank-a/1")


def test_old_keys_and_the_other_cipher_still_open_after_a_rotation(tmp_path: Path) -> None:
    paths = [tmp_path / "old", tmp_path / "new"]
    for path, length in zip(paths, (32, 16), strict=True):
        write_secret(path, new_archive_key(length))
    old, new = (f"file:{path}" for path in paths)
    sealed = KeyringCipher("AES-256-GCM", [old]).seal(b"a view", b"x")
    rotated = KeyringCipher(SM4_GCM, [new, old])

    assert rotated.open(sealed, b"x") == b"a view"
    assert rotated.key_id.startswith("sm4-gcm-")
    with pytest.raises(SigningUnavailableError, match="old key"):
        KeyringCipher(SM4_GCM, [new]).open(sealed, b"x")


def test_keys_of_development_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first, second = (suite_of("mixed", development_keys(tmp_path)) for _ in range(2))

    assert (first.signer.key_id, first.cipher.key_id) == (second.signer.key_id, second.cipher.key_id)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_the_file_of_public_keys_keeps_old_ones_and_names_a_broken_one(suite: Suite, tmp_path: Path) -> None:
    file, key = tmp_path / "keys.json", suite.signer.public_key
    other = ReferredSigner(ED25519, f"file:{tmp_path / 'other.pem'}")
    write_secret(tmp_path / "other.pem", new_signing_key(ED25519))

    note_public_key(file, key)
    note_public_key(file, other.public_key)

    assert list(read_public_keys(file).values()) == [key, other.public_key]
    load_pem_public_key(other.public_key.pem.encode())
    file.write_text("{}")
    with pytest.raises(ValueError, match="public keys"):
        read_public_keys(file)


def test_A11_a_key_that_is_gone_signs_nothing_and_one_that_comes_signs_again(tmp_path: Path) -> None:
    path = tmp_path / "late.pem"
    signer = ReferredSigner(ED25519, f"file:{path}")

    with pytest.raises(SigningUnavailableError, match="cannot be read"):
        signer.sign(b"root")
    write_secret(path, new_signing_key(ED25519))

    assert verify(ED25519, signer.public_key.public_key, b"root", signer.sign(b"root"))


@pytest.mark.parametrize("algorithm", [ED25519, SM2_SM3])
def test_a_key_of_another_kind_is_refused_without_being_shown(algorithm: str, tmp_path: Path) -> None:
    other = new_signing_key(SM2_SM3 if algorithm == ED25519 else ED25519)
    write_secret(tmp_path / "key", other)

    with pytest.raises(SigningUnavailableError, match="private key of") as raised:
        ReferredSigner(algorithm, f"file:{tmp_path / 'key'}").sign(b"root")

    assert other.splitlines()[1] not in str(raised.value)


def test_A17_a_signature_of_evidence_that_fails_names_the_step() -> None:
    scalar = secrets.randbelow(sm2_plain.ORDER - 2) + 1
    private, point = scalar.to_bytes(32).hex(), sm2_plain.public_point(scalar.to_bytes(32))
    good = Sm2Signer(private).sign(b'{"a":1}')

    def step(signature: bytes, *, algorithm: str = SM2_SM3, key: bytes = point) -> Step | None:
        return failed_step(algorithm, key, b'{"a":1}', signature, other_forms=[b'{"a": 1}'])

    assert step(good) is None
    assert step(good, algorithm="RSA") is Step.ALGORITHM
    assert step(good, key=bytes(64)) is Step.PUBLIC_KEY
    assert step(sm2_plain.raw_of_der(good)) is Step.ENCODING
    assert step(Sm2Signer(private, signer_id=b"").sign(b'{"a":1}')) is Step.SIGNER_ID
    assert step(Sm2Signer(private).sign(b'{"a": 1}')) is Step.CANONICAL_FORM
    assert step(Sm2Signer(private).sign(b"another")) is Step.SIGNATURE
