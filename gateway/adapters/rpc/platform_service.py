"""PlatformService over gRPC: which platforms are connected, what they cover and how they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway._pb.xinyidai.gateway.v1 import platform_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import platform_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.delivery import HEALTH, duration
from gateway.adapters.rpc.requests import check_annotations
from gateway.adapters.telemetry.health import WINDOW_S, HealthSummary, PlatformHealth
from gateway.domain.errors import GatewayError, InvalidRequestError, Reason
from gateway.domain.platform import Platform, Tier

_TIERS = {
    Tier.PROVINCE: pb.PLATFORM_TIER_PROVINCE,
    Tier.NATIONAL: pb.PLATFORM_TIER_NATIONAL,
    Tier.HUB: pb.PLATFORM_TIER_HUB,
    Tier.CREDIT_CHINA: pb.PLATFORM_TIER_CREDIT_CHINA,
    Tier.THIRD_PARTY: pb.PLATFORM_TIER_THIRD_PARTY,
}


class PlatformService(platform_service_pb2_grpc.PlatformServiceServicer):
    """Describes the connected platforms."""

    def __init__(
        self,
        platforms: Mapping[str, Platform],
        health: PlatformHealth,
        clock_skew_s: Callable[[str], float | None],
        callers: RpcCallers,
    ) -> None:
        self._platforms = platforms
        self._health = health
        self._clock_skew_s = clock_skew_s
        self._callers = callers

    async def ListPlatforms(  # noqa: N802  # named by the proto
        self, request: pb.ListPlatformsRequest, context: Context
    ) -> pb.ListPlatformsResponse:
        """Lists all platforms, ordered by id."""
        try:
            await self._callers.of(context)
            check_annotations(request)
        except GatewayError as error:
            await abort(context, error)
        return pb.ListPlatformsResponse(platforms=[self._describe(p) for p in sorted(self._platforms)])

    async def GetPlatform(  # noqa: N802  # named by the proto
        self, request: pb.GetPlatformRequest, context: Context
    ) -> pb.GetPlatformResponse:
        """Gives one platform."""
        try:
            await self._callers.of(context)
            check_annotations(request)
            if request.platform not in self._platforms:
                raise InvalidRequestError(
                    "platform",
                    f"no platform {request.platform!r}; see PlatformService.ListPlatforms",
                    Reason.UNKNOWN_PLATFORM,
                )
        except GatewayError as error:
            await abort(context, error)
        return pb.GetPlatformResponse(platform=self._describe(request.platform))

    def _describe(self, platform_id: str) -> pb.Platform:
        platform = self._platforms[platform_id]
        message = pb.Platform(
            platform=platform.id,
            title_zh=platform.title_zh,
            title_en=platform.title_en,
            province=platform.province or "",
            tier=_TIERS[platform.tier],
            dialect=platform.dialect,
            is_simulated=platform.is_simulated,
            limits=pb.PlatformLimits(
                calls_per_second=platform.limits.calls_per_second,
                calls_per_day=platform.limits.calls_per_day,
                is_metered=platform.limits.is_metered,
                is_billed_per_bank=platform.limits.is_billed_per_bank,
                max_body_bytes=platform.limits.max_body_bytes,
                max_records=platform.limits.max_records,
                maintenance_windows=platform.limits.maintenance_windows,
            ),
            health=_report(self._health.summary(platform.id)),
            documentation=platform.documentation,
            owner=platform.owner,
        )
        skew = self._clock_skew_s(platform.id)
        if skew is not None:
            message.health.clock_skew_ms = round(skew * 1000)
        for category in sorted(platform.coverage):
            covered = platform.coverage[category]
            message.coverage.add(
                category=category,
                update_cycle=covered.update_cycle,
                years=covered.years,
                missing_years=covered.missing_years,
                note=covered.note,
            )
        return message


def _report(summary: HealthSummary) -> pb.HealthReport:
    report = pb.HealthReport(
        health=HEALTH[summary.health],
        call_count=summary.call_count,
    )
    duration(report.window, WINDOW_S)
    if summary.success_bp is not None:
        report.success_bp = summary.success_bp
    if summary.p50_s is not None:
        duration(report.p50_latency, summary.p50_s)
    if summary.last_call_at is not None and summary.last_outcome is not None:
        report.last_call_at.FromDatetime(summary.last_call_at)
        report.last_outcome = summary.last_outcome
    return report
