"""Where the CPU time of a unary call goes, by layers: `profile_service` samples the stacks of a server under load.

py-spy reads the stacks of another process without stopping it. A sample belongs to the layer of its innermost frame
that has one, so what the standard library does counts for the code that calls it. Code in C, such as grpc's, has no
frames: its time counts for the frame that called it, which for grpc is the event loop or a task.

Only the samples of the main thread count, because py-spy takes other threads for busy while they wait for it. What
those take is read from the system.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.orders import Metered, run_order
from bench.services import Service

_SAMPLES_PER_SECOND: Final = 200
_LARGEST: Final = 10
_OWN: Final = r"/reasoning_grpc/"
_STEPS: Final = "grpc.aio in C, and the steps of tasks"
LAYERS: Final[Mapping[str, str]] = {
    "the handler, and headers sent before an answer": r"^(_send_headers_first|_announced|\S+Service\.Complete) ",
    "reading and joining the answer": _OWN
    + r"litellm_model/(answers|protocols|own_reader|litellm_reader|witness|reasoning_details|lenient)",
    "our part of HTTP": _OWN + r"(litellm_model/(transport|relay|sse|wire|own_wire|clients)|connections\.py)",
    "arguments and mapping of the request": _OWN
    + r"litellm_model/(request|request_mapping|arguments|encodings|refused_fields|outgoing|addresses|origins)",
    "the adapter": _OWN + r"litellm_model/",
    "router": _OWN + r"router/",
    "retries, timers and spans of a model call": _OWN
    + r"(llm/|resilience|timers|traced_model|think_tags|genai|model_calls|streams|context_window|prompt_tokens)",
    "engine, ledger and events": _OWN + r"(engine/|engine\.py|passthrough\.py|ledger\.py|events\.py)",
    "our own types and the fold": _OWN + r"(domain/|types/)",
    "the agent and its tools": _OWN + r"(agent/|tools/|structured/)",
    "conversion in and out": _OWN + r"(rpc/convert/|convert/)",
    "log of the call": _OWN + r"(rpc/call_log|call_end\.py|cli/logs|telemetry/log_records)|/logging/",
    "interceptor, authentication and service": _OWN
    + r"(rpc/|interceptors\.py|service\.py|callers\.py|call_tracker\.py|server_spans\.py|status\.py)",
    "models that can be asked": _OWN + r"(catalog/|models/)",
    "the rest of ours": _OWN + r"(?!cli/|server/|server\.py)",  # those start the loop, so they are in every stack
    "litellm": r"/site-packages/(litellm|openai|pydantic|httpx|tiktoken|tokenizers)/",
    "aiohttp": r"/site-packages/(aiohttp|yarl|multidict|frozenlist|aiosignal|propcache|aiohappyeyeballs)/",
    "opentelemetry": r"/site-packages/opentelemetry/",
    "protobuf": r"/site-packages/google/",
    _STEPS: r"/site-packages/grpc/",
}
"""The patterns of the layers' files, of this build and of the older one. The first that is found in a path counts."""
_LOOP: Final[Mapping[str, str]] = {
    "the event loop's calls of the system": r"/selectors\.py[^;]*$",
    _STEPS: r"/asyncio/",
}
"""The patterns of whole stacks in which no frame has a layer."""
_OTHER_THREADS: Final = "other threads: grpc's, and those of pools"
_OTHER_THREAD: Final = r"^(Thread\.)?_bootstrap "
"""The outermost frame of a thread that is not the main one."""
_OTHER: Final = "the rest"


@dataclass(frozen=True)
class Profile:
    """The shares of the layers in the CPU time of a call."""

    cpu_us_per_call: float
    """What a call takes when nothing samples."""
    shares: Mapping[str, float]
    samples: int

    def find_largest(self) -> list[tuple[str, float]]:
        """Returns the layers with the largest shares, the largest first."""
        return sorted(self.shares.items(), key=lambda item: -item[1])[:_LARGEST]

    def to_json(self) -> dict[str, Any]:
        """Returns the shares of all layers, with the CPU time and the number of samples."""
        return {"cpu_us_per_call": self.cpu_us_per_call, "samples": self.samples, "shares": dict(self.shares)}


def profile_service(service: Service, profiler: Path, seconds: float) -> Profile:
    """Samples a service under unary calls, eight at once. Raises CalledProcessError when the system forbids it."""
    order = {"kind": "unary", "model": "mock-1", "concurrency": 8}
    report, cpu = run_order(service, **order, seconds=seconds)
    output = service.process.log.with_suffix(".stacks")
    command = [str(profiler), "record", "--pid", str(service.process.pid), "--format", "raw", "--full-filenames"]
    command += ["--nonblocking", "--rate", str(_SAMPLES_PER_SECOND), "--duration", str(max(1, round(seconds)))]
    meter, main_started = Metered(service.process), service.process.read_main_thread_cpu_seconds()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_order, service, **order, seconds=seconds + 1)
        subprocess.run([*command, "--output", str(output)], check=True, capture_output=True)
        running.result()
    main_share = (service.process.read_main_thread_cpu_seconds() - main_started) / meter.read()
    counts = count_layers(output.read_text().splitlines())
    samples = counts.total()
    shares = {layer: count / samples * main_share for layer, count in counts.items()}
    shares[_OTHER_THREADS] = 1 - main_share
    return Profile(cpu / report["calls"] * 1e6, shares, samples)


def count_layers(lines: Iterable[str]) -> Counter[str]:
    """Returns the main thread's samples of each layer.

    A line holds the frames of a stack, the outermost first, and the number of its samples.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if not re.search(_OTHER_THREAD, stack):
            counts[find_layer(stack)] += int(count)
    return counts


def find_layer(stack: str) -> str:
    """Returns the layer of the innermost frame that has one, or of the stack as a whole."""
    for frame in reversed(stack.split(";")):
        for layer, pattern in LAYERS.items():
            if re.search(pattern, frame):
                return layer
    return next((layer for layer, pattern in _LOOP.items() if re.search(pattern, stack)), _OTHER)
