"""`ModelTable`: the models that requests can name, and how each is reached."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.catalog.page_tokens import read_page_token, write_page_token
from reasoning_grpc.catalog.sources import ModelSourceReader
from reasoning_grpc.catalog.support import find_unsupported
from reasoning_grpc.domain import (
    ANONYMOUS,
    Caller,
    CompletionRequest,
    Deployment,
    ModelFilter,
    ModelInfo,
    ModelPage,
    ModelState,
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
from reasoning_grpc.llm import ServedModel

_MAX_SUGGESTIONS: Final = 3


class ModelTable:
    """The models by their names, which are the table's own: callers never name a model of litellm."""

    def __init__(
        self,
        sources: Sequence[ModelSourceReader],
        default: str = "",
        *,
        is_failing: Callable[[Deployment], bool] = lambda _: False,
    ) -> None:
        """When two sources have a model of one name, the earlier source serves it.

        `default` is the model for requests that name none; empty: the only model, if there is exactly one.
        `is_failing` returns whether the upstream of a model has failed so often that calls stay away from it.
        """
        self._sources = sources
        self._is_failing = is_failing
        self._configured_default = default

    def find(self, model: str) -> ServedModel:
        """Returns the model of this name. Raises ModelNotFound and ModelsNotListed."""
        return self._find(model) or self._find_or_fail(model)

    def describe(self, model: str) -> ModelInfo:
        """Returns what is known about a model. Raises ModelNotFound and ModelsNotListed."""
        return self.find(model).describe()

    async def find_model(self, model: str, caller: Caller, fallback_models: tuple[str, ...] = ()) -> ModelInfo:
        """Returns the model of this name, or the default model when the name is empty.

        Waits for the first reading of every source when one of the named models is not known yet. Raises
        ModelNotFound, ModelsNotListed, ModelNotAllowed, and InvalidRequest when there is no default.
        """
        name = model or self.find_default()
        found = self._find(name)
        if found is None or (fallback_models and None in map(self._find, fallback_models)):
            await self._wait_for_first_readings()
            name = model or self._find_default_or_fail()
            found = self._find_or_fail(name, caller)
        return _check_allowed(found.describe(), caller)

    def find_default(self) -> str:
        """Returns the name of the model for requests that name none; empty when there is none."""
        if self._configured_default or not self._are_all_read():
            return self._configured_default
        names: set[str] = set()
        for source in self._sources:
            for name in source.list_models():
                names.add(name)
                if len(names) > 1:  # stops here, because a proxy may list thousands, and this runs on every call
                    return ""
        return next(iter(names), "")

    def check_support(self, request: CompletionRequest, model: ModelInfo) -> None:
        """Raises UnsupportedParameter when the model does not support all of the request."""
        if violations := find_unsupported(request, model):
            raise UnsupportedParameter(violations=tuple(violations))

    def select_supporting(self, request: CompletionRequest, fallbacks: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the fallbacks that support all of the request.

        A fallback of the model's entry that does not is left out; for one that the request names
        UnsupportedParameter is raised.
        """
        if not fallbacks:
            return fallbacks
        if request.fallback_models:
            for name in fallbacks:
                self.check_support(request, self.describe(name))
            return fallbacks
        return tuple(name for name in fallbacks if not find_unsupported(request, self.describe(name)))

    def find_fallbacks(self, request: CompletionRequest, model: ModelInfo, caller: Caller) -> tuple[str, ...]:
        """Returns the models to try when `model` fails: those that the request names, else those of the model's entry.

        Raises ModelNotFound, ModelsNotListed and ModelNotAllowed for those that the request names; those of the entry
        are left out when no source has them now, or when the caller may not use them.
        """
        if request.fallback_models:
            infos = (self._find_or_fail(name, caller).describe() for name in request.fallback_models)
            return tuple(_check_allowed(info, caller).name for info in infos)
        if not model.fallback_models:
            return ()
        return tuple(
            name for name in model.fallback_models if caller.may_use_model(name) and self._find(name) is not None
        )

    async def list_page(self, model_filter: ModelFilter, page_size: int, page_token: str, caller: Caller) -> ModelPage:
        """Returns a page of the models that the caller may use, sorted by name.

        Waits only for the first reading of each source. Raises InvalidRequest for a token that is not ours, and
        ModelsNotListed when no source was ever read successfully.
        """
        after = read_page_token(page_token, model_filter)
        await self._wait_for_first_readings()
        sources = tuple(source.get_status() for source in self._sources)
        if all(source.update_time is None for source in sources):
            raise ModelsNotListed
        models, default = self._merge_sources(), self.find_default()
        names = sorted(name for name in models if caller.may_use_model(name) and name > after)
        infos = [self._describe_now(models[name], default) for name in names]
        accepted = [info for info in infos if model_filter.accepts(info)]
        page = tuple(accepted[:page_size])
        has_more = len(accepted) > page_size
        return ModelPage(page, sources, write_page_token(page[-1].name, model_filter) if has_more else "")

    def _describe_now(self, served: ServedModel, default: str) -> ModelInfo:
        info = _describe(served, default)
        if info.state is ModelState.AVAILABLE and self._is_failing(served.find_deployment(ANONYMOUS)):
            return replace(info, state=ModelState.UNAVAILABLE)
        return info

    async def aclose(self) -> None:
        """Closes every source."""
        for source in self._sources:
            await source.aclose()

    async def _wait_for_first_readings(self) -> None:
        for source in self._sources:
            await source.wait_for_first_reading()

    def _are_all_read(self) -> bool:
        """Whether each source was read at least once, so that a model which none of them has does not exist."""
        return all(source.get_status().update_time is not None for source in self._sources)

    def _merge_sources(self) -> dict[str, ServedModel]:
        models: dict[str, ServedModel] = {}
        for source in reversed(self._sources):
            models |= source.list_models()
        return models

    def _find_default_or_fail(self) -> str:
        if default := self.find_default():
            return default
        if not self._are_all_read():
            raise ModelsNotListed
        raise InvalidRequest(violations=(FieldViolation("model", "It is required: the server has no default model."),))

    def _find(self, model: str) -> ServedModel | None:
        for source in self._sources:
            if (found := source.list_models().get(model)) is not None:
                return found
        return None

    def _find_or_fail(self, model: str, caller: Caller = ANONYMOUS) -> ServedModel:
        """Returns a model by its name; the error suggests only names that the caller may use."""
        found = self._find(model)
        if found is None and not self._are_all_read():
            raise ModelsNotListed(model=model)
        if found is None:
            raise _build_not_found(model, filter(caller.may_use_model, self._merge_sources()))
        return found


def _check_allowed(model: ModelInfo, caller: Caller) -> ModelInfo:
    """Returns the model. Raises ModelNotAllowed when the caller may not use it."""
    if not caller.may_use_model(model.name):
        raise ModelNotAllowed({"model": model.name})
    return model


def _describe(model: ServedModel, default: str) -> ModelInfo:
    info = model.describe()
    return replace(info, is_default=info.name == default)


def _build_not_found(model: str, visible_names: Iterable[str]) -> ReasoningError:
    nearest = difflib.get_close_matches(model[:128], list(visible_names), n=_MAX_SUGGESTIONS, cutoff=0.5)
    return ModelNotFound({"model": model} | ({"nearest": ", ".join(nearest)} if nearest else {}))
