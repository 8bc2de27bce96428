"""Typed answers of a model: a schema in the request, a strict parser, and one repair."""

from reasoning_grpc.llm.structured.answer import FlawedAnswer, TypedAnswer
from reasoning_grpc.llm.structured.events import stream_requested_answer, stream_structured_answer
from reasoning_grpc.llm.structured.request import AnswerRequest, build_answer_request
from reasoning_grpc.llm.structured.schema import BOOLEAN, STRING, Schema, Shape, array_of, object_of, one_of

__all__ = [
    "BOOLEAN",
    "STRING",
    "AnswerRequest",
    "FlawedAnswer",
    "Schema",
    "Shape",
    "TypedAnswer",
    "array_of",
    "build_answer_request",
    "object_of",
    "one_of",
    "stream_requested_answer",
    "stream_structured_answer",
]
