"""Models as callers see them, and as the adapter reaches them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from reasoning_grpc.domain.prices import Prices
from reasoning_grpc.domain.requests import Sampling


class Secret:
    """A string that is never printed; `reveal` gives it to the one place that sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        """The secret itself."""
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
    """How a model that writes its reasoning into the text of an answer marks it there."""

    NONE = "NONE"
    """It does not: a tag is text."""
    PAIR = "PAIR"
    """An answer may begin with <think>; </think> ends the reasoning."""
    OPEN = "OPEN"
    """Its chat template has written <think> already: an answer begins inside."""


class ModelState(StrEnum):
    """Whether a model can be called now."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as callers see it."""

    name: str
    source: ModelSourceKind
    provider: str
    """The provider's protocol behind it, such as "openai"."""
    description: str = ""
    is_default: bool = False
    state: ModelState = ModelState.AVAILABLE
    capabilities: frozenset[Capability] = frozenset()
    lacks: frozenset[Capability] = frozenset()
    """What it is known not to do, so that a request for it is refused rather than ignored by the upstream."""
    think_tags: ThinkTags = ThinkTags.NONE
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    encoding: str = ""
    """The model's tokenizer, as tiktoken names it; empty: not known. Not shown."""
    system_prompt: str = ""
    """Sent first when a conversation has no system message of its own. Not shown."""
    default_output_tokens: int | None = None
    """The most tokens of an answer where a request has no limit; None: the model's own. Not shown."""
    prices: Prices = field(default_factory=Prices)
    fallback_models: tuple[str, ...] = ()
    provider_options: frozenset[str] = frozenset()
    native_tools: bool = False
    """Whether the agent's tools are told to it by the provider's own means, instead of in a plan in JSON."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where models come from, and how fresh that is."""

    kind: ModelSourceKind
    model_count: int
    update_time: datetime | None
    stale: bool = False
    failure: str = ""
    """The reason of its last failure; empty when it did not fail."""


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Conditions that a listed model must all meet; an empty one is no condition."""

    name_contains: str = ""
    capabilities: frozenset[Capability] = frozenset()
    states: frozenset[ModelState] = frozenset()

    def accepts(self, model: ModelInfo) -> bool:
        """Whether the model meets every condition."""
        return (
            self.name_contains.casefold() in model.name.casefold()
            and self.capabilities <= model.capabilities
            and (not self.states or model.state in self.states)
        )


@dataclass(frozen=True, slots=True)
class ModelPage:
    """A page of models, ordered by name; `next_page_token` is empty on the last."""

    models: tuple[ModelInfo, ...]
    sources: tuple[ModelSource, ...]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """How the adapter reaches a model: what litellm is told, and what only our own client sees."""

    name: str
    """Name in the model table."""
    litellm_model: str
    api_base: str
    api_key: Secret = field(default_factory=lambda: Secret(""))
    key_is_callers: bool = False
    """Whether the key belongs to the caller: then its refusal is the caller's to mend."""
    system_prompt: str = ""
    """Sent first when the conversation has no system message of its own."""
    sampling: Sampling = field(default_factory=Sampling)
    """Values for what a request leaves unset."""
    headers: Mapping[str, str] = field(default_factory=dict)
    litellm_params: Mapping[str, str] = field(default_factory=dict)
    """What litellm must know of the provider beside address and key, such as a region."""

    @property
    def provider(self) -> str:
        """litellm's prefix of the model, such as "openai"."""
        return self.litellm_model.partition("/")[0]
