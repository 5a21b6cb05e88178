#!/usr/bin/env python3
"""Verifies a trail (留痕) of the Xinyidai Gateway by itself: no gateway needs to be installed, and none of its code is used.

    python verify_trail.py TRAIL [--anchors FILE] [--public-key FILE ...] [--json]

TRAIL is the file that is written, such as var/audit.jsonl; its full segments and the trails of workers (audit.1.jsonl, ...)
beside it are found. FILE of --anchors holds signed heads, one JSON object a line; FILE of --public-key holds the gateway's
list of public keys (JSON), or one key: PEM ("BEGIN PUBLIC KEY"), or hexadecimal (Ed25519: 32 bytes; SM2: x and y, 64 bytes).
Exit code 0: whole; 1: damaged, the first bad entry is named; 2: cannot be checked, as where FILE has no head of TRAIL.

A line is {"sequence":N,"previous":"<hash of the entry before>",...,"hash":"<SM3>"}; the hash is the SM3 (GB/T 32905) of the
line without its hash member: of {"sequence":N,...}. Roots and heads are signed with Ed25519 or SM2 (GB/T 32918.2, the user
id 1234567812345678). SM3 and SM2 are here in plain Python; for Ed25519 `pip install cryptography`.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path

LONGEST = 4 * 1024 * 1024
FAULTS = (ValueError, TypeError, KeyError, IndexError, RecursionError)
HEAD = re.compile(rb'\{"sequence":([1-9][0-9]{0,18}),"previous":"([0-9a-f]{64})",')
TAIL = re.compile(rb'(?:,"leaf":"([0-9a-f]{64})")?,"hash":"([0-9a-f]{64})"\}\Z')
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
X = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
Y = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0


def rotated(x, n):
    """A 32-bit word rotated to the left."""
    return (x << n % 32 | x >> 32 - n % 32) & 0xFFFFFFFF


def plain_sm3(content):
    """SM3 by the letter of GB/T 32905-2016."""
    state = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E]
    padded = content + b"\x80" + bytes((55 - len(content)) % 64) + (len(content) * 8).to_bytes(8, "big")
    for at in range(0, len(padded), 64):
        w = [int.from_bytes(padded[at + i : at + i + 4], "big") for i in range(0, 64, 4)]
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rotated(w[j - 3], 15)
            w.append(x ^ rotated(x, 15) ^ rotated(x, 23) ^ rotated(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            t = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rotated((rotated(a, 12) + e + rotated(t, j)) & 0xFFFFFFFF, 7)
            ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
            gg = e ^ f ^ g if j < 16 else e & f | ~e & 0xFFFFFFFF & g
            tt1 = (ff + d + (ss1 ^ rotated(a, 12)) + (w[j] ^ w[j + 4])) & 0xFFFFFFFF
            tt2 = (gg + h + ss1 + w[j]) & 0xFFFFFFFF
            d, c, b, a = c, rotated(b, 9), a, tt1
            h, g, f, e = g, rotated(f, 19), e, tt2 ^ rotated(tt2, 9) ^ rotated(tt2, 17)
        state = [x ^ y for x, y in zip(state, (a, b, c, d, e, f, g, h), strict=True)]
    return b"".join(x.to_bytes(4, "big") for x in state)


def sm3(content):
    """SM3 by the system's OpenSSL where that has it."""
    try:
        return hashlib.new("sm3", content).digest()
    except ValueError:
        return plain_sm3(content)


DIGESTS = {"SM3": sm3, "SHA-256": lambda content: hashlib.sha256(content).digest()}
GENESIS = sm3(b"xinyidai-trail-1").hex()


def added(p, q):
    """Two points of the curve added; None is the point at infinity."""
    if p is None or q is None:
        return p or q
    if p[0] == q[0] and (p[1] + q[1]) % P == 0:
        return None
    rise, run = (3 * p[0] * p[0] + A, 2 * p[1]) if p == q else (q[1] - p[1], q[0] - p[0])
    slope = rise * pow(run, -1, P) % P
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def times(k, p):
    """A point of the curve taken k times."""
    result = None
    for bit in bin(k)[2:]:
        result = added(added(result, result), p if bit == "1" else None)
    return result


def r_and_s(signature):
    """The two numbers of a signature: 32 bytes each, or ASN.1 DER."""
    parts = (signature[:32], signature[32:])
    if len(signature) != 64:
        end = 4 + signature[3]
        parts = (signature[4:end], signature[end + 2 :])
        told = b"".join(b"\2" + bytes([len(part)]) + part for part in parts)
        if signature != b"\x30" + bytes([len(told)]) + told:
            raise ValueError("no signature")
    return [int.from_bytes(part, "big") for part in parts]


