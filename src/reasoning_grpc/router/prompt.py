"""`ClassifierPrompt`: how a model is asked for the route of a conversation."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from reasoning_grpc.domain import Message, ModelInfo, ModelSourceKind, Part, Role, Text
from reasoning_grpc.router.routes import Route

ROUTES_PLACE: Final = "{routes}"
"""Where the names and descriptions of the routes stand in a prompt."""
_PACKAGE: Final = "reasoning_grpc.router"


@dataclass(frozen=True, slots=True)
class ClassifierPrompt:
    """What the classifier's model is told before it sees the conversation."""

    text: str
    """With the routes put in at `ROUTES_PLACE`."""
    examples: tuple[tuple[str, str], ...] = ()
    """Conversations, and their routes: for the embedded model, which without them nearly always answers the same."""

    def messages(self, routes: Sequence[Route], model: ModelInfo) -> Iterator[Message]:
        """The messages that go before the conversation."""
        listed = "\n".join(f"- {route.name}: {route.description}" for route in routes)
        yield _message(Role.SYSTEM, self.text.replace(ROUTES_PLACE, listed))
        # Of other routes they tell nothing, and larger models need none.
        if model.source is ModelSourceKind.EMBEDDED and {name for _, name in self.examples} == {
            route.name for route in routes
        }:
            for window, name in self.examples:
                yield shown(window)
                yield _message(Role.ASSISTANT, json.dumps({"route": name}))


def shown(window: str) -> Message:
    """The conversation as the model is shown it."""
    return _message(Role.USER, f"<conversation>\n{window}\n</conversation>")


def shipped_prompt() -> ClassifierPrompt:
    """The prompt in the package."""
    examples = map(json.loads, _packaged("classifier_examples.jsonl").splitlines())
    return ClassifierPrompt(_packaged("classifier_prompt.txt"), tuple(map(_example, examples)))


def _example(entry: dict[str, Any]) -> tuple[str, str]:
    lines = (json.dumps(message, ensure_ascii=False) for message in entry["messages"])
    return "\n".join(lines), entry["route"]


def _packaged(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text("utf-8").strip()


def _message(role: Role, text: str) -> Message:
    return Message(role, (Part(Text(text)),))
