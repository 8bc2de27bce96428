"""The small bundled model, which the server runs in a child process."""

from reasoning_grpc.embedded.attached import AttachedModel, EmbeddedUpstream
from reasoning_grpc.embedded.installation import find_installation_problem
from reasoning_grpc.embedded.launch import EmbeddedStartError
from reasoning_grpc.embedded.naming import BUNDLED_NAME, name_model
from reasoning_grpc.embedded.process import (
    DEFAULT_SYSTEM_PROMPT,
    DEFAULT_TEMPERATURE,
    EmbeddedEndpoint,
    EmbeddedModel,
)
from reasoning_grpc.embedded.schema_problems import SchemaProblem
from reasoning_grpc.embedded.schemas import find_schema_problems

__all__ = [
    "BUNDLED_NAME",
    "DEFAULT_SYSTEM_PROMPT",
    "DEFAULT_TEMPERATURE",
    "AttachedModel",
    "EmbeddedEndpoint",
    "EmbeddedModel",
    "EmbeddedStartError",
    "EmbeddedUpstream",
    "SchemaProblem",
    "find_installation_problem",
    "find_schema_problems",
    "name_model",
]
