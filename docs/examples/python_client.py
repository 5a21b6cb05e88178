"""A bank's client: one view, then the same as a stream, with errors a person can act on.

Run against `make run`, which leaves certificates of a development authority in var/certs:

    .venv/bin/python docs/examples/python_client.py 91310115MA0TERT167 \\
        --cert var/certs/demo-bank.pem --key var/certs/demo-bank.key --ca var/certs/ca.pem

Without certificates it speaks plain text, as `xinyidai serve --development` does.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway._pb.xinyidai.catalogue.v1 import view_pb2
from gateway._pb.xinyidai.gateway.v1 import credit_service_pb2, credit_service_pb2_grpc

OPTIONS = (("grpc.max_receive_message_length", 16 * 1024 * 1024),)  # as the gateway's own limit; 4 MB by default


async def one_view(stub: credit_service_pb2_grpc.CreditServiceAsyncStub, query: credit_service_pb2.CreditQuery) -> None:
    """Asks once and prints what a loan system would look at first."""
    response = await stub.GetCreditView(credit_service_pb2.GetCreditViewRequest(query=query), timeout=5)
    view = response.view
    print(f"answer {response.delivery.answer_id}  completeness {view.completeness_bp / 100:.2f} %")
    for answer in view.answers:
        print(f"  {answer.platform:10} {view_pb2.Outcome.Name(answer.outcome)} {answer.reason}")
    for coverage in view.coverage:
        if not coverage.record_count:
            years = [f"{each.platform} {each.year}" for each in coverage.missing_years]
            known = "none" if coverage.is_known_empty else f"unknown, missing {', '.join([*coverage.missing, *years])}"
            print(f"  category {coverage.category}: {known}")
    for penalty in view.records.penalties:
        said_by = ", ".join(p.platform for p in penalty.envelope.provenances)
        print(
            f"  penalty {penalty.document_number}: {penalty.fine.minor_units / 100:.2f} {penalty.fine.currency} ({said_by})"
        )
        for conflict in penalty.envelope.conflicts:
            print(f"    platforms disagree on {conflict.field}; {conflict.chosen_platform} was chosen")


async def as_it_lands(
    stub: credit_service_pb2_grpc.CreditServiceAsyncStub, query: credit_service_pb2.CreditQuery
) -> None:
    """Prints each platform as it lands, and the final view's id."""
    request = credit_service_pb2.StreamCreditViewRequest(query=query)
    async for step in stub.StreamCreditView(request, timeout=5):
        if step.HasField("answer_landed"):
            print(f"  landed: {step.answer_landed.answer.platform}")
        else:
            print(f"  final view {step.final.view.view_id}")


def explain(error: grpc.aio.AioRpcError) -> None:
    """Prints the status and the details that say what to do."""
    print(f"{error.code().name}: {error.details()}")
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what a call has
    for detail in status.details if status is not None else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            print(f"  reason {info.reason}")
        elif detail.Unpack(bad):
            for violation in bad.field_violations:
                print(f"  {violation.field}: {violation.description}")


def channel_to(address: str, cert: Path | None, key: Path | None, ca: Path | None) -> grpc.aio.Channel:
    """Opens a channel; the certificate says which bank asks."""
    if cert is None or key is None or ca is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    shown = grpc.ssl_channel_credentials(ca.read_bytes(), key.read_bytes(), cert.read_bytes())
    return grpc.aio.secure_channel(address, shown, options=OPTIONS)


async def main() -> None:
    """Reads the command line and asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("uscc", help="unified social credit code")
    parser.add_argument("--address", default="127.0.0.1:50051")
    for file in ("--cert", "--key", "--ca"):
        parser.add_argument(file, type=Path)
    given = parser.parse_args()
    query = credit_service_pb2.CreditQuery(uscc=given.uscc, purpose=view_pb2.PURPOSE_PRE_LOAN)
    async with channel_to(given.address, given.cert, given.key, given.ca) as channel:
        stub = credit_service_pb2_grpc.CreditServiceStub(channel)
        try:
            await one_view(stub, query)
            await as_it_lands(stub, query)
        except grpc.aio.AioRpcError as error:
            explain(error)


if __name__ == "__main__":
    asyncio.run(main())
