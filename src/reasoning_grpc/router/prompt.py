"""`ClassifierPrompt`: the messages that ask a model for the route of a conversation."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from reasoning_grpc.domain import Message, ModelInfo, ModelSourceKind, Part, Role, Text
from reasoning_grpc.router.routes import Route

ROUTES_PLACEHOLDER: Final = "{routes}"
"""The place in a prompt where the names and descriptions of the routes are inserted."""
_PACKAGE: Final = "reasoning_grpc.router"


@dataclass(frozen=True, slots=True)
class ClassifierPrompt:
    """The instructions of the classifier's model, and examples for small models."""

    text: str
    """The system message, with `ROUTES_PLACEHOLDER` in it."""
    examples: tuple[tuple[str, str], ...] = ()
    """Pairs of a conversation and its route. Only the embedded model gets them: without them it nearly always gives the
    same answer."""

    def messages(self, routes: Sequence[Route], model: ModelInfo) -> Iterator[Message]:
        """Yields the messages that precede the conversation."""
        listed = "\n".join(f"- {route.name}: {route.description}" for route in routes)
        yield _message(Role.SYSTEM, self.text.replace(ROUTES_PLACEHOLDER, listed))
        # Larger models need none. A route without an example among those that have some is as good as never chosen.
        names = {route.name for route in routes}
        if model.source is ModelSourceKind.EMBEDDED and names.issuperset(name for _, name in self.examples):
            for window, name in self.examples:
                yield conversation_message(window)
                yield _message(Role.ASSISTANT, json.dumps({"route": name}))


def conversation_message(window: str) -> Message:
    """Returns the message that shows the model a conversation, as data between tags."""
    return _message(Role.USER, f"<conversation>\n{window}\n</conversation>")


def load_classifier_prompt() -> ClassifierPrompt:
    """Reads the prompt and the examples that the package contains."""
    examples = map(json.loads, _read_file("classifier_examples.jsonl").splitlines())
    return ClassifierPrompt(_read_file("classifier_prompt.txt"), tuple(map(_parse_example, examples)))


def _parse_example(entry: dict[str, Any]) -> tuple[str, str]:
    lines = (json.dumps(message, ensure_ascii=False) for message in entry["messages"])
    return "\n".join(lines), entry["route"]


def _read_file(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text("utf-8").strip()


def _message(role: Role, text: str) -> Message:
    return Message(role, (Part(Text(text)),))
