"""Which error of ours an exception of litellm becomes, where nothing more certain is known."""

from typing import Final

import pytest

from reasoning_grpc.domain import errors
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.failures.litellm_errors import BY_LITELLM_CLASS
from tests.support.failures import SECRET, STATUSES, Json, convert, make_litellm_error


def test_every_exception_of_litellm_has_a_row() -> None:
    """The table has each exception class of the installed litellm, and no class that litellm no longer has."""
    exceptions = library.import_litellm().exceptions
    own = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == exceptions.__name__
    }

    assert own == BY_LITELLM_CLASS.keys()


ODD_ATTRIBUTES: Final[dict[str, Json]] = {
    "absent": {},
    "of-another-type": {
        "status_code": "x",
        "message": None,
        "litellm_response_headers": 7,
        "response": 7,
        "original_exception": SECRET,
    },
    "other-odd-ones": {"status_code": [], "message": {SECRET: 7}, "litellm_response_headers": None, "body": SECRET},
    "status-of-5000-digits": {"status_code": "9" * 5000, "message": 7},
    "status-huge": {"status_code": 10**400},
    "status-true": {"status_code": True},
    "status-of-success": {"status_code": 200, "message": SECRET},
}


@pytest.mark.parametrize("attributes", ODD_ATTRIBUTES.values(), ids=ODD_ATTRIBUTES.keys())
@pytest.mark.parametrize("name", BY_LITELLM_CLASS)
def test_each_exception_of_litellm_is_converted_by_its_class(name: str, attributes: Json) -> None:
    """An exception of litellm is converted by its class, whatever its attributes.

    A class that says nothing is a failure.
    """
    error = convert(make_litellm_error(name, **attributes), is_upstream_reached=False)

    assert type(error) is (BY_LITELLM_CLASS[name] or errors.UpstreamFailed)
    assert not error.is_upstream_reached
    assert error.violations == ()


@pytest.mark.parametrize("as_text", [False, True], ids=["number", "text"])
@pytest.mark.parametrize("status", [status for status in STATUSES if status >= 400], ids=str)
@pytest.mark.parametrize("name", [name for name, row in BY_LITELLM_CLASS.items() if row is None])
def test_a_class_that_says_nothing_goes_by_its_status(name: str, status: int, as_text: bool) -> None:
    """For classes that say nothing, such as APIError for 402, 403 and 409, the status decides."""
    error = convert(make_litellm_error(name, status_code=str(status) if as_text else status, message=SECRET))

    assert type(error) is STATUSES[status]
    assert error.http_status == status


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("openai does not support parameters: ['thinking'], for model=fake.", ["reasoning.budget_tokens"]),
        (
            "x does not support parameters: ['seed', 'stop'], for model=stop.",
            ["sampling.seed", "sampling.stop_sequences"],
        ),
        ("O-series models don't support temperature=0. Only temperature=1 is supported.", ["sampling.temperature"]),
        ("reasoning_effort=none is not supported for x.", ["reasoning.effort"]),
        (f"does not support '{SECRET}', {SECRET}=1", []),
        ("", []),
    ],
    ids=["one", "two", "value", "effort", "none-of-ours", "empty"],
)
def test_parameters_that_litellm_refuses_become_fields(message: str, fields: list[str]) -> None:
    """Parameters that litellm names in a refusal become fields of our request."""
    error = convert(make_litellm_error("UnsupportedParamsError", message=f"litellm.UnsupportedParamsError: {message}"))

    assert type(error) is errors.UpstreamParameterUnsupported
    assert error.violations == tuple(FieldViolation(field, "The model does not take it.") for field in fields)
