"""`Signature`: the arguments that a Python function takes, as a JSON Schema and as a check.

Both come from one pydantic model, which is made from the function's annotations. The check is strict: what the schema
does not allow is refused, not converted.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, PydanticUndefined

from reasoning_grpc.tools.docstrings import documentation
from reasoning_grpc.tools.errors import ArgumentsProblem

_TOLD_PROBLEMS: Final = 5
_LONGEST_PROBLEM: Final = 200
_OWN_CHECKS: Final = dict.fromkeys(("value_error", "assertion_error"), "it is not accepted")
"""Instead of what pydantic makes of an exception in a check of a type."""


class UnusableFunction(Exception):
    """A function that can be no tool; the message says why, and is the operator's to read."""


class Signature:
    """What a function takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises UnusableFunction."""
        documented = documentation(inspect.getdoc(_annotated(function)))
        self.description: Final = documented.description
        try:
            self._model: Final = _model(function, documented.parameters)
            schema = self._model.model_json_schema(by_alias=True, schema_generator=_Schema)
        except (TypeError, ValueError, NameError, PydanticUserError) as exc:
            raise UnusableFunction(str(exc).splitlines()[0]) from exc
        self.parameters_schema: Final = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))

    def arguments(self, text: str) -> dict[str, Any]:
        """The arguments that a JSON text holds, by name.

        Raises ArgumentsProblem; and what a check in one of the types raises, but for ValueError and AssertionError.
        """
        try:
            values = self._model.model_validate_json(text or "{}", strict=True, by_alias=True)
        except ValidationError as exc:
            raise ArgumentsProblem(_problems(exc)) from None
        return {
            info.alias or name: getattr(values, name)
            for name, info in type(values).model_fields.items()
            if name in values.model_fields_set
        }


class _Schema(GenerateJsonSchema):
    """Without the titles that pydantic makes of names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """See pydantic."""
        return False

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        """See pydantic."""
        made = super().generate(schema, mode)
        made.pop("title", None)
        return made


def _model(function: Callable[..., Any], descriptions: Mapping[str, str]) -> type[BaseModel]:
    """A field for each parameter. They have names of ours, for pydantic forbids some that parameters may have."""
    hints = get_type_hints(_annotated(function), include_extras=True)
    fields: dict[str, Any] = {}
    for row, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"its parameter {parameter.name} cannot be given by name")
        if parameter.name not in hints:
            raise TypeError(f"its parameter {parameter.name} has no annotation")
        if isinstance(parameter.default, FieldInfo):
            raise TypeError(f"the Field of its parameter {parameter.name} belongs into Annotated")
        annotation = hints[parameter.name]
        fields[f"parameter_{row}"] = (annotation, _field(annotation, parameter, descriptions))
    return create_model("Arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)


def _annotated(function: Callable[..., Any]) -> Any:
    """What has the annotations of a callable: an object that can be called has them on its `__call__`."""
    unwrapped = inspect.unwrap(function)
    while hasattr(unwrapped, "func"):  # functools.partial
        unwrapped = unwrapped.func
    return unwrapped if inspect.isroutine(unwrapped) else type(unwrapped).__call__


def _field(annotation: Any, parameter: inspect.Parameter, descriptions: Mapping[str, str]) -> Any:
    """The field of a parameter, described by its annotation, or else by the docstring."""
    metadata = getattr(annotation, "__metadata__", ())
    default = PydanticUndefined if parameter.default is parameter.empty else parameter.default
    said = (each.description if isinstance(each, FieldInfo) else each for each in metadata)
    text = next((each for each in said if each and isinstance(each, str)), descriptions.get(parameter.name))
    return Field(default, alias=parameter.name, description=text or None)


def _problems(error: ValidationError) -> str:
    """Where the arguments do not fit, and how; nothing of their values, nor the text of an exception."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(_told(problem)[:_LONGEST_PROBLEM] for problem in problems[:_TOLD_PROBLEMS])


def _told(problem: ErrorDetails) -> str:
    place = ".".join(map(str, problem["loc"])) or "the whole"
    return f"{place}: {_OWN_CHECKS.get(problem['type'], problem['msg'])}"
