"""The small bundled model, which the server runs in a child process."""

from reasoning_grpc.embedded.installation import find_installation_problem
from reasoning_grpc.embedded.launch import EmbeddedStartError
from reasoning_grpc.embedded.process import DEFAULT_SYSTEM_PROMPT, DEFAULT_TEMPERATURE, MODEL_NAME, EmbeddedModel

__all__ = [
    "DEFAULT_SYSTEM_PROMPT",
    "DEFAULT_TEMPERATURE",
    "MODEL_NAME",
    "EmbeddedModel",
    "EmbeddedStartError",
    "find_installation_problem",
]
