"""Makes `gateway/_pb/` from the .proto files: messages, type stubs, services, and one descriptor set with imports.

    python proto/generate.py                      generate, if anything changed
    python proto/generate.py --check-contract     buf lint, format and breaking against the newest text baseline
    python proto/generate.py --write-baseline v1  write proto/baseline/v1.txtpb from the files as they are

protovalidate ships no .proto file of its own, so its descriptor is taken out of its generated module and handed to protoc
and buf in a descriptor set. protoc writes absolute imports rooted at the proto package (protobuf#1491); they are rewritten.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from google.type import date_pb2
from protovalidate._gen.buf.validate.validate_pb import StringRules

PROTO = Path(__file__).resolve().parent
OUT = PROTO.parent / "gateway" / "_pb"
BASELINE = PROTO / "baseline"
_BIN = Path(sys.executable).parent
_IMPORTS = re.compile(r"^(from|import) (xinyidai|buf)\b", re.MULTILINE)


def dependencies() -> descriptor_pb2.FileDescriptorSet:
    """Gives every file our protos import, each after the files it imports itself."""
    found = descriptor_pb2.FileDescriptorSet()
    for module in (descriptor_pb2, any_pb2, duration_pb2, timestamp_pb2, field_mask_pb2):
        module.DESCRIPTOR.CopyToProto(found.file.add())
    found.file.add().ParseFromString(StringRules.desc().file.proto.to_binary())
    for module in (date_pb2, status_pb2, error_details_pb2):
        module.DESCRIPTOR.CopyToProto(found.file.add())
    return found


def sources() -> list[str]:
    """Gives the paths of our .proto files, relative to `proto/`."""
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("xinyidai/**/*.proto"))


def stamp() -> str:
    """Gives a digest of everything the generated code depends on."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *(PROTO / source for source in sources())]:
        digest.update(path.read_bytes())
    for package in ("grpcio-tools", "mypy-protobuf", "protovalidate"):
        digest.update(version(package).encode())
    return digest.hexdigest()


def protoc(descriptors: Path, arguments: Sequence[str]) -> None:
    """Runs protoc; raises CalledProcessError with its output already printed."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={descriptors}", f"-I{PROTO}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()


def generate() -> bool:
    """Makes `gateway/_pb/` anew if anything changed; says whether it did."""
    wanted = stamp()
    held = OUT / "STAMP"
    if held.exists() and held.read_text() == wanted:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "_pb"
        made.mkdir()
        descriptors = Path(scratch) / "dependencies.binpb"
        descriptors.write_bytes(dependencies().SerializeToString())
        ours = sources()
        services = [source for source in ours if "/gateway/" in source]
        protoc(
            descriptors,
            [
                f"--python_out={made}",
                f"--plugin=protoc-gen-mypy={_BIN / 'protoc-gen-mypy'}",
                f"--mypy_out=quiet:{made}",
                *ours,
                "buf/validate/validate.proto",
            ],
        )
        protoc(
            descriptors,
            [
                f"--grpc_python_out={made}",
                f"--plugin=protoc-gen-mypy_grpc={_BIN / 'protoc-gen-mypy_grpc'}",
                f"--mypy_grpc_out=quiet:{made}",
                *services,
            ],
        )
        protoc(
            descriptors,
            [
                "--include_imports",
                f"--descriptor_set_out={made / 'xinyidai.binpb'}",
                *ours,
                "google/rpc/status.proto",
                "google/rpc/error_details.proto",
            ],
        )
        for path in made.rglob("*.py*"):
            path.write_text(_IMPORTS.sub(r"\1 gateway._pb.\2", path.read_text()))
        for folder in [made, *(path for path in made.rglob("*") if path.is_dir())]:
            (folder / "__init__.py").touch()
        (made / "STAMP").write_text(wanted)
        shutil.rmtree(OUT, ignore_errors=True)
        shutil.copytree(made, OUT)
    return True


def image(target: Path) -> None:
    """Writes our files with all they import as a descriptor set with source info, which buf lints."""
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch) / "dependencies.binpb"
        descriptors.write_bytes(dependencies().SerializeToString())
        protoc(
            descriptors,
            ["--include_imports", "--include_source_info", f"--descriptor_set_out={target}", *sources()],
        )


def buf(arguments: Sequence[str]) -> int:
    """Runs buf; gives its exit code."""
    return subprocess.run([str(_BIN / "buf"), *arguments], cwd=PROTO).returncode


def check_contract() -> int:
    """Runs buf lint, format and breaking; gives 0 when all pass."""
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "image.binpb"
        image(built)
        paths = [f"--path={source}" for source in sources()]
        failed = buf(["lint", str(built), "--config", "buf.yaml", *paths])
        failed |= buf(["format", "--diff", "--exit-code", "--path", "xinyidai"])
        baselines = sorted(BASELINE.glob("*.txtpb"))
        if baselines:
            against = ["--against", str(baselines[-1]), "--config", "buf.yaml"]
            failed |= buf(["breaking", str(built), *against, *paths])
    return failed


def write_baseline(name: str) -> None:
    """Writes the contract as text, without comments, for `buf breaking` to compare with."""
    BASELINE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / "image.binpb"
        image(built)
        target = BASELINE / f"{name}.txtpb"
        arguments = ["build", str(built), "--exclude-source-info", "-o", str(target)]
        if buf(arguments):
            raise SystemExit("buf could not write the baseline")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-contract", action="store_true", help="run buf lint, format and breaking")
    parser.add_argument("--write-baseline", metavar="VERSION", help="write proto/baseline/VERSION.txtpb")
    given = parser.parse_args()
    if given.check_contract:
        raise SystemExit(check_contract())
    if given.write_baseline:
        write_baseline(given.write_baseline)
        return
    if generate():
        sys.stderr.write("generated gateway/_pb\n")


if __name__ == "__main__":
    main()
