"""What a caller asks for. None, and an empty collection, mean: not given, and not sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reasoning_grpc.domain.agent import AgentOptions
from reasoning_grpc.domain.conversation import Message
from reasoning_grpc.domain.routing import RoutingMode, RoutingPreference


class ToolChoiceMode(StrEnum):
    """A rule for calling tools."""

    AUTO = "AUTO"
    NONE = "NONE"
    REQUIRED = "REQUIRED"


class ReasoningEffort(StrEnum):
    """How much a model reasons before it answers."""

    NONE = "NONE"
    MINIMAL = "MINIMAL"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    XHIGH = "XHIGH"


class ResponseFormatKind(StrEnum):
    """The shape of an answer."""

    TEXT = "TEXT"
    JSON_OBJECT = "JSON_OBJECT"
    JSON_SCHEMA = "JSON_SCHEMA"


class ContextPolicy(StrEnum):
    """What to do with a conversation that does not fit the model's context window."""

    TRUNCATE_OLDEST = "TRUNCATE_OLDEST"
    ERROR = "ERROR"


class EffectiveSettingCause(StrEnum):
    """Why a setting took effect otherwise than requested."""

    ROUTING = "ROUTING"
    SERVER_LIMIT = "SERVER_LIMIT"
    FALLBACK_UNSUITABLE = "FALLBACK_UNSUITABLE"
    """A fallback model cannot serve the request, so it is left out."""
    CONTEXT_WINDOW = "CONTEXT_WINDOW"
    FALLBACK = "FALLBACK"
    """The model failed, and a fallback model takes its place."""
    FALLBACK_LIMIT = "FALLBACK_LIMIT"
    """The fallback model that takes the place of a failed one allows no more."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the model picks its tokens."""

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


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the caller's own."""

    name: str
    description: str = ""
    parameters_schema: str = ""
    """JSON Schema of the arguments, as JSON text; empty: it takes none."""
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Either a rule, or the name of the tool that must be called."""

    mode: ToolChoiceMode | None = None
    tool: str = ""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The shape an answer must have; all but `kind` belong to JSON_SCHEMA."""

    kind: ResponseFormatKind
    name: str = ""
    schema: str = ""
    """JSON Schema, as JSON text."""
    description: str = ""
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ReasoningOptions:
    """How much the model itself reasons."""

    effort: ReasoningEffort | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class RoutingOptions:
    """Which path the caller asks for; None leaves it to the server."""

    mode: RoutingMode | None = None
    route: str = ""
    """Name of a configured route; empty: none is asked for. Not beside `mode`."""
    preference: RoutingPreference | None = None


@dataclass(frozen=True, slots=True)
class IncludeOptions:
    """Large or sensitive content to return."""

    reasoning: bool = False
    """The model's own reasoning."""
    thoughts: bool = False
    tool_results: bool = False
    model_calls: bool = False


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """A setting that took effect otherwise than requested."""

    field: str
    requested: str
    effective: str
    cause: EffectiveSettingCause
    reason: str
    """Explains the cause in a short English sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """A conversation to be answered, and how; valid by construction in `convert`."""

    messages: tuple[Message, ...]
    model: str = ""
    """Name in the model table; empty: the server's default."""
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningOptions = field(default_factory=ReasoningOptions)
    routing: RoutingOptions = field(default_factory=RoutingOptions)
    agent: AgentOptions = field(default_factory=AgentOptions)
    context_policy: ContextPolicy | None = None
    """None: the conversation is sent whole."""
    fallback_models: tuple[str, ...] = ()
    include: IncludeOptions = field(default_factory=IncludeOptions)
    labels: Mapping[str, str] = field(default_factory=dict)
    end_user: str = ""
    provider_options: Mapping[str, str] = field(default_factory=dict)
    """Name to value, the value as JSON text."""
