"""`Signature`: the arguments that a Python function takes, as a JSON Schema and as a check.

Both come from one pydantic model, which is built from the annotations of the function. The check is strict: a value
that the schema does not allow is refused, not converted.
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

from reasoning_grpc.tools.docstrings import parse_docstring
from reasoning_grpc.tools.errors import ArgumentsProblem

_MAX_PROBLEMS: Final = 5
_MAX_PROBLEM_CHARACTERS: Final = 200
_OWN_CHECKS: Final = dict.fromkeys(("value_error", "assertion_error"), "it is not accepted")
"""The sentences that replace pydantic's text for an exception in a type's own check, which could contain anything."""


class UnusableFunction(Exception):
    """The function cannot be a tool; the message tells the operator why."""


class Signature:
    """The arguments of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises UnusableFunction."""
        documentation = parse_docstring(inspect.getdoc(_find_annotated(function)))
        self.description: Final = documentation.description
        try:
            self._model: Final = _build_model(function, documentation.parameters)
            schema = self._model.model_json_schema(by_alias=True, schema_generator=_Schema)
        except (TypeError, ValueError, NameError, PydanticUserError) as exc:
            raise UnusableFunction(str(exc).splitlines()[0]) from exc
        self.parameters_schema: Final = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))

    def parse_arguments(self, text: str) -> dict[str, Any]:
        """Parses and checks the JSON text of arguments; returns them by name.

        Raises ArgumentsProblem. Errors that a type's own check raises pass through, except ValueError and
        AssertionError, which become ArgumentsProblem.
        """
        try:
            values = self._model.model_validate_json(text or "{}", strict=True, by_alias=True)
        except ValidationError as exc:
            raise ArgumentsProblem(_describe_all(exc)) from None
        return {
            info.alias or name: getattr(values, name)
            for name, info in type(values).model_fields.items()
            if name in values.model_fields_set
        }


class _Schema(GenerateJsonSchema):
    """Leaves out the titles that pydantic derives from names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """See pydantic."""
        return False

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        """See pydantic."""
        schema_ = super().generate(schema, mode)
        schema_.pop("title", None)
        return schema_


def _build_model(function: Callable[..., Any], descriptions: Mapping[str, str]) -> type[BaseModel]:
    """Builds a model with a field for each parameter.

    The fields have names of our own, because pydantic forbids some names that parameters may have.
    """
    hints = get_type_hints(_find_annotated(function), include_extras=True)
    fields: dict[str, Any] = {}
    for row, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"its parameter {parameter.name} cannot be given by name")
        if parameter.name not in hints:
            raise TypeError(f"its parameter {parameter.name} has no annotation")
        if isinstance(parameter.default, FieldInfo):
            raise TypeError(f"the Field of its parameter {parameter.name} belongs into Annotated")
        annotation = hints[parameter.name]
        fields[f"parameter_{row}"] = (annotation, _build_field(annotation, parameter, descriptions))
    return create_model("Arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)


def _find_annotated(function: Callable[..., Any]) -> Any:
    """Returns the object that has the annotations of a callable; for a callable object that is its `__call__`."""
    unwrapped = inspect.unwrap(function)
    while hasattr(unwrapped, "func"):  # functools.partial
        unwrapped = unwrapped.func
    return unwrapped if inspect.isroutine(unwrapped) else type(unwrapped).__call__


def _build_field(annotation: Any, parameter: inspect.Parameter, descriptions: Mapping[str, str]) -> Any:
    """Builds the field of a parameter. Its description comes from the annotation, or else from the docstring."""
    metadata = getattr(annotation, "__metadata__", ())
    default = PydanticUndefined if parameter.default is parameter.empty else parameter.default
    texts = (each.description if isinstance(each, FieldInfo) else each for each in metadata)
    text = next((each for each in texts if each and isinstance(each, str)), descriptions.get(parameter.name))
    return Field(default, alias=parameter.name, description=text or None)


def _describe_all(error: ValidationError) -> str:
    """Says where the arguments do not fit and how, without their values and without the text of exceptions."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(_describe(problem)[:_MAX_PROBLEM_CHARACTERS] for problem in problems[:_MAX_PROBLEMS])


def _describe(problem: ErrorDetails) -> str:
    place = ".".join(map(str, problem["loc"])) or "the whole"
    return f"{place}: {_OWN_CHECKS.get(problem['type'], problem['msg'])}"
