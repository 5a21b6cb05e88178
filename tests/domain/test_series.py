"""Sums over regions: formed only where they mean something."""

from __future__ import annotations

from typing import Any

import pytest

from gateway._pb.xinyidai.catalogue.v1 import fiscal_pb2
from gateway._pb.xinyidai.catalogue.v1.options_pb2 import CATEGORY_TAX_PAYMENT
from tests.domain.test_merge import merged, said


def tax(region: str, fen: int | None, period: str = "2026-Q2") -> fiscal_pb2.TaxPayment:
    record = fiscal_pb2.TaxPayment(period=period, period_type=fiscal_pb2.PERIOD_TYPE_QUARTER, region=region)
    if fen is not None:
        record.vat_paid.minor_units, record.vat_paid.currency = fen, "CNY"
    return record


@pytest.mark.parametrize(
    ("regions", "total", "reason"),
    [
        ((("310000", 5), ("320000", 7)), 12, ""),
        ((("310000", 5), ("320500", 7)), None, "regions.levels_mixed"),
        ((("330102", 5), ("330104", 7)), None, "regions.repeated"),
        ((("310000", 5), ("elsewhere", 7)), None, "region.unknown"),
        ((("310000", 5), ("320000", None)), None, "value.missing"),
        ((("310115", 5), ("310141", 7)), None, "regions.overlap"),  # a free-trade zone that lies within the district
        ((("310141", 5), ("320594", 7)), 12, ""),
        ((("310000", 2**63 - 1), ("320000", 1)), None, "value.range"),
    ],
)
def test_sums_are_formed_only_where_they_mean_something(regions: Any, total: int | None, reason: str) -> None:
    (first, one), (second, two) = regions

    view = merged(
        CATEGORY_TAX_PAYMENT,
        said("shanghai", CATEGORY_TAX_PAYMENT, tax(first, one)),
        said("jiangsu", CATEGORY_TAX_PAYMENT, tax(second, two)),
    ).view

    assert [(t.money.minor_units if t.HasField("money") else None, t.not_summed_reason) for t in view.totals] == [
        (total, reason)
    ]
