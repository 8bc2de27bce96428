"""In which form a typed answer is requested of a model."""

from typing import Final

import pytest

from reasoning_grpc.domain import (
    Capability,
    ModelInfo,
    Part,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
)
from tests.support.factories import a_call, a_message
from tests.support.models import ScriptedModel, a_model, script_answer
from tests.support.typed_answers import CHOICE, GOOD, collect, list_texts

SCHEMA_FORMAT: Final = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "choice", CHOICE.text, strict=True)
OBJECT_FORMAT: Final = ResponseFormat(ResponseFormatKind.JSON_OBJECT)
JSON_SCHEMA: Final = frozenset({Capability.JSON_SCHEMA})
JSON_OBJECT: Final = frozenset({Capability.JSON_OBJECT})


@pytest.mark.parametrize(
    ("models", "response_format"),
    [
        pytest.param([a_model(capabilities=JSON_SCHEMA)], SCHEMA_FORMAT, id="schema"),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA, missing_capabilities=JSON_OBJECT)], SCHEMA_FORMAT, id="schema alone"
        ),
        pytest.param([a_model(capabilities=JSON_OBJECT)], OBJECT_FORMAT, id="object"),
        pytest.param([a_model(missing_capabilities=JSON_SCHEMA)], OBJECT_FORMAT, id="no schema"),
        pytest.param([a_model()], OBJECT_FORMAT, id="nothing known"),
        pytest.param([a_model(missing_capabilities=JSON_OBJECT | JSON_SCHEMA)], None, id="neither"),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA), a_model(name="other", capabilities=JSON_OBJECT)],
            OBJECT_FORMAT,
            id="fallback without schema",
        ),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA), a_model(name="other", missing_capabilities=JSON_OBJECT)],
            None,
            id="fallback without both",
        ),
    ],
)
async def test_the_form_of_the_schema(models: list[ModelInfo], response_format: ResponseFormat | None) -> None:
    """The schema has the strongest form that the model and its fallbacks take.

    It is in the prompt unless it is enforced.
    """
    model = ScriptedModel(script_answer(GOOD), models=models)
    call = a_call(
        messages=(a_message("You route.", Role.SYSTEM), a_message()), fallback_models=tuple(m.name for m in models[1:])
    )

    await collect(model, call)

    (sent,) = model.calls
    system, user = list_texts(sent)
    assert sent.response_format == response_format
    assert user == (Role.USER, "hi")
    if response_format == SCHEMA_FORMAT:
        assert system == (Role.SYSTEM, "You route.")
    else:
        instruction = f"Answer with one JSON object of this JSON schema, and nothing else: {CHOICE.text}"
        assert system == (Role.SYSTEM, f"You route.\n\n{instruction}")


async def test_a_conversation_without_a_system_message() -> None:
    """A conversation without a system message gets one where the schema must be in the prompt."""
    model = ScriptedModel(script_answer(GOOD))

    await collect(model)

    roles = [role for role, _ in list_texts(model.calls[0])]
    assert roles == [Role.SYSTEM, Role.USER]
    assert CHOICE.text in list_texts(model.calls[0])[0][1]


async def test_the_system_message_keeps_its_parts() -> None:
    """The schema follows the last part of the system message, and the mark for a cache stays."""
    system = a_message("", Role.SYSTEM)
    parts = (Part(Text("One.")), Part(Text("Two."), cache=True))
    model = ScriptedModel(script_answer(GOOD))

    await collect(model, a_call(messages=(type(system)(Role.SYSTEM, parts), a_message())))

    one, two = model.calls[0].messages[0].content
    assert (one, two.cache) == (parts[0], True)
    assert isinstance(two.content, Text)
    assert two.content.text.startswith("Two.\n\nAnswer with")


REASONING: Final = frozenset({Capability.REASONING, Capability.JSON_SCHEMA})


@pytest.mark.parametrize(
    ("models", "requested", "sent"),
    [
        pytest.param([a_model(capabilities=JSON_SCHEMA)], Sampling(), (0.0, 1024), id="known"),
        pytest.param([a_model()], Sampling(), (None, 1024), id="unknown"),
        pytest.param([a_model(capabilities=REASONING)], Sampling(), (None, 1024), id="reasons"),
        pytest.param([a_model(max_output_tokens=500)], Sampling(), (None, 500), id="short answers"),
        pytest.param([a_model(max_output_tokens=5000)], Sampling(), (None, 1024), id="long answers"),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA), a_model(name="other", max_output_tokens=500)],
            Sampling(),
            (None, 500),
            id="fallback",
        ),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA, max_output_tokens=500)],
            Sampling(temperature=0.7, max_output_tokens=64),
            (0.7, 64),
            id="requested",
        ),
    ],
)
async def test_defaults_of_sampling(
    models: list[ModelInfo], requested: Sampling, sent: tuple[float | None, int | None]
) -> None:
    """Temperature 0 is sent where any is known to be taken, with a limit of tokens; a call may have other values."""
    model = ScriptedModel(script_answer(GOOD), models=models)

    await collect(model, a_call(sampling=requested, fallback_models=tuple(m.name for m in models[1:])))

    sampling = model.calls[0].sampling
    assert (sampling.temperature, sampling.max_output_tokens) == sent
