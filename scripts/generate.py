"""Regenerates what is made from the protos, or checks that the committed files are current.

The stubs of `protos/reasoning_grpc/v1/x.proto` are `src/reasoning_grpc/v1/x_pb2.py` with its types in `x_pb2.pyi`, and
`x_pb2_grpc.py` with `x_pb2_grpc.pyi` when the file declares a service. They are generated in an empty directory and
then compared, so that a stub without a proto is removed, or reported by `--check`. Files with other names, such as the
package's `__init__.py`, are written by hand and are not touched.

`descriptors.binpb` has the descriptors of all protos with their comments, which the stubs have not, for reflection.
`deploy/envoy/reasoning.binpb` has all that Envoy needs to convert JSON: our protos, what they import, and google.rpc's
statuses and their details, without which an error would lose its details there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from google.rpc import error_details_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGE = Path("reasoning_grpc", "v1")
STUBS = Path("src", PACKAGE)
DESCRIPTORS = "descriptors.binpb"
FOR_ENVOY = Path("deploy", "envoy", "reasoning.binpb")
STUB_NAME = re.compile(rf".+_pb2(_grpc)?\.pyi?|{re.escape(DESCRIPTORS)}")
SERVICE = re.compile(r"^service\s", re.MULTILINE)
GOOGLE_PROTOS = Path(error_details_pb2.__file__).parents[2]
"""The folder of google/rpc: googleapis-common-protos installs the protos beside their stubs."""
STATUS_PROTOS = ("google/rpc/error_details.proto", "google/rpc/status.proto")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code: 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(description="Regenerate what is made from the protos.")
    parser.add_argument("--out", type=Path, default=ROOT, help="the checkout with the files (default: this one)")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when the files are not current")
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as scratch:
        compile_protos(Path(scratch))
        fresh = read_generated(Path(scratch))
    if not options.check:
        write_generated(options.out, fresh)
        return 0

    differences = find_differences(fresh, read_generated(options.out))
    for difference in differences:
        print(difference, file=sys.stderr)
    if differences:
        print("The files do not match the protos: run `make generate` and commit the result.", file=sys.stderr)
    return 1 if differences else 0


def compile_protos(out: Path) -> None:
    """Generates everything from our protos, as in a checkout at `out`."""
    protos = sorted(PROTOS.joinpath(PACKAGE).glob("*.proto"))
    if not protos:
        sys.exit(f"there are no protos in {PROTOS.joinpath(PACKAGE).relative_to(ROOT)}")
    names = [str(proto.relative_to(PROTOS)) for proto in protos]
    source = out / "src"
    source.mkdir(parents=True)
    run_protoc(names, [f"--python_out={source}", f"--mypy_out=quiet:{source}"])
    run_protoc(names, [f"--descriptor_set_out={out / STUBS / DESCRIPTORS}", "--include_source_info"])
    # The service stubs are typed for synchronous and for asyncio channels alike, which is mypy_grpc's default.
    services = [name for name, proto in zip(names, protos, strict=True) if SERVICE.search(proto.read_text("utf-8"))]
    if services:
        run_protoc(services, [f"--grpc_python_out={source}", f"--mypy_grpc_out=quiet:{source}"])
    out.joinpath(FOR_ENVOY).parent.mkdir(parents=True)
    run_protoc([*names, *STATUS_PROTOS], [f"--descriptor_set_out={out / FOR_ENVOY}", "--include_imports"])


def run_protoc(names: Sequence[str], outputs: Sequence[str]) -> None:
    """Runs the compiler of grpcio-tools with the plugins installed beside this interpreter."""
    bin_directory = Path(sys.executable).parent
    plugins = [f"--plugin={bin_directory / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    folders = [f"-I{PROTOS}", f"-I{GOOGLE_PROTOS}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "--fatal_warnings", *folders, *plugins, *outputs, *names]
    if status := subprocess.run(command, check=False).returncode:
        sys.exit(status)


def read_generated(checkout: Path) -> dict[Path, bytes]:
    """Returns the generated files of a checkout, by their paths in it."""
    paths = [path for path in checkout.joinpath(STUBS).glob("*") if STUB_NAME.fullmatch(path.name)]
    paths += [path for path in [checkout / FOR_ENVOY] if path.exists()]
    return {path.relative_to(checkout): path.read_bytes() for path in paths}


def write_generated(checkout: Path, fresh: dict[Path, bytes]) -> None:
    """Makes the generated files of a checkout equal to `fresh`; files that are already equal are not touched."""
    present = read_generated(checkout)
    for path in present.keys() - fresh.keys():
        checkout.joinpath(path).unlink()
    for path, content in fresh.items():
        if present.get(path) != content:
            checkout.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
            checkout.joinpath(path).write_bytes(content)


def find_differences(fresh: dict[Path, bytes], present: dict[Path, bytes]) -> list[str]:
    """Returns one line for each file that is missing, out of date, or without a proto."""
    differences = []
    for path in sorted(fresh.keys() | present.keys()):
        if path not in present:
            differences.append(f"missing: {path}")
        elif path not in fresh:
            differences.append(f"stale, it has no proto: {path}")
        elif fresh[path] != present[path]:
            differences.append(f"differs: {path}")
    return differences


if __name__ == "__main__":
    sys.exit(main())
