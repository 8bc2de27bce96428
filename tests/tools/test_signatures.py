"""`Signature`: the schema, the argument check and the description that a Python function gives its tool."""

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


def take_everything(
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


def test_annotations_become_a_schema() -> None:
    """Enums, dataclasses, models, bounds, descriptions and names that pydantic reserves stand in the schema."""
    schema = json.loads(Signature(take_everything).parameters_schema)

    assert schema["required"] == ["text", "place", "schema"]
    assert schema["properties"]["schema"] == {"type": "integer", "minimum": 1, "description": "Not less than one."}
    assert schema["properties"]["_hidden"] == {"type": "number", "default": 0.5, "description": "A share."}
    assert schema["properties"]["json"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert schema["$defs"]["Unit"]["enum"] == ["c", "f"]
    assert schema["additionalProperties"] is False


def test_arguments_arrive_in_their_types() -> None:
    """JSON values are converted to the annotated types; a missing argument is left to the default of the function."""
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

    assert Signature(take_everything).parse_arguments(text) == {
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
def test_a_problem_names_its_place_and_rule(change: dict[str, Any], problem: str) -> None:
    """A rejected argument is described by its place and the rule that it breaks, without its value."""
    valid = {"text": "hi", "place": {"name": "Rome"}, "schema": 2}

    with pytest.raises(ArgumentsProblem) as failed:
        Signature(take_everything).parse_arguments(json.dumps(valid | change))

    assert problem in str(failed.value)


SECRET: Final = "what-an-exception-may-hold"


def _parse_number(city: str) -> str:
    return str(int(city + SECRET))


def _demand_nothing(city: str) -> str:
    assert not city, SECRET
    return city


def take_number(city: Annotated[str, AfterValidator(_parse_number)]) -> None:
    """Has a type whose check fails with an ordinary exception."""


def take_nothing(city: Annotated[str, AfterValidator(_demand_nothing)]) -> None:
    """Has a type whose check fails with an assertion."""


@pytest.mark.parametrize("function", [take_number, take_nothing])
def test_the_text_of_an_exception_stays_hidden(function: Callable[..., Any]) -> None:
    """A check that raises is reported without the text of its exception, which may contain anything."""
    with pytest.raises(ArgumentsProblem) as failed:
        Signature(function).parse_arguments('{"city": "Rome"}')

    assert str(failed.value) == "city: it is not accepted"


def document_as_google(city: str, days: int = 1) -> None:
    """Tell the weather.

    For any city.

    Args:
        city: The city,
            in English.
        days (int): How many.

    Returns:
        Nothing: it is a test.
    """


def document_as_numpy(city: str, days: int = 1) -> None:
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


def document_as_sphinx(city: str, days: int = 1) -> None:
    """Tell the weather.

    For any city.

    :param city: The city,
        in English.
    :param int days: How many.
    :returns: Nothing.
    """


@pytest.mark.parametrize("function", [document_as_google, document_as_numpy, document_as_sphinx])
def test_docstrings_describe_tool_and_parameters(function: Callable[..., Any]) -> None:
    """Docstrings of three styles give the tool its description and each parameter its own."""
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


@pytest.mark.parametrize("function", [Callee(), functools.partial(document_as_google, days=3), Callee().__call__])
def test_other_callables_have_signatures(function: Callable[..., Any]) -> None:
    """Callable objects, methods and partial functions can be tools too."""
    signature = Signature(function)

    assert signature.description.startswith("Tell the weather.")
    assert signature.parse_arguments('{"city": "Rome"}') == {"city": "Rome"}


def omit_annotation(city) -> None:
    """Has a parameter whose type is unknown."""


def take_any_number(*cities: str) -> None:
    """Has parameters that cannot be passed by name."""


def take_unknown_type(city: "Nowhere") -> None:  # type: ignore[name-defined] # noqa: F821
    """Has an annotation that cannot be resolved."""


def take_callable(city: Callee) -> None:
    """Has a type that cannot be built from JSON."""


def take_field_as_default(city: str = Field(description="Where.")) -> None:
    """Has a Field as the default value of a parameter."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (omit_annotation, "its parameter city has no annotation"),
        (take_any_number, "its parameter cities cannot be given by name"),
        (take_unknown_type, "name 'Nowhere' is not defined"),
        (take_callable, "Unable to generate pydantic-core schema"),
        (take_field_as_default, "the Field of its parameter city belongs into Annotated"),
        (len, "cannot be given by name"),
        (dict, "no signature found"),
    ],
)
def test_an_unusable_function_is_explained(function: Callable[..., Any], problem: str) -> None:
    """A function that cannot be a tool is refused with the reason in one line."""
    with pytest.raises(UnusableFunction) as failed:
        Signature(function)

    assert problem in str(failed.value)
    assert "\n" not in str(failed.value)
