"""What evidence costs by suite: `python -m tests.bench.suites` prints microseconds to sign, verify, seal and open."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gateway.adapters.crypto.suite import SUITES, Suite, development_keys, suite_of
from gateway.adapters.crypto.verify import verify


def measured_us(act: Callable[[], object], *, rounds: int = 7, calls: int = 60) -> float:
    """Gives the median of a call over several rounds, in microseconds."""
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(calls):
            act()
        spent.append((time.perf_counter() - begun) / calls * 1e6)
    return statistics.median(spent)


def figures_of(suite: Suite) -> dict[str, float]:
    """Gives microseconds by what is done, for a root of 32 bytes and contents of 1 KiB and 65 KiB."""
    signer, cipher = suite.signer, suite.cipher
    root, small, large = os.urandom(32), os.urandom(1024), os.urandom(65 * 1024)
    key, signature = signer.public_key.public_key, signer.sign(root)
    sealed, sealed_large = cipher.seal(small, b"b"), cipher.seal(large, b"b")
    figures = {
        "sign": measured_us(lambda: signer.sign(root)),
        "verify": measured_us(lambda: verify(signer.algorithm, key, root, signature)),
        "digest 1 KiB": measured_us(lambda: suite.digest_of(small)),
        "seal 1 KiB": measured_us(lambda: cipher.seal(small, b"b")),
        "open 1 KiB": measured_us(lambda: cipher.open(sealed, b"b")),
    }
    seal_large = measured_us(lambda: cipher.seal(large, b"b"))
    open_large = measured_us(lambda: cipher.open(sealed_large, b"b"))
    figures["seal each further KiB"] = (seal_large - figures["seal 1 KiB"]) / 64
    figures["open each further KiB"] = (open_large - figures["open 1 KiB"]) / 64
    return figures


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name in SUITES:
            suite = suite_of(name, development_keys(Path(folder), name))
            print(f"{name} ({suite.implementation})")
            for what, us in figures_of(suite).items():
                print(f"  {what:24} {us:8.1f} µs")
