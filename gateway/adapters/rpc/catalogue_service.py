"""CatalogueService over gRPC: the catalogue as its descriptors state it."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor

from gateway._pb.xinyidai.gateway.v1 import catalogue_service_pb2 as pb
from gateway._pb.xinyidai.gateway.v1 import catalogue_service_pb2_grpc
from gateway.adapters.rpc.abort import abort
from gateway.adapters.rpc.callers import Context, RpcCallers
from gateway.adapters.rpc.requests import check_annotations
from gateway.domain.catalogue import CATALOGUE, SCHEMA_VERSION, RecordPlan
from gateway.domain.errors import GatewayError

_TYPES = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


class CatalogueService(catalogue_service_pb2_grpc.CatalogueServiceServicer):
    """Describes the unified collection catalogue."""

    def __init__(self, callers: RpcCallers) -> None:
        self._callers = callers

    async def DescribeCatalogue(  # noqa: N802  # named by the proto
        self, request: pb.DescribeCatalogueRequest, context: Context
    ) -> pb.DescribeCatalogueResponse:
        """Gives every record type with its fields."""
        try:
            await self._callers.of(context)
            check_annotations(request)
        except GatewayError as error:
            await abort(context, error)
        return describe(frozenset(request.categories))


def describe(categories: frozenset[int] = frozenset()) -> pb.DescribeCatalogueResponse:
    """Gives the description of some categories, of all when none is named."""
    plans = sorted(CATALOGUE.plans, key=lambda plan: plan.category)
    return pb.DescribeCatalogueResponse(
        schema_version=SCHEMA_VERSION,
        record_types=[_type(plan) for plan in plans if not categories or plan.category in categories],
    )


def _type(plan: RecordPlan) -> pb.RecordTypeDescription:
    message = pb.RecordTypeDescription(
        message_name=plan.message.DESCRIPTOR.full_name,
        records_field=plan.records_field,
        options=plan.options,
    )
    for field in plan.fields:
        descriptor = plan.message.DESCRIPTOR.fields_by_name[field.name]
        kind = descriptor.message_type or descriptor.enum_type
        message.fields.add(
            name=field.name,
            number=field.number,
            type=kind.full_name if kind is not None else _TYPES[descriptor.type],
            is_repeated=field.is_repeated,
            options=field.options,
            enum_values=list((field.enum_names or {}).values()),
        )
    return message
