"""The request of a caller. A value that is None or empty was not given, and is not sent to the model."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from reasoning_grpc.domain.agent import AgentOptions
from reasoning_grpc.domain.conversation import Message
from reasoning_grpc.domain.routing import RoutingMode, RoutingPreference


class ToolChoiceMode(StrEnum):
    """The rule for tool calls: whether the model may or must make them."""

    AUTO = "AUTO"
    NONE = "NONE"
    REQUIRED = "REQUIRED"


class ReasoningEffort(StrEnum):
    """The amount of reasoning before an answer."""

    NONE = "NONE"
    MINIMAL = "MINIMAL"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    XHIGH = "XHIGH"
    MAX = "MAX"


TOKENS_OF_EFFORT: Final = {
    ReasoningEffort.MINIMAL: 512,
    ReasoningEffort.LOW: 1024,
    ReasoningEffort.MEDIUM: 2048,
    ReasoningEffort.HIGH: 4096,
    ReasoningEffort.XHIGH: 8192,
    ReasoningEffort.MAX: 16384,
}
"""The number of tokens that stands for each effort with which a model reasons, the least effort first."""


class ResponseFormatKind(StrEnum):
    """The form of an answer."""

    TEXT = "TEXT"
    JSON_OBJECT = "JSON_OBJECT"
    JSON_SCHEMA = "JSON_SCHEMA"


class ContextPolicy(StrEnum):
    """The rule for a conversation that does not fit the model's context window."""

    TRUNCATE_OLDEST = "TRUNCATE_OLDEST"
    ERROR = "ERROR"


class EffectiveSettingCause(StrEnum):
    """The cause of an effective setting that differs from the requested one."""

    ROUTING = "ROUTING"
    SERVER_LIMIT = "SERVER_LIMIT"
    FALLBACK_UNSUITABLE = "FALLBACK_UNSUITABLE"
    """A fallback model cannot serve the request, so it is left out."""
    CONTEXT_WINDOW = "CONTEXT_WINDOW"
    FALLBACK = "FALLBACK"
    """The model failed, and a fallback model takes its place."""
    FALLBACK_LIMIT = "FALLBACK_LIMIT"
    """The fallback model that takes the place of a failed model has a lower limit."""
    NOT_USED = "NOT_USED"
    """The path that the route decision chose has no use for the setting."""
    TOOLS_UNAVAILABLE = "TOOLS_UNAVAILABLE"
    """Tools that the request may use cannot be called now."""
    PROVIDER_LIMIT = "PROVIDER_LIMIT"
    """The provider of the model takes less, or takes it only in another form."""
    FOREIGN_SIGNATURE = "FOREIGN_SIGNATURE"
    """Signatures and redacted reasoning in the conversation come from another model."""


class Sampling(Struct, frozen=True):
    """The parameters by which the model chooses its tokens."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Tool(Struct, frozen=True):
    """A function of the caller's own."""

    name: str
    description: str = ""
    parameters_schema: str = ""
    """JSON Schema of the arguments, as JSON text. Empty means that the tool takes no arguments."""
    strict: bool | None = None
    is_checked: bool = False
    """Internal. Whether the server checks the arguments of each call, so that a provider may get a looser schema."""


class ToolChoice(Struct, frozen=True):
    """The rule for tool calls, or the name of the one tool that must be called."""

    mode: ToolChoiceMode | None = None
    tool: str = ""


class ResponseFormat(Struct, frozen=True):
    """The format that an answer must have. Only the kind JSON_SCHEMA uses the other attributes."""

    kind: ResponseFormatKind
    name: str = ""
    schema: str = ""
    """JSON Schema, as JSON text."""
    description: str = ""
    strict: bool | None = None


class ReasoningOptions(Struct, frozen=True):
    """The amount of the model's own reasoning."""

    effort: ReasoningEffort | None = None
    budget_tokens: int | None = None


class RoutingOptions(Struct, frozen=True):
    """The path that the caller requests. None means that the server decides."""

    mode: RoutingMode | None = None
    route: str = ""
    """Name of a configured route. It is empty when none is requested, or when `mode` is set."""
    preference: RoutingPreference | None = None


class IncludeOptions(Struct, frozen=True):
    """Large or sensitive content to return."""

    reasoning: bool = False
    """The model's own reasoning."""
    thoughts: bool = False
    tool_results: bool = False
    model_calls: bool = False
    task_results: bool = False


class EffectiveSetting(Struct, frozen=True):
    """A setting that took effect otherwise than requested."""

    field: str
    requested: str
    effective: str
    cause: EffectiveSettingCause
    reason: str
    """Explains the cause in a short English sentence."""


class Continuation(Struct, frozen=True):
    """The paused run that a request continues, by the state that the answer of the paused run gave."""

    state: bytes
    message: int
    """The position of that answer in the messages. The messages behind it hold the results of its tool calls."""
    part: int
    """The position of the state in that answer."""


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """A conversation to answer, and how to answer it. `rpc.convert` creates only valid ones."""

    messages: tuple[Message, ...]
    model: str = ""
    """Name in the model table. Empty means the server's default model."""
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningOptions = ReasoningOptions()
    routing: RoutingOptions = RoutingOptions()
    agent: AgentOptions = AgentOptions()
    context_policy: ContextPolicy | None = None
    """None means that the whole conversation is sent."""
    fallback_models: tuple[str, ...] = ()
    include: IncludeOptions = IncludeOptions()
    labels: Mapping[str, str] = field(default_factory=dict)
    end_user: str = ""
    provider_options: Mapping[str, str] = field(default_factory=dict)
    """Values by name, each as JSON text."""
    continuation: Continuation | None = None
    """None when the request continues no paused run. The messages themselves hold no state."""
