"""Regenerates the Python stubs of the protos, or checks that the committed ones are current.

The stubs of `protos/reasoning_grpc/v1/x.proto` are `src/reasoning_grpc/v1/x_pb2.py` with its types in `x_pb2.pyi`, and
`x_pb2_grpc.py` with `x_pb2_grpc.pyi` when the file declares a service. They are generated in an empty directory and
then compared, so that a stub without a proto is removed, or reported by `--check`. Files with other names, such as the
package's `__init__.py`, are written by hand and are not touched.

`descriptors.binpb` has the descriptors of all protos with their comments, which the stubs have not, for reflection.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGE = Path("reasoning_grpc", "v1")
DESCRIPTORS = "descriptors.binpb"
STUB_NAME = re.compile(rf".+_pb2(_grpc)?\.pyi?|{re.escape(DESCRIPTORS)}")
SERVICE = re.compile(r"^service\s", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code: 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(description="Regenerate the Python stubs of the protos.")
    parser.add_argument("--out", type=Path, default=ROOT / "src", help="where the stubs are (default: src)")
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail when the stubs there are not current"
    )
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as scratch:
        compile_protos(Path(scratch))
        fresh = read_stubs(Path(scratch))
    if not options.check:
        write_stubs(options.out, fresh)
        return 0

    differences = find_differences(fresh, read_stubs(options.out))
    for difference in differences:
        print(difference, file=sys.stderr)
    if differences:
        print("The stubs do not match the protos: run `make generate` and commit the result.", file=sys.stderr)
    return 1 if differences else 0


def compile_protos(out: Path) -> None:
    """Generates the stubs of all our protos below `out`."""
    protos = sorted(PROTOS.joinpath(PACKAGE).glob("*.proto"))
    if not protos:
        sys.exit(f"there are no protos in {PROTOS.joinpath(PACKAGE).relative_to(ROOT)}")
    run_protoc(protos, [f"--python_out={out}", f"--mypy_out=quiet:{out}"])
    run_protoc(protos, [f"--descriptor_set_out={out / PACKAGE / DESCRIPTORS}", "--include_source_info"])
    # The service stubs are typed for synchronous and for asyncio channels alike, which is mypy_grpc's default.
    services = [proto for proto in protos if SERVICE.search(proto.read_text(encoding="utf-8"))]
    if services:
        run_protoc(services, [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}"])


def run_protoc(protos: Sequence[Path], outputs: Sequence[str]) -> None:
    """Runs the compiler of grpcio-tools with the plugins installed beside this interpreter."""
    bin_directory = Path(sys.executable).parent
    plugins = [f"--plugin={bin_directory / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    names = [str(proto.relative_to(PROTOS)) for proto in protos]
    command = [sys.executable, "-m", "grpc_tools.protoc", "--fatal_warnings", f"-I{PROTOS}", *plugins, *outputs, *names]
    if status := subprocess.run(command, check=False).returncode:
        sys.exit(status)


def read_stubs(directory: Path) -> dict[str, bytes]:
    """Returns the stubs of our package below `directory`, by file name."""
    package = directory / PACKAGE
    if not package.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in package.iterdir() if STUB_NAME.fullmatch(path.name)}


def write_stubs(directory: Path, fresh: dict[str, bytes]) -> None:
    """Makes the stubs below `directory` equal to `fresh`; files that are already equal are not touched."""
    package = directory / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    present = read_stubs(directory)
    for name in present.keys() - fresh.keys():
        (package / name).unlink()
    for name, content in fresh.items():
        if present.get(name) != content:
            (package / name).write_bytes(content)


def find_differences(fresh: dict[str, bytes], present: dict[str, bytes]) -> list[str]:
    """Returns one line for each stub that is missing, out of date, or without a proto."""
    differences = []
    for name in sorted(fresh.keys() | present.keys()):
        path = PACKAGE / name
        if name not in present:
            differences.append(f"missing: {path}")
        elif name not in fresh:
            differences.append(f"stale, it has no proto: {path}")
        elif fresh[name] != present[name]:
            differences.append(f"differs: {path}")
    return differences


if __name__ == "__main__":
    sys.exit(main())
