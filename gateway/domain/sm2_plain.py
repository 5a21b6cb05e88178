"""SM2 in plain Python: the curve, DER, key wrapping, and signatures (GB/T 32918.1/.2/.5-2017).

Slow and not hardened against timing: the last resort of `sm2`, which uses its encodings in every case.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Final

P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX: Final = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY: Final = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0

Point = tuple[int, int, int]  # Jacobian; z = 0 is the point at infinity
_INFINITY: Final[Point] = (1, 1, 0)

_EC_PUBLIC_KEY: Final = bytes.fromhex("06072a8648ce3d0201")
_SM2_CURVE: Final = bytes.fromhex("06082a811ccf5501822d")


def _double(p: Point) -> Point:
    x, y, z = p
    if not z or not y:
        return _INFINITY
    yy = y * y % P
    s = 4 * x * yy % P
    zz = z * z % P
    m = 3 * (x - zz) * (x + zz) % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(p: Point, q: Point) -> Point:
    if not p[2]:
        return q
    if not q[2]:
        return p
    z1z1, z2z2 = p[2] * p[2] % P, q[2] * q[2] % P
    u1, u2 = p[0] * z2z2 % P, q[0] * z1z1 % P
    s1, s2 = p[1] * q[2] * z2z2 % P, q[1] * p[2] * z1z1 % P
    if u1 == u2:
        return _double(p) if s1 == s2 else _INFINITY
    h, r = (u2 - u1) % P, (s2 - s1) % P
    hh = h * h % P
    hhh, v = h * hh % P, u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, p[2] * q[2] * h % P


def _times(k: int, p: Point) -> Point:
    result = _INFINITY
    for bit in bin(k)[2:]:
        result = _double(result)
        if bit == "1":
            result = _add(result, p)
    return result


def _times_base(k: int) -> Point:
    """Gives k times the base point, k below 2²⁵⁶: one sum for each hexadecimal digit."""
    result = _INFINITY
    for place, multiples in enumerate(_multiples_of_base()):
        result = _add(result, multiples[k >> 4 * place & 15])
    return result


@cache
def _multiples_of_base() -> tuple[tuple[Point, ...], ...]:
    """Gives, for each of 64 hexadecimal digits, 0 to 15 times what a one in its place is worth."""
    rows, unit = [], (GX, GY, 1)
    for _ in range(64):
        row = [_INFINITY]
        for _ in range(15):
            row.append(_add(row[-1], unit))
        rows.append(tuple(row))
        unit = _add(row[-1], unit)
    return tuple(rows)


def _affine(p: Point) -> tuple[int, int]:
    inverse = pow(p[2], -1, P)
    square = inverse * inverse % P
    return p[0] * square % P, p[1] * square * inverse % P


def public_point(scalar: bytes) -> bytes:
    """Gives the public point of a private key, 64 bytes."""
    x, y = _affine(_times_base(int.from_bytes(scalar)))
    return x.to_bytes(32) + y.to_bytes(32)


def digest(point: bytes, signer_id: bytes, message: bytes) -> int:
    """Gives e = SM3(Z ‖ message) as a number, Z binding the signer's id, the curve and the public key."""
    constants = b"".join(number.to_bytes(32) for number in (A, B, GX, GY))
    bits = (len(signer_id) * 8).to_bytes(2)
    z = hashlib.new("sm3", bits + signer_id + constants + point).digest()
    return int.from_bytes(hashlib.new("sm3", z + message).digest())


def sign(scalar: bytes, point: bytes, signer_id: bytes, message: bytes, nonce: int) -> bytes:
    """Gives r‖s, 64 bytes; raises ValueError for the rare nonce that cannot be used."""
    e, d = digest(point, signer_id, message), int.from_bytes(scalar)
    x, _ = _affine(_times_base(nonce))
    r = (e + x) % ORDER
    s = pow(1 + d, -1, ORDER) * (nonce - r * d) % ORDER
    if not r or r + nonce == ORDER or not s:
        raise ValueError("this nonce cannot be used; take another")
    return r.to_bytes(32) + s.to_bytes(32)


