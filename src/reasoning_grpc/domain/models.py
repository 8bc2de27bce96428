"""Models: what callers learn about them, and how the adapter calls them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct, field
from msgspec.structs import force_setattr

from reasoning_grpc.domain.prices import Prices
from reasoning_grpc.domain.requests import Sampling


class Secret:
    """A string that is never printed. `reveal` returns it to the one place that sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        """Returns the secret itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"


class Capability(StrEnum):
    """Something a model can do."""

    TOOLS = "TOOLS"
    JSON_OBJECT = "JSON_OBJECT"
    JSON_SCHEMA = "JSON_SCHEMA"
    IMAGE_INPUT = "IMAGE_INPUT"
    AUDIO_INPUT = "AUDIO_INPUT"
    DOCUMENT_INPUT = "DOCUMENT_INPUT"
    REASONING = "REASONING"
    LOGPROBS = "LOGPROBS"


class ModelSourceKind(StrEnum):
    """A kind of source of models."""

    CONFIGURATION = "CONFIGURATION"
    PROXY = "PROXY"
    EMBEDDED = "EMBEDDED"


class ThinkTags(StrEnum):
    """The way in which a model marks reasoning that it writes into the text of an answer."""

    NONE = "NONE"
    """The model does not mark its reasoning: a tag is text."""
    PAIR = "PAIR"
    """An answer may begin with <think>, and </think> ends its reasoning."""
    OPEN = "OPEN"
    """The chat template of the model ends with <think>, so an answer begins with reasoning."""


class Wire(StrEnum):
    """The API of OpenAI's through which a call goes."""

    CHAT = "CHAT"
    """Chat Completions, which nearly every server has."""
    RESPONSES = "RESPONSES"
    """Responses, which returns the reasoning of OpenAI's models, and takes it back."""


class ModelState(StrEnum):
    """The state of a model: whether it can be called now."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"


class ModelInfo(Struct, frozen=True, kw_only=True):
    """A model that requests can name. The attributes that no caller receives are marked as internal."""

    name: str
    source: ModelSourceKind
    provider: str
    """The protocol of the provider behind the model, such as "openai"."""
    description: str = ""
    is_default: bool = False
    """Set only on the models of a `ModelPage`."""
    state: ModelState = ModelState.AVAILABLE
    capabilities: frozenset[Capability] = frozenset()
    missing_capabilities: frozenset[Capability] = frozenset()
    """Internal. What the model is known to lack. A request for it is refused, since the upstream may ignore it."""
    think_tags: ThinkTags = ThinkTags.NONE
    """Internal."""
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    encoding: str = ""
    """Internal. tiktoken's name of the model's tokenizer. Empty when it is not known."""
    system_prompt: str = ""
    """Internal. It is sent first when a conversation has no system message of its own."""
    default_output_tokens: int | None = None
    """Internal. Token limit of an answer to a request that has none. None means the model's own limit."""
    prices: Prices = field(default_factory=Prices)
    fallback_models: tuple[str, ...] = ()
    provider_options: frozenset[str] = frozenset()
    native_tools: bool = False
    """Internal. Whether the agent plans with the provider's own tool calls, and not with a plan in JSON."""


class ModelSource(Struct, frozen=True):
    """A source of models, and how fresh its models are."""

    kind: ModelSourceKind
    model_count: int
    update_time: datetime | None
    """The time when the server last read the source successfully. None when it never did."""
    stale: bool = False
    """Whether reading the source has failed since then."""
    failure: str = ""
    """The reason of the error of the last reading. Empty when it succeeded."""


class ModelFilter(Struct, frozen=True):
    """Conditions, all of which a listed model must meet. An empty condition is met by every model."""

    name_contains: str = ""
    capabilities: frozenset[Capability] = frozenset()
    states: frozenset[ModelState] = frozenset()

    def accepts(self, model: ModelInfo) -> bool:
        """Returns whether the model meets every condition."""
        return (
            self.name_contains.casefold() in model.name.casefold()
            and self.capabilities <= model.capabilities
            and (not self.states or model.state in self.states)
        )


class ModelPage(Struct, frozen=True):
    """A page of models, ordered by name. `next_page_token` is empty on the last page."""

    models: tuple[ModelInfo, ...]
    sources: tuple[ModelSource, ...]
    next_page_token: str = ""


_NAMES_WITHOUT_FOLDERS: Final = frozenset({"azure", "custom_openai", "openai"})
"""Providers whose models have plain names. In a price map, a region may come before the name: "azure/eu/gpt-5"."""
_NAMES_WITH_VENDORS: Final = frozenset({"openrouter"})
"""Providers whose models have the vendor in their names: "openrouter/openai/gpt-5"."""


class Deployment(Struct, frozen=True, kw_only=True):
    """The values for calls of a model: arguments of litellm, and values that only our own HTTP client uses."""

    name: str
    """Name of the model in the model table."""
    litellm_model: str
    api_base: str
    api_key: Secret = field(default_factory=lambda: Secret(""))
    is_callers_key: bool = False
    """Whether the key belongs to the caller, who must then fix it when the upstream refuses it."""
    system_prompt: str = ""
    """It is sent first when the conversation has no system message of its own."""
    sampling: Sampling = field(default_factory=Sampling)
    """Values for the parameters that a request leaves unset."""
    headers: Mapping[str, str] = field(default_factory=dict)
    litellm_params: Mapping[str, str] = field(default_factory=dict)
    """Other parameters that litellm needs for the provider, such as a region."""

    base_model: str = ""
    """litellm's name of the model that is served, where `litellm_model` does not say it."""
    known_model: str = ""
    """The name by which litellm knows the model, where it does not know `litellm_model`, such as a name with a date."""
    wire: Wire | None = None
    """The API for all calls. None means that the model and the call decide."""
    store: bool = False
    """Whether OpenAI may keep the answers that come through its Responses API."""

    provider: str = ""
    """Derived, whatever is given. litellm's prefix of the model, such as "openai"."""
    deciding_model: str = ""
    """Derived. litellm's name of the model that decides what a call may hold: the base model, if there is one.

    The name has the provider of the deployment, because that provider's protocol decides too.
    """
    model_and_server: tuple[str, str, str, str, Wire | None] = ("", "", "", "", None)
    """Derived. The attributes that name the model, its server and its API, as one key."""

    def __post_init__(self) -> None:
        """Sets what each call reads many times."""
        force_setattr(self, "provider", self.litellm_model.partition("/")[0])
        force_setattr(self, "deciding_model", self._find_deciding_model())
        key = (self.litellm_model, self.base_model, self.known_model, self.api_base, self.wire)
        force_setattr(self, "model_and_server", key)

    def _find_deciding_model(self) -> str:
        if not self.base_model:
            return self.known_model or self.litellm_model
        base_provider, _, name = self.base_model.partition("/")
        if self.provider in _NAMES_WITHOUT_FOLDERS:
            name = name.rpartition("/")[2]
        elif base_provider != self.provider:
            name = self.base_model if self.provider in _NAMES_WITH_VENDORS else name.rpartition("/")[2]
        return f"{self.provider}/{name}"
