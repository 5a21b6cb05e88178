"""Periods in one form: what only its writing tells apart is one period, and nothing is guessed."""

from __future__ import annotations

import pytest

from gateway._pb.xinyidai.catalogue.v1 import fiscal_pb2, view_pb2
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.period import fold_period
from gateway.domain.record_key import RecordKeys
from gateway.domain.statement import AuthorityIds
from tests.domain.joint_entries import DEMO


@pytest.mark.parametrize(
    ("written", "period"),
    [
        *((text, "2026-03") for text in ("2026-03", "202603", "2026/03", "2026.03", "2026年3月", "2026年03月")),
        *((text, "2026-Q1") for text in ("2026-Q1", "2026Q1", "2026q1", "2026年第1季度", "2026年1季度")),
        *((text, "2026") for text in ("2026", "2026年", "2026年度")),
        *((text, text) for text in ("202613", "2026-3", "20260301", "2026年13月", "2026Q5", "上半年", "")),
    ],
)
def test_a_period_has_one_form_however_it_is_written(written: str, period: str) -> None:
    assert fold_period(written) == period


def test_two_writings_of_one_period_are_one_record() -> None:
    keys = RecordKeys(CATALOGUE, AuthorityIds({}))

    def key(period: str) -> bytes:
        paid = fiscal_pb2.TaxPayment(period=period, period_type=fiscal_pb2.PERIOD_TYPE_MONTH)
        return keys.name(DEMO, view_pb2.Records(tax_payments=[paid])).record_key

    assert key("202501") == key("2025-01")
    assert key("2025-01") != key("2025-02")
