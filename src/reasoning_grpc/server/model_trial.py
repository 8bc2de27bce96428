"""Tries models: calls each of them once, briefly, to see whether it answers."""

import asyncio
import uuid
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.domain import (
    ANONYMOUS,
    CallContext,
    Message,
    ModelCallPurpose,
    ModelSource,
    Part,
    Role,
    Sampling,
    Text,
)
from reasoning_grpc.domain.errors import ReasoningError, UpstreamError
from reasoning_grpc.llm import ModelCall, ResilientModel

_TOKENS: Final = 16
"""Some providers refuse a lower limit."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of one model's call."""

    model: str
    seconds: float
    failure: str = ""
    """The error reason; empty when the model answered."""
    http_status: int = 0
    """The status of the upstream's error; 0 when there was none."""
    upstream_message: str = ""
    """The redacted sentence in which the provider refused the call; empty when there is none."""
    required_wire: str = ""
    """The wire that the provider requires; empty when it does not say so."""


@dataclass(frozen=True, slots=True)
class Trials:
    """The outcomes for all upstreams of a server."""

    models: tuple[Trial, ...]
    proxy: ModelSource | None
    """The state of the proxy's model list; None: there is no proxy."""

    @property
    def has_succeeded(self) -> bool:
        """Whether every model answered, and the proxy's list, if there is one, could be read."""
        return not any(trial.failure for trial in self.models) and not (self.proxy and self.proxy.failure)


async def try_models(model: ResilientModel, names: Iterable[str]) -> tuple[Trial, ...]:
    """Calls the models with these names, all at the same time, and returns the outcomes in the same order."""
    return tuple(await asyncio.gather(*(_try_model(model, name) for name in names)))


async def _try_model(model: ResilientModel, name: str) -> Trial:
    clock = asyncio.get_running_loop().time
    started = clock()
    call = ModelCall(
        model=name,
        messages=(Message(Role.USER, (Part(Text("Say OK.")),)),),
        sampling=Sampling(max_output_tokens=_TOKENS),
    )
    context = CallContext(caller=ANONYMOUS, request_id=f"req_{uuid.uuid4().hex}", arrival_time=started)
    try:
        async with aclosing(model.stream_call(call, ModelCallPurpose.ANSWER, context)) as events:
            async for _ in events:
                pass
    except ReasoningError as error:
        trial = Trial(name, clock() - started, error.reason)
        if not isinstance(error, UpstreamError):
            return trial
        return replace(
            trial,
            http_status=error.http_status,
            upstream_message=error.upstream_message,
            required_wire=error.metadata.get("required_wire", ""),
        )
    return Trial(name, clock() - started)
