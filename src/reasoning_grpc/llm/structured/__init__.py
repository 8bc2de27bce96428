"""A typed answer from a model: schema out, strict parse, one repair."""

from reasoning_grpc.llm.structured.answer import Answered, Unanswered
from reasoning_grpc.llm.structured.events import structured_events
from reasoning_grpc.llm.structured.schema import BOOLEAN, STRING, Schema, Shape, array_of, object_of, one_of

__all__ = [
    "BOOLEAN",
    "STRING",
    "Answered",
    "Schema",
    "Shape",
    "Unanswered",
    "array_of",
    "object_of",
    "one_of",
    "structured_events",
]
