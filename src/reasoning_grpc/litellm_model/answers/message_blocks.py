"""Reads the blocks in which a message of Anthropic's has its content."""

import json

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer
from reasoning_grpc.litellm_model.lenient import Json, read_object, read_objects


def read_blocks(content: object) -> list[Json]:
    """Returns the blocks of a message; some servers write one text. Raises MalformedAnswer for anything else."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if content and not (isinstance(content, list) and all(isinstance(block, dict) for block in content)):
        raise MalformedAnswer("the content of a message is not a list of blocks")
    return read_objects(content)


def write_input(value: object) -> str:
    """Returns the arguments of a call as JSON; some servers write a text, which is that JSON."""
    return value if isinstance(value, str) and value else json.dumps(read_object(value))
