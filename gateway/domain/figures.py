"""A view's figures (视图指标) as plain values: how complete it is, and what it shows of each platform.

They are read from the message once, for the trail, the metrics and the delivery, and kept with a view that is kept: every
read of a message's field makes an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.catalogue.v1.view_pb2 import Outcome


class PlatformFigures(NamedTuple):
    """What a view shows of one platform; None stands for a figure that the view does not have."""

    outcome: Outcome.ValueType
    record_count: int
    completeness_bp: int | None
    agreement_bp: int | None
    age_days: int | None


class ViewFigures(NamedTuple):
    """The figures of a view, and of its platforms by id; `completeness_bp` is None where nothing was covered."""

    view_id: str
    completeness_bp: int | None
    platforms: Mapping[str, PlatformFigures]


def figures_of(view: view_pb2.CreditView) -> ViewFigures:
    """Gives the figures of a view."""
    return ViewFigures(
        view.view_id,
        view.completeness_bp if view.HasField("completeness_bp") else None,
        {part.platform: platform_figures(part) for part in view.answers},
    )


def platform_figures(part: view_pb2.PlatformAnswer) -> PlatformFigures:
    """Gives the figures of one platform in a view."""
    has = part.HasField
    return PlatformFigures(
        part.outcome,
        sum([category.record_count for category in part.categories]),
        part.completeness_bp if has("completeness_bp") else None,
        part.agreement_bp if has("agreement_bp") else None,
        part.age_days if has("age_days") else None,
    )
