"""`LanguageModel`: the port through which the rest of the code talks to models."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from reasoning_grpc.domain import (
    CallContext,
    Media,
    Message,
    ModelInfo,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    estimated_tokens,
    text_bytes,
)
from reasoning_grpc.domain.events import ModelEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """What one model call sends. None, and an empty collection, mean: not sent."""

    model: str
    """Name in the model table."""
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningOptions = field(default_factory=ReasoningOptions)
    end_user: str = ""
    provider_options: dict[str, str] = field(default_factory=dict)
    """Name to value, the value as JSON text."""
    fallback_models: tuple[str, ...] = ()
    """Models to try, in this order, when `model` fails before its first delta."""
    omitted_messages: int = 0
    """How many were left out of `messages`, so that the call fits the context window."""
    omitted_tokens: int = 0
    """About so many."""


class LanguageModel(Protocol):
    """Calls models by their name in the model table."""

    def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """The call's deltas as they arrive, then `ModelFinished`; it ends no other way without an error.

        Closing the generator closes the upstream connection at once.

        Raises:
            UpstreamError: the call failed.
            ModelNotFound: the table has no such model.
        """
        ...

    def describe(self, model: str) -> ModelInfo:
        """What is known of a model. Raises ModelNotFound."""
        ...

    def count_tokens(self, call: ModelCall) -> int:
        """Tokens of the call's prompt, as many as those of its parts.

        By the model's tokenizer, or, where that is not known, by an estimate that says more rather than less. A long
        prompt takes long, up to a second, so not on the event loop. Raises ModelNotFound.
        """
        ...

    async def warm_up(self) -> None:
        """Does the work that only the first call would have to wait for."""
        ...

    async def aclose(self) -> None:
        """Closes every connection. No call may be under way."""
        ...


class WrappedModel:
    """Hands on to an inner model all but the calls themselves."""

    def __init__(self, inner: LanguageModel) -> None:
        self._inner = inner

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        return self._inner.describe(model)

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        return self._inner.count_tokens(call)

    async def warm_up(self) -> None:
        """See `LanguageModel.warm_up`."""
        await self._inner.warm_up()

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""
        await self._inner.aclose()


def estimated_prompt_tokens(call: ModelCall) -> int:
    """Tokens the prompt of this call may have, from the length of its texts; media are not counted."""
    return estimated_tokens(sum(map(text_bytes, _prompt_texts(call))))


def _prompt_texts(call: ModelCall) -> list[str]:
    texts: list[str] = []
    for message in call.messages:
        for part in message.content:
            match part.content:
                case Media():
                    pass
                case ToolCall(name=name, arguments=arguments):
                    texts += (name, arguments)
                case ToolResult(content=content):
                    texts.append(content)
                case content:
                    texts.append(content.text)
    for tool in call.tools:
        texts += (tool.name, tool.description, tool.parameters_schema)
    return texts
