"""Converts the JSON of an answer, whatever its shape, to our deltas, finish reason and usage.

Every optional field may be missing, null or of another type. Such a field counts as absent, with one exception:
where text of the answer would be lost, the answer is malformed. Chunks with a `delta` are read, and so is a whole
`message`.
"""

from reasoning_grpc.litellm_model.answers.choices import select_choice, select_delta
from reasoning_grpc.litellm_model.answers.content import read_parts
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import check_finish_word
from reasoning_grpc.litellm_model.answers.gemini_reader import GeminiReader
from reasoning_grpc.litellm_model.answers.generations import GenerationCheck
from reasoning_grpc.litellm_model.answers.joining import join_deltas
from reasoning_grpc.litellm_model.answers.json_events import decode_event
from reasoning_grpc.litellm_model.answers.json_tool_reader import JsonToolReader
from reasoning_grpc.litellm_model.answers.message_blocks import read_blocks, write_input
from reasoning_grpc.litellm_model.answers.message_counts import MessageCounts
from reasoning_grpc.litellm_model.answers.message_order import MessageOrder
from reasoning_grpc.litellm_model.answers.messages_reader import MessagesReader
from reasoning_grpc.litellm_model.answers.reader import AnswerReader
from reasoning_grpc.litellm_model.answers.record import AnswerRecord
from reasoning_grpc.litellm_model.answers.reported_errors import (
    CODE_FIELDS,
    TYPE_FIELDS,
    ErrorEvent,
    NamedEvent,
    decode_part,
    find_error,
    read_choice,
)
from reasoning_grpc.litellm_model.answers.responses_reader import ResponsesReader
from reasoning_grpc.litellm_model.answers.tool_calls import find_calls, normalize_call
from reasoning_grpc.litellm_model.answers.usage import find_usage, merge_usage

__all__ = [
    "CODE_FIELDS",
    "TYPE_FIELDS",
    "AnswerReader",
    "AnswerRecord",
    "ErrorEvent",
    "ErrorInAnswer",
    "GeminiReader",
    "GenerationCheck",
    "JsonToolReader",
    "MalformedAnswer",
    "MessageCounts",
    "MessageOrder",
    "MessagesReader",
    "NamedEvent",
    "ResponsesReader",
    "check_finish_word",
    "decode_event",
    "decode_part",
    "find_calls",
    "find_error",
    "find_usage",
    "join_deltas",
    "merge_usage",
    "normalize_call",
    "read_blocks",
    "read_choice",
    "read_parts",
    "select_choice",
    "select_delta",
    "write_input",
]