def is_sm2_signed(point, message, signature):
    """Verification by GB/T 32918.2, clause 7."""
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    r, s = r_and_s(signature)
    t = (r + s) % N
    if x >= P or y >= P or (y * y - x * x * x - A * x - B) % P or not (0 < r < N and 0 < s < N and t):
        return False
    told = b"\x00\x80" + b"1234567812345678" + b"".join(number.to_bytes(32, "big") for number in (A, B, X, Y, x, y))
    e = int.from_bytes(sm3(sm3(told) + message), "big")
    found = added(times(s, (X, Y)), times(t, (x, y)))
    return found is not None and (e + found[0]) % N == r


def is_ed25519_signed(key, message, signature):
    """Verification by RFC 8032, of a library."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        return Ed25519PublicKey.from_public_bytes(key).verify(signature, message) is None
    except InvalidSignature:
        return False


def parsed(content):
    """What JSON in UTF-8 says; ValueError for whatever else, NaN and half a surrogate pair too, RecursionError too deep."""
    told = json.loads(content.decode(), parse_constant=bytes.fromhex)  # which refuses those names
    json.dumps(told, ensure_ascii=False).encode()
    return told


def read_keys(path):
    """The keys of a file: 32 bytes each of Ed25519, 64 of SM2 (x and y)."""
    text = Path(path).read_text(encoding="ascii").strip()
    pem = re.search("-----BEGIN PUBLIC KEY-----(.+)-----END PUBLIC KEY-----", text, re.DOTALL)
    if text.startswith("{"):
        keys = [bytes.fromhex(each["public_key"]) for each in parsed(text.encode())["keys"]]
    elif pem:
        key = base64.b64decode(pem[1])
        keys = [key[-32:] if key[:12].hex() == "302a300506032b6570032100" else key[-64:]]
    else:
        keys = [bytes.fromhex(text)]
    keys = [key[1:] if len(key) == 65 and key[0] == 4 else key for key in keys]
    if not keys or any(len(key) not in (32, 64) for key in keys):
        raise ValueError(f"{path}: neither an Ed25519 nor an SM2 key")
    return keys


def is_signed(keys, algorithm, message, signature):
    """Whether a signature, in hexadecimal, is by one of the keys."""
    check, size = {"ED25519": (is_ed25519_signed, 32), "SM2-SM3": (is_sm2_signed, 64)}.get(algorithm, (None, 0))
    try:
        return any(check(key, message, bytes.fromhex(signature)) for key in keys if len(key) == size)
    except FAULTS:
        return False


def root_of(nodes, digest):
    """The Merkle root over leaf nodes, RFC 6962."""
    while len(nodes) > 1:
        paired = [digest(b"\x01" + nodes[at] + nodes[at + 1]) for at in range(0, len(nodes) - 1, 2)]
        nodes = paired + nodes[len(paired) * 2 :]
    return nodes[0]


def heads_in(path):
    """The heads that a file of anchors holds, one after the other; whatever else stands there says nothing."""
    names = ("trail", "hash", "time", "algorithm", "key_id", "signature")
    for line, _ in lines_in(path):
        try:
            head = dict.fromkeys(names, "") | parsed(line)
            is_head = type(head["sequence"]) is int and all(type(head[name]) is str for name in names)
            if is_head and head["sequence"] > 0 and head["time"] and re.fullmatch("[0-9a-f]{64}", head["hash"]):
                yield head
        except FAULTS:
            continue


def heads_of(path, trail, keys):
    """The anchored hash of each anchored entry: "" where no key signed it, "?" where two heads differ."""
    heads = {}
    for head in (head for head in heads_in(path) if head["trail"] == trail):
        sequence, said, before = head["sequence"], head["hash"], heads.get(head["sequence"])
        values = (trail, str(sequence), said, head["time"], head["algorithm"], head["key_id"])
        message = "\n".join(("xinyidai-head-1", *values)).encode()
        if keys and not is_signed(keys, head["algorithm"], message, head["signature"]):
            said = ""
        heads[sequence] = "?" if before and said and said != before else before or said
    return heads


def lines_in(path):
    """The lines of a file without their ends, and whether each has one; a longer line than any entry is cut to nothing."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            whole = line
            while not whole.endswith(b"\n") and (more := file.readline(LONGEST)):
                line, whole = b"", more
            yield line.removesuffix(b"\n"), whole.endswith(b"\n")


def lines_of(path):
    """The whole lines of a trail's files in order, without their ends; a longer line than any entry is cut."""
    for segment in sorted(path.parent.glob(path.name + "." + "[0-9]" * 15)) + ([path] if path.exists() else []):
        yield from (line for line, is_ended in lines_in(segment) if is_ended)


