"""The gRPC server: services, health, reflection, limits, and a clean end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway._pb.xinyidai.gateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    archive_service_pb2,
    archive_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    consent_service_pb2,
    consent_service_pb2_grpc,
    credit_service_pb2,
    credit_service_pb2_grpc,
    green_credit_service_pb2,
    green_credit_service_pb2_grpc,
    joint_list_service_pb2,
    joint_list_service_pb2_grpc,
    platform_service_pb2,
    platform_service_pb2_grpc,
    repair_service_pb2,
    repair_service_pb2_grpc,
)
from gateway.adapters.loopback import is_loopback_address
from gateway.adapters.rpc.admin_service import AdminService
from gateway.adapters.rpc.archive_service import ArchiveService
from gateway.adapters.rpc.audit_service import AuditService
from gateway.adapters.rpc.callers import RpcCallers
from gateway.adapters.rpc.catalogue_service import CatalogueService
from gateway.adapters.rpc.consent_service import ConsentService
from gateway.adapters.rpc.credit_service import CreditService, methods_in_bytes
from gateway.adapters.rpc.green_credit_service import GreenCreditService
from gateway.adapters.rpc.joint_list_service import JointListService
from gateway.adapters.rpc.platform_service import PlatformService
from gateway.adapters.rpc.registry import Registry
from gateway.adapters.rpc.repair_service import RepairService
from gateway.adapters.rpc.rights import Door
from gateway.adapters.rpc.unreadable import readable
from gateway.adapters.telemetry.health import PlatformHealth
from gateway.domain.errors import ConfigError

CREDIT: Final = credit_service_pb2.DESCRIPTOR.services_by_name["CreditService"].full_name
PLATFORMS: Final = platform_service_pb2.DESCRIPTOR.services_by_name["PlatformService"].full_name
CATALOGUE: Final = catalogue_service_pb2.DESCRIPTOR.services_by_name["CatalogueService"].full_name
ADMIN: Final = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
CONSENTS: Final = consent_service_pb2.DESCRIPTOR.services_by_name["ConsentService"].full_name
GREEN: Final = green_credit_service_pb2.DESCRIPTOR.services_by_name["GreenCreditService"].full_name
AUDIT: Final = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name
ARCHIVE: Final = archive_service_pb2.DESCRIPTOR.services_by_name["ArchiveService"].full_name
JOINT_LISTS: Final = joint_list_service_pb2.DESCRIPTOR.services_by_name["JointListService"].full_name
REPAIRS: Final = repair_service_pb2.DESCRIPTOR.services_by_name["RepairService"].full_name
_SERVICES: Final = (CREDIT, PLATFORMS, CATALOGUE, ADMIN, CONSENTS, AUDIT, ARCHIVE, GREEN, JOINT_LISTS, REPAIRS)

_LONGEST_UNTAKEN_S: Final = 600
"""Beyond every deadline: gRPC itself cancels, without a word, a call that no handler has taken in 30 seconds."""

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What the server accepts: bytes of one request and one response, calls waiting for a handler.

    `shares_port` lets other processes of the house listen on the same port; the kernel deals connections out.
    """

    max_request_bytes: int
    max_response_bytes: int
    max_pending_calls: int
    shares_port: bool = False

    def options(self) -> Sequence[tuple[str, int | str]]:
        """Gives the channel options; by default gRPC turns away most of a burst of 10,000 calls."""
        return (
            ("grpc.max_receive_message_length", self.max_request_bytes),
            ("grpc.max_send_message_length", self.max_response_bytes),
            ("grpc.server.max_pending_requests", self.max_pending_calls),
            ("grpc.server.max_pending_requests_hard_limit", self.max_pending_calls * 2),
            ("grpc.server_max_unrequested_time_in_server", _LONGEST_UNTAKEN_S),
            ("grpc.max_concurrent_streams", self.max_pending_calls),
            ("grpc.so_reuseport", int(self.shares_port)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        )


class RpcServer:
    """The server with all its services; started and stopped by who made it."""

    def __init__(
        self,
        credit: CreditService,
        platforms: PlatformService,
        admin: AdminService,
        consents: ConsentService,
        audit: AuditService,
        archive: ArchiveService,
        joint_lists: JointListService,
        door: Door,
        health: PlatformHealth,
        platform_ids: Collection[str],
        limits: ServerLimits,
        callers: RpcCallers,
        credentials: grpc.ServerCredentials | None,
        *,
        is_store_red: Callable[[], bool],
        green: GreenCreditService,
        repairs: RepairService,
        is_trail_red: Callable[[], bool] = lambda: False,
    ) -> None:
        """Takes what handshakes are made with; None speaks plain text, for development and on loopback only."""
        self._server = grpc.aio.server(options=limits.options())
        self._credentials = credentials
        self._health = health_aio.HealthServicer()
        self._platform_health = health
        self._platform_ids = tuple(platform_ids)
        self._is_store_red = is_store_red
        self._is_trail_red = is_trail_red
        self._joint_lists = joint_lists
        registry: Any = Registry(lambda service, handlers: readable(door.guarding(service, handlers)))
        credit_service_pb2_grpc.add_CreditServiceServicer_to_server(credit, registry)
        registry.add_registered_method_handlers(CREDIT, dict(methods_in_bytes(credit)))
        platform_service_pb2_grpc.add_PlatformServiceServicer_to_server(platforms, registry)
        catalogue_service_pb2_grpc.add_CatalogueServiceServicer_to_server(CatalogueService(callers), registry)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(admin, registry)
        consent_service_pb2_grpc.add_ConsentServiceServicer_to_server(consents, registry)
        green_credit_service_pb2_grpc.add_GreenCreditServiceServicer_to_server(green, registry)
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server(audit, registry)
        archive_service_pb2_grpc.add_ArchiveServiceServicer_to_server(archive, registry)
        joint_list_service_pb2_grpc.add_JointListServiceServicer_to_server(joint_lists, registry)
        repair_service_pb2_grpc.add_RepairServiceServicer_to_server(repairs, registry)
        unguarded: Any = Registry(lambda _service, handlers: handlers)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, unguarded)
        names = (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), unguarded)
        self._server.add_generic_rpc_handlers((registry, unguarded))

    async def start(self, listen: str) -> int:
        """Starts listening; gives the port. Raises ConfigError when the address cannot be had, or not in plain text."""
        try:
            if self._credentials is not None:
                port = self._server.add_secure_port(listen, self._credentials)
            elif is_loopback_address(listen):
                port = self._server.add_insecure_port(listen)
            else:
                raise ConfigError([f"gateway.toml: server.listen: {listen} is not loopback, and this is plain text"])
        except RuntimeError as error:
            raise ConfigError([f"gateway.toml: server.listen: cannot listen on {listen}"]) from error
        if not port:
            raise ConfigError([f"gateway.toml: server.listen: cannot listen on {listen}"])
        await self._server.start()
        await self.tell_health()
        return port

    async def tell_health(self) -> None:
        """Sets the standard health of each service.

        Credit queries serve while at least one platform is not down, consents and archive while their store can be
        reached; all while the trail can be written and its disk has room: without it nothing is answered.
        """
        all_down = bool(self._platform_ids) and all(self._platform_health.is_down(p) for p in self._platform_ids)
        is_trail_red = self._is_trail_red()
        await self._health.set(CREDIT, _NOT_SERVING if all_down or is_trail_red else _SERVING)
        await self._health.set(GREEN, _NOT_SERVING if all_down or is_trail_red else _SERVING)
        await self._health.set(PLATFORMS, _SERVING)
        await self._health.set(CATALOGUE, _SERVING)
        await self._health.set(ADMIN, _SERVING)
        await self._health.set(AUDIT, _NOT_SERVING if is_trail_red else _SERVING)
        for kept in (CONSENTS, ARCHIVE, JOINT_LISTS, REPAIRS):
            await self._health.set(kept, _NOT_SERVING if is_trail_red or self._is_store_red() else _SERVING)
        await self._health.set("", _NOT_SERVING if is_trail_red else _SERVING)

    async def stop(self, drain_s: float) -> None:
        """Takes no new calls, lets those under way finish for `drain_s` seconds, then ends them."""
        await self._health.enter_graceful_shutdown()
        self._joint_lists.end_watches()
        await self._server.stop(drain_s)

    async def wait(self) -> None:
        """Waits until the server has stopped."""
        await self._server.wait_for_termination()
