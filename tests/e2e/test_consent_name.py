"""A person's name on its way into `xinyidai consent register`: from a file or standard input, never an argument."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gateway.cli.consents import name_in


@pytest.mark.parametrize("written", ["测试甲\n", "\ufeff测试甲\r\n", "  测试甲"])
def test_a_name_is_read_from_a_file(written: str, tmp_path: Path) -> None:
    file = tmp_path / "name"
    file.write_text(written, encoding="utf-8")

    assert name_in(file) == "测试甲"


def test_a_name_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("测试甲\n".encode())))

    assert name_in(Path("-")) == "测试甲"


@pytest.mark.parametrize("raw", [b"", b" \n", "测试甲\n测试乙\n".encode(), "测试甲".encode("gb18030")])
def test_what_is_no_name_is_refused_without_repeating_it(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "name"
    file.write_bytes(raw)

    with pytest.raises(ValueError, match="--person") as refused:
        name_in(file)

    assert "测试" not in str(refused.value)