def verified(path, heads, keys):
    """(entries, first bad sequence number or None, what is wrong): "" where nothing is."""
    sequence, before, nodes, count = 0, GENESIS, [], 0
    for line in lines_of(path):
        head, tail = HEAD.match(line), TAIL.search(line, max(0, len(line) - 149))
        if head is None or tail is None or tail.start(2) - 9 <= head.end():
            return count, sequence + 1, "unreadable"
        hashed = sm3(line[: tail.start(2) - 9] + b"}").hex()
        if hashed != tail[2].decode():
            return count, sequence + 1, "altered"
        if int(head[1]) != sequence + 1:
            return count, sequence + 1, "missing" if int(head[1]) > sequence + 1 else "inserted"
        if head[2].decode() != before:
            return count, max(sequence, 1), "replaced"
        sequence, before = sequence + 1, hashed
        if tail[1]:
            nodes.append(bytes.fromhex(tail[1].decode()))
        is_root = b'"event":"root"' in line
        if is_root:
            try:
                root = parsed(line)
                texts = [root[name] for name in ("root", "time", "digest", "algorithm", "key_id", "signature")]
                size = root["leaf_count"]
                covered = nodes[-size:] if type(size) is int and size > 0 else []
                found = root_of(covered, DIGESTS[root["digest"]]).hex()
                bytes.fromhex(root["signature"])
                if len(covered) != size or found != root["root"] or not all(type(text) is str for text in texts):
                    return count, sequence, "root"
            except FAULTS:
                return count, sequence, "root"
            nodes.clear()
        if sequence in heads and heads[sequence] != hashed:
            return count, sequence, "rewritten" if heads[sequence] else "signature"
        if is_root and keys:
            told = (sequence, root["root"], root["leaf_count"], root["time"], root["digest"])
            message = "\n".join(map(str, ("xinyidai-root-1", *told, root["algorithm"], root["key_id"]))).encode()
            if not is_signed(keys, root["algorithm"], message, root["signature"]):
                return count, sequence, "signature"
        count += 1
        if count % 50_000 == 0:
            print(f"{path.name}: {count} entries", file=sys.stderr)
    beyond = {number: said for number, said in heads.items() if number > sequence}
    if any(beyond.values()):
        return count, sequence + 1, "cut"
    return (count, min(beyond), "signature") if beyond else (count, None, "")


def main(arguments=None):
    """The command."""
    parser = argparse.ArgumentParser(description="Verifies a trail. 核验留痕。")
    parser.add_argument("trail", type=Path)
    parser.add_argument("--anchors", type=Path)
    parser.add_argument("--public-key", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    is_here = re.compile(
        re.escape(asked.trail.stem) + r"(\.(0|[1-9]\d{0,8}))?" + re.escape(asked.trail.suffix), re.A
    ).fullmatch
    files = (re.sub(r"\.[0-9]{15}\Z", "", each.name) for each in asked.trail.parent.glob("*") if each.exists())
    names = set(filter(is_here, files))
    verdicts, unanchored = [], []
    try:
        keys = [key for path in asked.public_key for key in read_keys(path)]
        if asked.anchors and names:  # those that are gone, too
            names |= set(filter(is_here, (head["trail"] for head in heads_in(asked.anchors))))
        for name in sorted(names, key=lambda name: (name != asked.trail.name, len(name), name)):
            heads = heads_of(asked.anchors, name, keys) if asked.anchors else {}
            count, first_bad, fault = verified(asked.trail.with_name(name), heads, keys)
            verdicts.append({"trail": name, "entries": count, "first_bad": first_bad, "fault": fault})
            unanchored += [name] if asked.anchors and count and not heads else []
    except (OSError, ImportError, *FAULTS) as error:
        print(error, "(Ed25519: pip install cryptography)" if isinstance(error, ImportError) else "", file=sys.stderr)
        return 2
    unseen = ["; signatures not checked 未验签名"] * (not keys) + ["; no anchors 未比对锚定"] * (not asked.anchors)
    for told in verdicts:
        bad = f"entry {told['first_bad']}: {told['fault']}" if told["fault"] else f"whole 完整{''.join(unseen)}"
        print(json.dumps(told) if asked.json else f"{told['trail']}: {told['entries']} entries checked; {bad}")
    for name in unanchored:
        print(f"{asked.anchors} has no head of {name}: a copy must keep the trail's name", file=sys.stderr)
    if not verdicts:
        print(f"no trail at {asked.trail}", file=sys.stderr)
    return 1 if any(told["fault"] for told in verdicts) else 2 if unanchored or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