def verify(point: bytes, signer_id: bytes, message: bytes, signature: bytes) -> bool:
    """Whether r‖s is the key's signature over the message."""
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    t = (r + s) % ORDER
    if not (0 < r < ORDER and 0 < s < ORDER and t):
        return False
    public = (int.from_bytes(point[:32]), int.from_bytes(point[32:]), 1)
    total = _add(_times_base(s), _times(t, public))
    if not total[2]:
        return False
    return (digest(point, signer_id, message) + _affine(total)[0]) % ORDER == r


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x81" + bytes([size])
    return bytes([tag]) + length + content


def _der_integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def der_of_raw(raw: bytes) -> bytes:
    """Gives the ASN.1 DER form of r‖s."""
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    return _der(0x30, _der_integer(r) + _der_integer(s))


def raw_of_der(signature: bytes) -> bytes:
    """Gives r‖s of a DER signature; raises ValueError for anything else."""
    if len(signature) < 8 or signature[0] != 0x30 or signature[1] != len(signature) - 2:
        raise ValueError("not a DER signature")
    numbers, rest = [], signature[2:]
    while rest:
        if len(rest) < 2 or rest[0] != 0x02 or len(rest) < 2 + rest[1]:
            raise ValueError("not a DER signature")
        numbers.append(int.from_bytes(rest[2 : 2 + rest[1]]))
        rest = rest[2 + rest[1] :]
    if len(numbers) != 2 or any(number >= 2**256 for number in numbers):
        raise ValueError("not a DER signature")
    return numbers[0].to_bytes(32) + numbers[1].to_bytes(32)


def subject_public_key(point: bytes) -> bytes:
    """Gives the X.509 SubjectPublicKeyInfo of a public point."""
    algorithm = _der(0x30, _EC_PUBLIC_KEY + _SM2_CURVE)
    return _der(0x30, algorithm + _der(0x03, b"\x00\x04" + point))


def pkcs8(scalar: bytes, point: bytes) -> bytes:
    """Gives the PKCS#8 form of a private key (SEC1 inside)."""
    public = _der(0xA1, _der(0x03, b"\x00\x04" + point))
    sec1 = _der(0x30, _der_integer(1) + _der(0x04, scalar) + public)
    algorithm = _der(0x30, _EC_PUBLIC_KEY + _SM2_CURVE)
    return _der(0x30, _der_integer(0) + algorithm + _der(0x04, sec1))


def is_on_curve(point: bytes) -> bool:
    """Whether 64 bytes are a point of the curve; the curve's cofactor is 1, so such a point has the full order."""
    x, y = int.from_bytes(point[:32]), int.from_bytes(point[32:])
    return len(point) == 64 and x < P and y < P and (y * y - (x * x * x + A * x + B)) % P == 0


def pem_of_pkcs8(der: bytes) -> str:
    """Gives a private key's PEM."""
    body = base64.b64encode(der).decode()
    lines = [body[place : place + 64] for place in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""])


def scalar_of_pem(pem: str) -> bytes:
    """Gives the 32-byte private key of a PEM (PKCS#8 with SEC1 inside); raises ValueError for anything else."""
    lines = pem.strip().splitlines()
    if lines[:1] != ["-----BEGIN PRIVATE KEY-----"] or lines[-1:] != ["-----END PRIVATE KEY-----"]:
        raise ValueError("not a private key in PEM (PKCS#8)")
    der = base64.b64decode("".join(lines[1:-1]))
    start = der.find(b"\x02\x01\x01\x04\x20")  # SEC1: version 1, then the key as 32 octets
    if _SM2_CURVE not in der or start < 0 or len(der) < start + 37:
        raise ValueError("not a private key of the SM2 curve")
    scalar = der[start + 5 : start + 37]
    if not 0 < int.from_bytes(scalar) < ORDER - 1:
        raise ValueError("not a private key of the SM2 curve")
    return scalar
