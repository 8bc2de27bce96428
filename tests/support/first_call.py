"""A program: starts a server in front of fake upstreams, makes one call of each model, and prints what was imported.

`python -m tests.support.first_call PROVIDER ...` prints a JSON object: see `main`.
"""

import asyncio
import json
import sys
from types import ModuleType
from typing import Any

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.litellm_model import library
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, entry_at, serving
from tests.support.upstream import DIALECTS, FakeUpstream


def list_imported() -> list[str]:
    """Returns the modules whose code has run, and the packages of openai's whose names were not all imported."""
    return sorted(name for name, module in sys.modules.items() if type(module) is ModuleType)


def make_entry(upstream: FakeUpstream, provider: str) -> ModelEntry:
    """Builds the entry of a model of a provider, which speaks OpenAI's protocol unless the fake knows another."""
    api_base = upstream.api_base_for(provider if provider in DIALECTS else "openai")
    return entry_at(api_base, provider, f"{provider}-model")


async def main(providers: list[str]) -> dict[str, Any]:
    """Calls one model of each provider, and returns what was imported when the server served, and then by the calls."""
    async with FakeUpstream() as upstream:
        entries = [make_entry(upstream, provider) for provider in providers]
        async with serving(config_for(*entries)) as running:
            at_start = list_imported()
            stub: Any = running.stub
            for entry in entries:
                await stub.Complete(a_wire_request(model=entry.name))
            by_calls = sorted(set(list_imported()) - set(at_start))
            from tiktoken.registry import ENCODINGS

            return {
                "at_start": at_start,
                "by_calls": by_calls,
                "encodings": sorted(ENCODINGS),
                "decoded_prices": library.import_litellm().model_cost.decoded_count,
            }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1:]))))
