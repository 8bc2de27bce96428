"""`OllamaObserver`: observes answers of Ollama's own API that litellm reads."""

import uuid
from dataclasses import dataclass

from reasoning_grpc.litellm_model.answers import MalformedAnswer
from reasoning_grpc.litellm_model.lenient import Json, read_list, read_object
from reasoning_grpc.litellm_model.protocols.observer import Observer


@dataclass(slots=True)
class OllamaObserver(Observer):
    """Observes answers to POST /api/chat and /api/generate: objects, the last of which has `done`.

    Each call comes whole, perhaps in an event of its own. litellm would take all calls for one, so each
    gets an id and an index.
    """

    knows_protocol = True
    _calls: int = 0

    def _observe(self, answer: Json) -> list[Json]:
        if not isinstance(answer.get("done"), bool):
            raise MalformedAnswer("an event does not say whether it is the last")
        message = read_object(answer.get("message"))
        for text in (message.get("content"), answer.get("response")):
            if not (isinstance(text, str) and "think>" in text):  # litellm takes what follows such a tag for reasoning
                self._record_text(text)
        for call in filter(None, map(read_object, read_list(message.get("tool_calls")))):
            call |= {"id": call.get("id") or f"call_{uuid.uuid4().hex}", "index": self._calls}
            self._calls += 1
        if answer["done"]:
            self.is_ended = True
            self._record_finish(answer.get("done_reason") or "stop")
            self.usage = {
                "prompt_tokens": answer.get("prompt_eval_count"),
                "completion_tokens": answer.get("eval_count"),
            }
        return [answer]
