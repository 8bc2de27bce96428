"""`ModelTable`: the models that requests can name, and how each is reached."""

import base64
import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from reasoning_grpc.errors import (
    FieldViolation,
    InvalidRequest,
    ModelNotAllowed,
    ModelNotFound,
    ReasoningError,
    UnsupportedParameter,
)
from reasoning_grpc.types import (
    Caller,
    Capability,
    CompletionRequest,
    Deployment,
    Media,
    ModelFilter,
    ModelInfo,
    ModelPage,
    ModelSource,
    ModelSourceKind,
)

_NEAREST: Final = 3
_MEDIA: Final = {"image": Capability.IMAGE_INPUT, "audio": Capability.AUDIO_INPUT}


class ServedModel(Protocol):
    """A model of the table, whatever its source."""

    def info(self) -> ModelInfo:
        """What callers see of it now."""
        ...

    def deployment(self) -> Deployment:
        """How to reach it now. Raises UpstreamRestarting when it has to start first."""
        ...


class ModelTable:
    """The models by name. Names are the table's own: callers never name a litellm model."""

    def __init__(self, models: Mapping[str, ServedModel], default: str) -> None:
        self._models = dict(sorted(models.items()))
        self._default = default
        self._read_at = datetime.now(UTC)

    def deployment(self, model: str) -> Deployment:
        """How to reach a model now. Raises ModelNotFound, or UpstreamRestarting."""
        return self._served(model, self._models).deployment()

    def describe(self, model: str) -> ModelInfo:
        """What is known of a model. Raises ModelNotFound."""
        return self._served(model, self._models).info()

    def chosen(self, request: CompletionRequest, caller: Caller) -> ModelInfo:
        """The model that a request asks for, the default one when it names none.

        Raises ModelNotFound and ModelNotAllowed.
        """
        return self._usable(request.model or self._default, caller)

    def check_taken(self, request: CompletionRequest, model: str) -> None:
        """Raises UnsupportedParameter for provider options that are not listed, and for what the model lacks."""
        if violations := self._not_taken(request, model):
            raise UnsupportedParameter(violations=tuple(violations))

    def taking(self, request: CompletionRequest, fallbacks: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the fallbacks that take all of the request.

        Raises UnsupportedParameter for one that the request itself names; one of the model's entry is left out.
        """
        if request.fallback_models:
            for name in fallbacks:
                self.check_taken(request, name)
            return fallbacks
        return tuple(name for name in fallbacks if not self._not_taken(request, name))

    def fallbacks(self, request: CompletionRequest, model: ModelInfo, caller: Caller) -> tuple[str, ...]:
        """The models to try when `model` fails: those the request names, else those of the model's entry.

        Raises ModelNotFound and ModelNotAllowed for those that the request names.
        """
        if request.fallback_models:
            return tuple(self._usable(name, caller).name for name in request.fallback_models)
        return tuple(name for name in model.fallback_models if caller.may_use(name))

    def page(self, model_filter: ModelFilter, page_size: int, page_token: str, caller: Caller) -> ModelPage:
        """A page of the models that the caller may use. Raises InvalidRequest for a token that is not ours."""
        after = _name_in(page_token, model_filter)
        infos = [served.info() for name, served in self._models.items() if caller.may_use(name) and name > after]
        accepted = [info for info in infos if model_filter.accepts(info)]
        page = tuple(accepted[:page_size])
        more = len(accepted) > page_size
        return ModelPage(page, self._sources(), _token_after(page[-1].name, model_filter) if more else "")

    def _not_taken(self, request: CompletionRequest, model: str) -> list[FieldViolation]:
        info = self.describe(model)
        violations = [
            FieldViolation(f"provider_options[{name}]", f"The entry of {model} does not allow it.")
            for name in sorted(request.provider_options.keys() - info.provider_options)
        ]
        violations += [
            FieldViolation(field, f"The model {model} cannot do it.")
            for field, capability in _needs(request)
            if capability in info.lacks
        ]
        return violations

    def _usable(self, model: str, caller: Caller) -> ModelInfo:
        visible = [name for name in self._models if caller.may_use(name)]
        info = self._served(model, visible).info()
        if not caller.may_use(info.name):
            raise ModelNotAllowed({"model": model})
        return info

    def _served(self, model: str, visible: Iterable[str]) -> ServedModel:
        served = self._models.get(model)
        if served is None:
            raise _not_found(model, visible)
        return served

    def _sources(self) -> tuple[ModelSource, ...]:
        kinds = [served.info().source for served in self._models.values()]
        return tuple(ModelSource(kind, kinds.count(kind), self._read_at) for kind in ModelSourceKind if kind in kinds)


def _needs(request: CompletionRequest) -> Iterator[tuple[str, Capability]]:
    """The fields of a request that a model must be able to serve."""
    if request.tools:
        yield "tools", Capability.TOOLS
    if request.reasoning.effort is not None:
        yield "reasoning.effort", Capability.REASONING
    if request.reasoning.budget_tokens is not None:
        yield "reasoning.budget_tokens", Capability.REASONING
    if request.sampling.logprobs:
        yield "sampling.logprobs", Capability.LOGPROBS
    for row, message in enumerate(request.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media):
                kind = part.content.mime_type.partition("/")[0]
                yield f"messages[{row}].content[{column}].media", _MEDIA.get(kind, Capability.DOCUMENT_INPUT)


def _not_found(model: str, visible: Iterable[str]) -> ReasoningError:
    nearest = difflib.get_close_matches(model[:128], list(visible), n=_NEAREST, cutoff=0.5)
    return ModelNotFound({"model": model} | ({"nearest": ", ".join(nearest)} if nearest else {}))


def _digest(model_filter: ModelFilter) -> bytes:
    shown = repr((model_filter.name_contains, sorted(model_filter.capabilities), sorted(model_filter.states)))
    return hashlib.sha256(shown.encode()).digest()[:6]


def _token_after(name: str, model_filter: ModelFilter) -> str:
    return base64.urlsafe_b64encode(_digest(model_filter) + name.encode()).decode()


def _name_in(page_token: str, model_filter: ModelFilter) -> str:
    """The name that ended the page before; it need not be listed any more."""
    if not page_token:
        return ""
    digest = _digest(model_filter)
    try:
        decoded = base64.b64decode(page_token.encode("ascii"), altchars=b"-_", validate=True)
        if not decoded.startswith(digest):
            raise ValueError("of another filter")
        return decoded.removeprefix(digest).decode()
    except ValueError:  # binascii.Error and UnicodeError among them
        violation = FieldViolation("page_token", "It is not a token of an earlier answer to the same filter.")
        raise InvalidRequest(violations=(violation,)) from None
