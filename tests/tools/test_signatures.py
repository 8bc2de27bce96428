"""What a Python function takes, as schema and as check: annotations, defaults, docstrings of three styles."""

import datetime
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field

from reasoning_grpc.tools.errors import ArgumentsProblem
from reasoning_grpc.tools.signature import Signature, UnusableFunction


class Unit(Enum):
    """A unit."""

    CELSIUS = "c"
    FAHRENHEIT = "f"


@dataclass
class Place:
    """A place."""

    name: str
    height: float = 0.0


class Range(BaseModel):
    """A range of days."""

    first: datetime.date
    last: datetime.date | None = None


def everything(
    text: str,
    place: Place,
    schema: Annotated[int, Field(ge=1, description="Not less than one.")],
    unit: Unit = Unit.CELSIUS,
    days: Range | None = None,
    *,
    _hidden: Annotated[float, "A share."] = 0.5,
    json: Literal["a", "b"] = "a",
    model_config: list[dict[str, bool]] | None = None,
) -> str:
    """Take every kind of argument."""
    return f"{text} {place} {schema} {unit} {days} {_hidden} {json} {model_config}"


def test_every_kind_of_annotation() -> None:
    """Names that pydantic would not take, enums, dataclasses, models, bounds and descriptions."""
    schema = json.loads(Signature(everything).parameters_schema)

    assert schema["required"] == ["text", "place", "schema"]
    assert schema["properties"]["schema"] == {"type": "integer", "minimum": 1, "description": "Not less than one."}
    assert schema["properties"]["_hidden"] == {"type": "number", "default": 0.5, "description": "A share."}
    assert schema["properties"]["json"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert schema["$defs"]["Unit"]["enum"] == ["c", "f"]
    assert schema["additionalProperties"] is False


def test_arguments_arrive_in_their_types() -> None:
    """JSON becomes what the annotations say; what was not given is left to the function's defaults."""
    text = json.dumps(
        {
            "text": "hi",
            "place": {"name": "Rome"},
            "schema": 2,
            "unit": "f",
            "days": {"first": "2026-01-31"},
            "model_config": [{"a": True}],
        }
    )

    assert Signature(everything).parse_arguments(text) == {
        "text": "hi",
        "place": Place("Rome"),
        "schema": 2,
        "unit": Unit.FAHRENHEIT,
        "days": Range(first=datetime.date(2026, 1, 31)),
        "model_config": [{"a": True}],
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": 0}, "schema: Input should be greater than or equal to 1"),
        ({"schema": "1"}, "schema: Input should be a valid integer"),
        ({"unit": "k"}, "unit: Input should be 'c' or 'f'"),
        ({"place": {"name": "Rome", "height": "high"}}, "place.height: Input should be a valid number"),
        ({"days": {"first": "tomorrow"}}, "days.first: Input should be a valid date"),
        ({"other": 1}, "other: Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], problem: str) -> None:
    """The place and the rule are told, and nothing of the value."""
    fitting = {"text": "hi", "place": {"name": "Rome"}, "schema": 2}

    with pytest.raises(ArgumentsProblem) as failed:
        Signature(everything).parse_arguments(json.dumps(fitting | change))

    assert problem in str(failed.value)


SECRET: Final = "what-an-exception-may-hold"


def _no_number(city: str) -> str:
    return str(int(city + SECRET))


def _nothing(city: str) -> str:
    assert not city, SECRET
    return city


def silent_check(city: Annotated[str, AfterValidator(_no_number)]) -> None:
    """Has a type whose check fails as Python does."""


def asserting_check(city: Annotated[str, AfterValidator(_nothing)]) -> None:
    """Has a type whose check asserts."""


@pytest.mark.parametrize("function", [silent_check, asserting_check])
def test_the_words_of_an_exception_are_not_told(function: Callable[..., Any]) -> None:
    """Those of a check that fails may hold anything; that it failed is told."""
    with pytest.raises(ArgumentsProblem) as failed:
        Signature(function).parse_arguments('{"city": "Rome"}')

    assert str(failed.value) == "city: it is not accepted"


def google(city: str, days: int = 1) -> None:
    """Tell the weather.

    For any city.

    Args:
        city: The city,
            in English.
        days (int): How many.

    Returns:
        Nothing: it is a test.
    """


def numpy(city: str, days: int = 1) -> None:
    """Tell the weather.

    For any city.

    Parameters
    ----------
    city : str
        The city,
        in English.
    days
        How many.

    Returns
    -------
    None
    """


def sphinx(city: str, days: int = 1) -> None:
    """Tell the weather.

    For any city.

    :param city: The city,
        in English.
    :param int days: How many.
    :returns: Nothing.
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx])
def test_docstrings_describe(function: Callable[..., Any]) -> None:
    """The description ends where the parameters begin, and each parameter has its own."""
    signature = Signature(function)
    properties = json.loads(signature.parameters_schema)["properties"]

    assert signature.description == "Tell the weather.\n\nFor any city."
    assert properties["city"]["description"] == "The city, in English."
    assert properties["days"]["description"] == "How many."


class Callee:
    """An object that can be called."""

    def __call__(self, city: str) -> str:
        """Tell the weather."""
        return city


@pytest.mark.parametrize("function", [Callee(), functools.partial(google, days=3), Callee().__call__])
def test_what_else_can_be_called(function: Callable[..., Any]) -> None:
    """Objects, methods and partial functions are functions too."""
    signature = Signature(function)

    assert signature.description.startswith("Tell the weather.")
    assert signature.parse_arguments('{"city": "Rome"}') == {"city": "Rome"}


def no_annotation(city) -> None:
    """Cannot be described."""


def any_number(*cities: str) -> None:
    """Cannot be called by names."""


def unknown_type(city: "Nowhere") -> None:  # type: ignore[name-defined] # noqa: F821
    """Cannot be resolved."""


def no_json(city: Callee) -> None:
    """Cannot be made of JSON."""


def field_as_default(city: str = Field(description="Where.")) -> None:
    """Would be called with a Field."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_annotation, "its parameter city has no annotation"),
        (any_number, "its parameter cities cannot be given by name"),
        (unknown_type, "name 'Nowhere' is not defined"),
        (no_json, "Unable to generate pydantic-core schema"),
        (field_as_default, "the Field of its parameter city belongs into Annotated"),
        (len, "cannot be given by name"),
        (dict, "no signature found"),
    ],
)
def test_what_can_be_no_tool(function: Callable[..., Any], problem: str) -> None:
    """Why a function can be no tool is said in one line."""
    with pytest.raises(UnusableFunction) as failed:
        Signature(function)

    assert problem in str(failed.value)
    assert "\n" not in str(failed.value)
