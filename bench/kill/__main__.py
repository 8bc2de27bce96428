"""`python -m bench.kill`: kills upstreams under load, and reports what callers noticed."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from bench.kill.phase import Phase, run_kills
from bench.kill.upstreams import EmbeddedModel, LiteLLMProxy
from bench.restart.load import Load
from bench.restart.servers import TOKEN, Server
from bench.services import PROXY_KEY, Environment
from bench.setup import install_peers
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "bench"
_TIMEOUT_SECONDS: Final = 60.0
"""The deadline of each call. One that reaches it counts as a call that hung."""
_EMBEDDED: Final = "smollm2-135m-instruct"


def main() -> int:
    """Runs all phases; returns 1 when a call failed in a way that is not allowed."""
    arguments = _parse_arguments()
    folder = FOLDER / "kill"
    folder.mkdir(parents=True, exist_ok=True)
    phases = []
    if "embedded" in arguments.upstreams:
        phases.append(asyncio.run(_kill_embedded_model(folder, arguments.kills)))
    if "proxy" in arguments.upstreams:
        peers = install_peers(FOLDER)
        mock, port = start_mock(build_mock(FOLDER), folder)
        environment = Environment(folder, port, Path(sys.executable), Path(sys.executable), peers)
        try:
            phases.append(asyncio.run(_kill_proxy(environment, arguments.kills)))
        finally:
            mock.stop()
    file = FOLDER / "kill.json"
    file.write_text(json.dumps({phase.name: phase.summarize() for phase in phases}, indent=1) + "\n")
    for phase in phases:
        _print(phase)
    print(f"\n{file}")
    return int(any(phase.list_problems() for phase in phases))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=3, help="how often each upstream is killed")
    parser.add_argument("--upstreams", nargs="*", default=["embedded", "proxy"], choices=["embedded", "proxy"])
    return parser.parse_args()


async def _kill_embedded_model(folder: Path, kills: int) -> Phase:
    server = Server(0, folder, _write_config(folder / "embedded.toml", 'embedded = "on"', "embedded_slots = 4"))
    load = Load(
        server.target,
        unary_model=_EMBEDDED,
        unary_per_second=2.0,
        stream_models=[_EMBEDDED] * 2,
        prompt="Tell a long story.",
        max_output_tokens=32,
        unary_timeout_seconds=_TIMEOUT_SECONDS,
        stream_timeout_seconds=_TIMEOUT_SECONDS,
    )
    async with _serve(server):
        return await run_kills("embedded model", load, EmbeddedModel(server.logs[-1]), kills)


async def _kill_proxy(environment: Environment, kills: int) -> Phase:
    proxy = LiteLLMProxy(environment)
    config = _write_config(environment.folder / "proxy.toml")
    variables = {"LITELLM_BASE_URL": proxy.base_url, "LITELLM_API_KEY": PROXY_KEY}
    server = Server(1, environment.folder, config, variables=variables)
    load = Load(
        server.target,
        unary_model="mock-10",
        unary_per_second=5.0,
        stream_models=["mock-100-20"] * 4,
        unary_timeout_seconds=_TIMEOUT_SECONDS,
        stream_timeout_seconds=_TIMEOUT_SECONDS,
    )
    try:
        await proxy.wait_until_back()
        async with _serve(server):
            return await run_kills("LiteLLM proxy", load, proxy, kills)
    finally:
        proxy.stop()


@asynccontextmanager
async def _serve(server: Server) -> AsyncIterator[None]:
    await server.start()
    try:
        yield
    finally:
        await server.stop()


def _write_config(file: Path, *lines: str) -> Path:
    token_hash = f'callers.bench.token_hash = "sha256:{sha256(TOKEN.encode()).hexdigest()}"'
    file.write_text("\n".join(['log_format = "json"', "drain_delay_seconds = 0", *lines, token_hash]) + "\n")
    return file


def _print(phase: Phase) -> None:
    summary = phase.summarize()
    print(f"\n{phase.name}")
    for kind, outcomes in summary["calls"].items():
        print(f"  {kind:8}" + ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()))
    for number, facts in enumerate(summary["kills"], 1):
        print(f"  kill {number}  " + ", ".join(f"{name.replace('_', ' ')}: {fact}" for name, fact in facts.items()))
    for problem in summary["problems"]:
        print(f"  PROBLEM: {problem}")


if __name__ == "__main__":
    sys.exit(main())
