"""`ModelTable`: the models that requests can name, and how each is reached."""

import base64
import difflib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from reasoning_grpc.catalog.sources import ModelSourceReader, ServedModel
from reasoning_grpc.config import PROXY_PREFIX
from reasoning_grpc.domain import (
    ANONYMOUS,
    Caller,
    Capability,
    CompletionRequest,
    Deployment,
    Media,
    ModelFilter,
    ModelInfo,
    ModelPage,
)
from reasoning_grpc.domain.errors import (
    FieldViolation,
    InvalidRequest,
    ModelNotAllowed,
    ModelNotFound,
    ModelsNotListed,
    ReasoningError,
    UnsupportedParameter,
)

_NEAREST: Final = 3
_MEDIA: Final = {"image": Capability.IMAGE_INPUT, "audio": Capability.AUDIO_INPUT}


class ModelTable:
    """The models by name. Names are the table's own: callers never name a litellm model."""

    def __init__(self, sources: Sequence[ModelSourceReader], default: str = "") -> None:
        """Where two sources have a model of one name, that of the first one is served.

        `default` is the model for requests that name none; empty: the only one, if there is only one.
        """
        self._sources = sources
        self._configured_default = default

    def deployment(self, model: str, caller: Caller) -> Deployment:
        """How to reach a model now, for this caller. Raises ModelNotFound, ModelsNotListed, UpstreamRestarting."""
        deployment = self._served(model).deployment()
        if caller.upstream_key is None or not deployment.litellm_model.startswith(PROXY_PREFIX):
            return deployment
        return replace(deployment, api_key=caller.upstream_key, key_is_callers=True)

    def describe(self, model: str) -> ModelInfo:
        """What is known of a model. Raises ModelNotFound and ModelsNotListed."""
        return self._told(self._served(model), self.default())

    async def chosen(self, model: str, caller: Caller, fallback_models: tuple[str, ...] = ()) -> ModelInfo:
        """The model of this name, the default one when it is empty.

        Waits for sources that are being read for the first time, when they may have what is not known without
        them. Raises ModelNotFound, ModelsNotListed, ModelNotAllowed, and InvalidRequest when there is no default.
        """
        named = (model or self._configured_default, *fallback_models)
        if any(self._find(name) is None for name in named):
            await self._first_readings()
        return self._usable(model or self._default_or_refuse(), caller)

    def default(self) -> str:
        """The model for requests that name none; empty when there is none."""
        if self._configured_default or not self._all_read():
            return self._configured_default
        names: set[str] = set()
        for source in self._sources:
            for name in source.models():
                names.add(name)
                if len(names) > 1:  # known without going through a proxy's thousands, on every call
                    return ""
        return next(iter(names), "")

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

        Raises ModelNotFound, ModelsNotListed and ModelNotAllowed for those that the request names; of the entry's
        own, it leaves out those that no source has now.
        """
        if request.fallback_models:
            return tuple(self._usable(name, caller).name for name in request.fallback_models)
        return tuple(name for name in model.fallback_models if caller.may_use(name) and self._find(name) is not None)

    async def page(self, model_filter: ModelFilter, page_size: int, page_token: str, caller: Caller) -> ModelPage:
        """A page of the models that the caller may use.

        Waits for nothing but sources that are being read for the first time. Raises InvalidRequest for a token
        that is not ours, and ModelsNotListed when no source was ever read.
        """
        after = _name_in(page_token, model_filter)
        await self._first_readings()
        sources = tuple(source.status() for source in self._sources)
        if all(source.updated_at is None for source in sources):
            raise ModelsNotListed
        models, default = self._merged(), self.default()
        names = sorted(name for name in models if caller.may_use(name) and name > after)
        infos = [self._told(models[name], default) for name in names]
        accepted = [info for info in infos if model_filter.accepts(info)]
        page = tuple(accepted[:page_size])
        more = len(accepted) > page_size
        return ModelPage(page, sources, _token_after(page[-1].name, model_filter) if more else "")

    async def aclose(self) -> None:
        """Closes every source."""
        for source in self._sources:
            await source.aclose()

    async def _first_readings(self) -> None:
        for source in self._sources:
            await source.first_reading()

    def _all_read(self) -> bool:
        """Whether each source was read at least once, so that a model that none has does not exist."""
        return all(source.status().updated_at is not None for source in self._sources)

    def _merged(self) -> dict[str, ServedModel]:
        models: dict[str, ServedModel] = {}
        for source in reversed(self._sources):
            models |= source.models()
        return models

    def _default_or_refuse(self) -> str:
        if default := self.default():
            return default
        if not self._all_read():
            raise ModelsNotListed
        raise InvalidRequest(violations=(FieldViolation("model", "It is required: the server has no default model."),))

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
        info = self._told(self._served(model, caller), self.default())
        if not caller.may_use(info.name):
            raise ModelNotAllowed({"model": model})
        return info

    def _told(self, served: ServedModel, default: str) -> ModelInfo:
        """What callers see of a model."""
        info = served.info()
        return replace(info, is_default=info.name == default)

    def _find(self, model: str) -> ServedModel | None:
        return next((found for source in self._sources if (found := source.models().get(model)) is not None), None)

    def _served(self, model: str, caller: Caller = ANONYMOUS) -> ServedModel:
        """A model by its name; what is not found is hinted at only with what the caller may use."""
        served = self._find(model)
        if served is None and not self._all_read():
            raise ModelsNotListed(model=model)
        if served is None:
            raise _not_found(model, filter(caller.may_use, self._merged()))
        return served


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
