"""`LiteLLMModel`: a `LanguageModel` through `litellm.acompletion` over our own wire."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

import msgspec

from reasoning_grpc.errors import ReasoningError, UpstreamError
from reasoning_grpc.events import Delta, ModelEvent, ModelFinished
from reasoning_grpc.litellm_model import failures, library
from reasoning_grpc.litellm_model.answers import AnswerReader, ErrorInAnswer, MalformedAnswer, joined
from reasoning_grpc.litellm_model.request import completion_arguments
from reasoning_grpc.litellm_model.sse import DONE, EventStreamDecoder
from reasoning_grpc.litellm_model.wire import Wire, WireCall, WireLimits
from reasoning_grpc.model import ModelCall, estimated_prompt_tokens
from reasoning_grpc.tracing import trace_headers
from reasoning_grpc.types import CallContext, Caller, Deployment, Message, ModelInfo, Part, Role, Text

__all__ = ["LiteLLMModel", "ModelDirectory"]

_EVENT_STREAM_TYPES = frozenset({"", "text/event-stream", "text/plain", "application/octet-stream"})


class ModelDirectory(Protocol):
    """What the adapter needs of the model table."""

    def deployment(self, model: str, caller: Caller) -> Deployment:
        """How to reach a model now, for this caller. Raises ModelNotFound, ModelsNotListed, UpstreamRestarting."""
        ...

    def describe(self, model: str) -> ModelInfo:
        """What is known of a model. Raises ModelNotFound."""
        ...


class LiteLLMModel:
    """Calls models through litellm: it maps the request, our own wire carries it."""

    def __init__(self, directory: ModelDirectory, limits: WireLimits) -> None:
        self._directory = directory
        self._wire = Wire(limits)

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`. One attempt, without timers of ours but the connect timeout."""
        deployment = self._directory.deployment(call.model, context.caller)
        wire = self._wire.call(deployment, context.request_id, trace_headers(context.trace))
        reader = AnswerReader()
        try:
            await self._open(wire, call, deployment)
            async with aclosing(self._deltas(wire, reader)) as pieces:
                async for piece in pieces:
                    yield piece
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as exc:
            error = failures.upstream_error(exc, deployment, reached=wire.sent)
            if error is None:
                raise
            raise _with_usage(error, reader, call) from exc
        finally:
            wire.close()  # here, not at collection time, so that the upstream stops billing
        if reader.finish_reason is None:
            cut = failures.truncated_stream if reader.saw_anything else failures.empty_response
            raise _with_usage(cut(deployment), reader, call)
        yield ModelFinished(
            model=call.model,
            finish_reason=reader.finish_reason,
            provider_finish_reason=reader.provider_finish_reason,
            usage=reader.usage(estimated_prompt_tokens(call)),
            upstream_seconds=wire.waited_seconds,
        )

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        return self._directory.describe(model)

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`: an estimate, from the length of the texts."""
        return estimated_prompt_tokens(call)

    async def warm_up(self) -> None:
        """Imports litellm and runs one call dry: litellm's first one blocks the loop for a third of a second."""
        await library.load()
        nowhere = Deployment(name="warm-up", litellm_model="openai/warm-up", api_base="http://127.0.0.1:0/v1")
        call = ModelCall(model=nowhere.name, messages=(Message(Role.USER, (Part(Text("warm up")),)),))
        await self._open(self._wire.dry_call(nowhere), call, nowhere)

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""
        await self._wire.aclose()

    async def _open(self, wire: WireCall, call: ModelCall, deployment: Deployment) -> None:
        await library.acompletion(
            **completion_arguments(call, deployment),
            client=wire,
            stream=True,
            stream_options={"include_usage": True},
            api_key="not-here",  # without one, litellm would take a real one from the environment
            api_base=wire.api_base,
        )
        if not wire.taken:
            raise RuntimeError(f"litellm did not take our client for {deployment.litellm_model!r}")

    async def _deltas(self, wire: WireCall, reader: AnswerReader) -> AsyncGenerator[Delta, None]:
        if wire.content_type == "application/json":
            for delta in joined(reader.read(await _whole_body(wire))):
                yield delta
            return
        if wire.content_type not in _EVENT_STREAM_TYPES:
            raise MalformedAnswer("the answer is neither an event stream nor JSON")
        async with aclosing(_event_batches(wire, reader)) as batches:
            async for batch in batches:
                deltas, failure = _read_batch(batch, reader)
                for delta in joined(deltas):
                    yield delta
                if failure is not None:
                    raise failure


def _with_usage(error: ReasoningError, reader: AnswerReader, call: ModelCall) -> ReasoningError:
    """The same error; it says what the attempt used, where that is known."""
    if isinstance(error, UpstreamError) and reader.has_usage:
        error.usage = reader.usage(estimated_prompt_tokens(call))
    return error


def _read_batch(batch: list[bytes], reader: AnswerReader) -> tuple[list[Delta], Exception | None]:
    """The deltas of these events up to one that cannot be read; what came before it is not lost."""
    deltas: list[Delta] = []
    try:
        for event in batch:
            deltas += reader.read(event)
    except (MalformedAnswer, ErrorInAnswer) as exc:
        return deltas, exc
    return deltas, None


async def _whole_body(wire: WireCall) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while data := await wire.read():
        pieces.append(data)
        size += len(data)
        if size > wire.limits.max_event_bytes:
            raise MalformedAnswer("the answer is too long")
    body = b"".join(pieces)
    # Nothing at all is an empty answer, not a malformed one.
    return body or msgspec.json.encode({"choices": []})


async def _event_batches(wire: WireCall, reader: AnswerReader) -> AsyncGenerator[list[bytes], None]:
    """The events that each network read completes, up to `[DONE]` or the end of the body.

    Once the finish reason is there, the answer is whole: what is still to come, usage
    and the end of the body, is waited for only so long, and may fail.
    """
    limits = wire.limits
    decoder = EventStreamDecoder(max_event_bytes=limits.max_event_bytes)
    done = False
    wait_until: float | None = None
    while True:
        if done or reader.finish_reason is not None:
            wait_until = wait_until or asyncio.get_running_loop().time() + limits.trailer_seconds
            data = await _read_trailer(wire, wait_until)
        else:
            data = await wire.read()
        # After the finish reason half an event may be left over: it is nothing of the answer.
        whole = bool(data) or reader.finish_reason is not None
        batch = decoder.feed(data) if whole else decoder.finish()
        if not done and batch:
            done = DONE in batch
            yield batch[: batch.index(DONE)] if done else batch
        if decoder.failure is not None and not done:
            raise decoder.failure
        if not data or (done and wire.at_end):
            return


async def _read_trailer(wire: WireCall, wait_until: float) -> bytes:
    try:
        async with asyncio.timeout_at(wait_until):
            return await wire.read()
    except (TimeoutError, *failures.BROKEN_READS):
        return b""
