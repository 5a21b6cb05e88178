"""AdminService over gRPC: what the operator asks of the process and has it do, from its own machine only.

The operator is known by its certificate; on a development gateway, whoever calls from this machine is taken for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from gateway._pb.xinyidai.gateway.v1 import admin_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import admin_service_pb2_grpc
from gateway.adapters.resilience.chain import Chains
from gateway.adapters.resilience.in_force import WrapperInForce, in_force
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers, require_operator
from gateway.adapters.rpc.requests import check_annotations
from gateway.domain.errors import InvalidRequestError, Reason
from gateway.domain.identifiers import Uscc

_log = structlog.get_logger("gateway.admin")


class AdminService(admin_service_pb2_grpc.AdminServiceServicer):
    """Serves the operator."""

    def __init__(
        self, chains: Chains, forget: Callable[[str, str | None], Awaitable[int]], callers: RpcCallers
    ) -> None:
        """Takes what forgets an enterprise's kept answers, of one platform or of all, and gives how many they were."""
        self._chains = chains
        self._forget = forget
        self._callers = callers

    async def ShowPlatform(  # noqa: N802  # named by the proto
        self, request: pb.ShowPlatformRequest, context: Context
    ) -> pb.ShowPlatformResponse:
        """Shows what is in force around one platform's connector."""
        try:
            await require_operator(self._callers, context)
            check_annotations(request)
            self._require_known(request.platform)
            wrappers = [_wrapper(each) for each in in_force(self._chains, request.platform)]
            return pb.ShowPlatformResponse(platform=request.platform, wrappers=wrappers)
        except Exception as error:
            await abort(context, error)

    async def PurgeAnswers(  # noqa: N802  # named by the proto
        self, request: pb.PurgeAnswersRequest, context: Context
    ) -> pb.PurgeAnswersResponse:
        """Forgets what is kept about one enterprise."""
        try:
            await require_operator(self._callers, context)
            check_annotations(request)
            if request.platform:
                self._require_known(request.platform)
            uscc = Uscc.parse(request.uscc)
            forgotten = await self._forget(uscc.value, request.platform or None)
            _log.warning("cache.purged", uscc=uscc.value, platform=request.platform or "all", answers=forgotten)
            return pb.PurgeAnswersResponse(answer_count=forgotten)
        except Exception as error:
            await abort(context, error)

    def _require_known(self, platform: str) -> None:
        if platform not in self._chains.by_platform:
            raise InvalidRequestError(
                "platform",
                f"no platform {platform!r}; see PlatformService.ListPlatforms",
                Reason.UNKNOWN_PLATFORM,
            )


def _wrapper(wrapper: WrapperInForce) -> pb.Wrapper:
    return pb.Wrapper(
        wrapper=wrapper.name,
        is_active=not wrapper.inactive_because,
        inactive_because=wrapper.inactive_because,
        settings=_facts(wrapper.settings),
        state=_facts(wrapper.state),
    )


def _facts(texts: Mapping[str, str]) -> list[pb.WrapperFact]:
    return [pb.WrapperFact(key=key, value=value) for key, value in texts.items()]
