"""Signatures: the standards' vectors, a second implementation as oracle, and every wrong key, id, encoding and bit."""

from __future__ import annotations

import hashlib

import pytest
from gmssl import sm2 as oracle_sm2

from connectors.kit import signing
from gateway.domain import sm2, sm2_plain
from gateway.domain.sm2 import PlainBackend, Sm2Signer, Sm2Verifier, backend, probe, serving_implementation

KEY = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8"
POINT = (
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)


def test_the_published_vectors_hold() -> None:
    assert signing.sm3_hex("abc") == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    parameters = signing.sorted_parameters({"timestamp": "1600000000000", "nonce": "abc", "appKey": "demo"})
    assert (
        signing.hmac_sm3("demoSecret", parameters) == "4b39541de6ccb8d2f852941c48b4b6d88c0a9b31b5b756f94512eb9579dee978"
    )
    assert (
        signing.sm3_hex(parameters + "&key=demoSecret")
        == "d4003afd82b0dcfee2c33d51a5bc4b1e6041070cafb8a00e5532cdcb8bb34fa3"
    )
    assert signing.md5_hex("demoAppKey" + "demoSecret" + "1600000000000") == "4b6e508260fb1bf5534fdacfbcfa5c95"


def test_the_sm4_vector_holds_in_its_first_block() -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")

    sealed = signing.sm4_cbc_encrypt(key, bytes(16), key)

    assert sealed[:16].hex() == "681edf34d206965e86b3e94f536e4246"
    assert signing.sm4_cbc_decrypt(key, bytes(16), sealed) == key


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(16)])
def test_a_sealed_text_that_is_not_one_is_refused(sealed: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        signing.sm4_cbc_decrypt(b"k" * 16, bytes(16), sealed)


def test_the_sm2_vector_of_the_standard_is_reproduced() -> None:
    nonce = int("59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21", 16)

    raw = sm2_plain.sign(bytes.fromhex(KEY), bytes.fromhex(POINT), sm2.DEFAULT_ID, b"message digest", nonce)

    assert raw.hex() == (
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
        "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
    )
    assert sm2_plain.der_of_raw(raw).hex().startswith("3046022100f5a0")
    assert sm2_plain.raw_of_der(sm2_plain.der_of_raw(raw)) == raw


def test_both_implementations_pass_the_probe_and_one_is_named() -> None:
    assert probe(PlainBackend())
    assert probe(backend())
    assert serving_implementation()


def test_the_implementations_understand_each_other() -> None:
    plain, message = PlainBackend(), b"a message of some length" * 20
    scalar, point = bytes.fromhex(KEY), bytes.fromhex(POINT)

    assert backend().verify(point, sm2.DEFAULT_ID, message, plain.sign(scalar, point, sm2.DEFAULT_ID, message))
    assert plain.verify(point, sm2.DEFAULT_ID, message, backend().sign(scalar, point, sm2.DEFAULT_ID, message))


def test_another_library_agrees_both_ways() -> None:
    oracle = oracle_sm2.CryptSM2(private_key=KEY.lower(), public_key=POINT.lower())
    message = "江苏省综合金融服务平台".encode()
    signer, verifier = Sm2Signer(KEY, encoding="raw"), Sm2Verifier(POINT, encoding="raw")

    assert oracle.verify_with_sm3(signer.sign(message).hex(), message)
    assert verifier.verify(message, bytes.fromhex(oracle.sign_with_sm3(message)))


@pytest.mark.parametrize("encoding", ["der", "raw"])
def test_A17_wrong_message_id_key_encoding_or_bit_is_refused(encoding: str) -> None:
    message = b"encData"
    signature = Sm2Signer(KEY, encoding=encoding).sign(message)
    verifier = Sm2Verifier(POINT, encoding=encoding)
    other_key = sm2_plain.public_point(bytes.fromhex("11" * 32)).hex()

    assert verifier.verify(message, signature)
    assert not verifier.verify(message + b" ", signature)
    assert not Sm2Verifier(POINT, signer_id=b"another", encoding=encoding).verify(message, signature)
    assert not Sm2Verifier(other_key, encoding=encoding).verify(message, signature)
    assert not Sm2Verifier(POINT, encoding="raw" if encoding == "der" else "der").verify(message, signature)
    for place in range(0, len(signature), 7):
        flipped = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        assert not verifier.verify(message, flipped)


def test_a_public_key_may_carry_the_leading_04() -> None:
    signature = Sm2Signer(KEY).sign(b"m")

    assert Sm2Verifier("04" + POINT).verify(b"m", signature)


@pytest.mark.parametrize("key", ["zz" * 32, "11" * 31, ""])
def test_a_malformed_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="private key") as raised:
        Sm2Signer(key)

    assert not key or key not in str(raised.value)


def test_the_signer_id_enters_the_digest() -> None:
    one = sm2_plain.digest(bytes.fromhex(POINT), b"a", b"m")

    assert one != sm2_plain.digest(bytes.fromhex(POINT), b"b", b"m")
    assert one < 2 ** (8 * hashlib.new("sm3").digest_size)
