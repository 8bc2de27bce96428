"""An answer as a person sees it."""

import io

import pytest
from rich.console import Console

from reasoning_grpc.cli.answer_view import AnswerView
from reasoning_grpc.v1 import events_pb2

STEERING = "a\x1b[31mb\x1b]0;owned\x07\u202ec\n\td"


def _shown(*, is_terminal: bool) -> str:
    """What the view writes of a text that would steer a terminal."""
    out = io.StringIO()
    view = AnswerView(answer=Console(file=out, force_terminal=is_terminal, color_system=None, soft_wrap=True))
    view.show(events_pb2.StreamCompleteResponse(content_delta=events_pb2.ContentDelta(text=STEERING)))
    return out.getvalue()


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\u202e"], ids=["escape", "bell", "right-to-left"])
def test_a_model_cannot_steer_the_terminal(character: str) -> None:
    """Control characters do not reach a terminal; line feeds and tabs do."""
    shown = _shown(is_terminal=True)

    assert character not in shown
    assert "\n" in shown


def test_a_pipe_gets_the_escapes_as_they_are() -> None:
    """What is no terminal gets the text itself."""
    assert "\x1b[31mb" in _shown(is_terminal=False)
