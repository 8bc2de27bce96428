"""`LanguageModel`: the port through which models are called, which the adapter implements."""

from collections.abc import AsyncGenerator
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import force_setattr

from reasoning_grpc.domain import (
    CallContext,
    Caller,
    Deployment,
    EffectiveSetting,
    Media,
    Message,
    ModelInfo,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    UsageMeter,
    count_bytes,
    estimate_tokens,
)
from reasoning_grpc.domain.events import ModelEvent


class DerivedValues(Struct, eq=False):
    """The values that are derived from one call, and kept so that they are derived only once."""

    prompt_tokens: int | None = None
    """See `estimate_prompt_tokens`. None until it was called."""
    preparation: object = None
    """The call as its provider takes it, for the `LanguageModel` that made it. None until it was prepared."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DerivedValues)

    def __hash__(self) -> int:
        return 0


class ModelCall(Struct, frozen=True, kw_only=True):
    """The content of one model call. None and empty collections are not sent."""

    model: str
    """Name of the model in the model table."""
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningOptions = field(default_factory=ReasoningOptions)
    include_reasoning: bool = False
    """Whether the caller wants to read the model's own reasoning, which some providers return only on request."""
    end_user: str = ""
    provider_options: dict[str, str] = field(default_factory=dict)
    """Values by name; each value is JSON text."""
    fallback_models: tuple[str, ...] = ()
    """Models to try, in this order, when `model` fails before its first delta."""
    omitted_messages: int = 0
    """How many messages were left out of `messages`, so that the call fits the context window."""
    omitted_tokens: int = 0
    """An estimate of the tokens of the omitted messages."""
    derived: DerivedValues = field(default_factory=DerivedValues)
    """A changed copy of a call has none of these values yet. They make no difference between calls."""

    def __post_init__(self) -> None:
        force_setattr(self, "derived", DerivedValues())


class ServedModel(Protocol):
    """A model of the model table, whatever its source."""

    def describe(self) -> ModelInfo:
        """Returns what callers see of the model now."""
        ...

    def find_deployment(self, caller: Caller) -> Deployment:
        """Returns how to reach the model now, for this caller.

        Raises UpstreamRestarting when it has to start first.
        """
        ...


class LanguageModel(Protocol):
    """Calls models by their name in the model table."""

    def stream(
        self, call: ModelCall, deployment: Deployment, context: CallContext, meter: UsageMeter
    ) -> AsyncGenerator[ModelEvent, None]:
        """Makes one attempt at the call, at this deployment of its model.

        Yields the deltas of the call as they arrive, then `ModelFinished`; it ends in no other way without an error.
        `meter` gets the usage that the provider has counted so far.

        Closing the generator closes the upstream connection at once.

        Raises UpstreamError when the call failed.
        """
        ...

    def list_effective_settings(self, call: ModelCall, context: CallContext) -> tuple[EffectiveSetting, ...]:
        """Returns the settings of a call that its provider takes otherwise than requested.

        Nothing is sent. It is empty for a call that cannot be made now.
        """
        ...

    def describe(self, model: str) -> ModelInfo:
        """Returns what is known of a model. Raises ModelNotFound."""
        ...

    def count_tokens(self, call: ModelCall) -> int:
        """Returns the tokens of the call's prompt: the sum of the tokens of its parts.

        They are counted by the model's tokenizer. Where that is not known, a cautious estimate is rather too high
        than too low. A long prompt takes up to a second, so do not call this on the event loop. Raises ModelNotFound.
        """
        ...

    async def warm_up(self) -> None:
        """Does work in advance for which the first call would have to wait."""
        ...

    async def aclose(self) -> None:
        """Closes every connection. No call may be in progress."""
        ...


def estimate_prompt_tokens(call: ModelCall) -> int:
    """Returns an estimate of the prompt's tokens by the length of its texts, without its media."""
    if call.derived.prompt_tokens is None:
        call.derived.prompt_tokens = estimate_tokens(count_prompt_bytes(call))
    return call.derived.prompt_tokens


def count_prompt_bytes(call: ModelCall) -> int:
    """Returns the bytes of the prompt's texts, without its media."""
    size = 0
    for message in call.messages:
        size += count_message_bytes(message)
    for tool in call.tools:
        size += count_bytes(tool.name) + count_bytes(tool.description) + count_bytes(tool.parameters_schema)
    return size


def count_message_bytes(message: Message) -> int:
    """Returns the bytes of a message's texts, without its media."""
    size = 0
    for part in message.content:
        match part.content:
            case Text(text=text):  # most parts are texts
                size += count_bytes(text)
            case Media():
                pass
            case ToolCall(name=name, arguments=arguments):
                size += count_bytes(name) + count_bytes(arguments)
            case ToolResult(content=text):
                size += count_bytes(text)
            case content:
                size += count_bytes(content.text)
    return size
