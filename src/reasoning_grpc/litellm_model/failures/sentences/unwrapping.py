"""`unwrap_sentence`: finds the provider's own sentence in the texts that gateways wrap around it.

A LiteLLM proxy puts the names of its exceptions before the sentence and its fallbacks after it; others put the whole
body of the provider into their own message, as JSON or as Python prints it.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from reasoning_grpc.litellm_model.answers import find_error
from reasoning_grpc.litellm_model.lenient import read_object, read_objects, read_text

_LONGEST_MESSAGE: Final = 8000
"""Characters of a message that are read."""
_MAX_WRAPPERS: Final = 6
_PREFIX: Final = re.compile(
    r"\s*(?:(?:litellm\.)?[A-Z][A-Za-z]{0,60}(?:Error|Exception)(?: [A-Z][A-Za-z]{0,60}(?:Error|Exception))?"
    r"\s?(?::|-)\s"
    r"|Error code: \d{3} - |An error occurred \(\w{1,60}\) when calling the \w{1,60} operation: "
    r"|Error from provider ?\([^)]{0,200}\): |Upstream error from [\w .-]{1,60}: |Error: )"
)
"""What stands before the sentence of the provider."""
_SUFFIX: Final = re.compile(r"\.?\s*(?:Received Model Group=|Available Model Group Fallbacks=|LiteLLM Retried: )")
"""The beginning of what a LiteLLM proxy adds after the sentence."""
_EMBEDDED: Final = re.compile(r"(?:^|.{0,100}?(?:- |: |\s))(?:b?['\"])?([{\[].*)", re.DOTALL)
"""A text that holds an object, and nothing but a short introduction before it."""
_PRINTED_TEXT: Final = r"""\s*:\s*(?:'((?:[^'\\]|\\.){1,4000})'|"((?:[^"\\]|\\.){1,4000})")"""
_PRINTED_MEMBERS: Final = (
    re.compile(r"""['"](?:message|msg)['"]""" + _PRINTED_TEXT, re.DOTALL),
    re.compile(r"""['"](?:error|detail)['"]""" + _PRINTED_TEXT, re.DOTALL),
)
"""The message of an object as Python prints it; the first pattern that fits holds."""
_PRINTED_LOCATION: Final = re.compile(r"""['"]loc['"]\s*:\s*[(\[]([^)\]]{1,200})""")
"""The path to a wrong value, beside such a message."""


def unwrap_sentence(message: str) -> str:
    """Returns the innermost message in a message, without what gateways add before and after it."""
    text = message[:_LONGEST_MESSAGE]
    for _ in range(_MAX_WRAPPERS):
        text = _strip_additions(text)
        inner = _find_embedded_message(text)
        if not inner:
            break
        text = inner
    return text


def _strip_additions(text: str) -> str:
    while prefix := _PREFIX.match(text):
        text = text[prefix.end() :]
    suffix = _SUFFIX.search(text)
    return (text if suffix is None else text[: suffix.start()]).strip()


def _find_embedded_message(text: str) -> str:
    """Returns the message of the object that a text consists of; empty when there is no such object."""
    embedded = _EMBEDDED.match(text)
    if embedded is None:
        return ""
    printed = embedded[1]
    end = max(printed.rfind("}"), printed.rfind("]")) + 1
    try:
        decoded: object = msgspec.json.decode(printed[:end])
    except (ValueError, RecursionError):
        return _find_printed_message(printed)
    return _read_message(decoded)


def _find_printed_message(printed: str) -> str:
    """Returns the message of an object that Python has printed, after the path to the wrong value if it has one."""
    member = next((found for pattern in _PRINTED_MEMBERS if (found := pattern.search(printed))), None)
    if member is None:
        return ""
    location = _PRINTED_LOCATION.search(printed)
    message = re.sub(r"\\(['\"\\])", r"\1", member[1] or member[2])
    return join_location([] if location is None else re.findall(r"[\w-]+", location[1]), message)


def join_location(path: Sequence[object], message: str) -> str:
    """Returns a message after the path to the value that it is about; servers begin that path with "body"."""
    names = [str(name) for name in path if name != "body"]
    return f"{'.'.join(names)}: {message}" if names and message else message


def _read_message(decoded: object) -> str:
    body = next(iter(read_objects(decoded)), {}) if isinstance(decoded, list) else read_object(decoded)
    error = find_error(body) if body else None
    if isinstance(error, list):
        error = next(iter(read_objects(error)), {})
    if isinstance(error, str):
        return error
    holder = read_object(error) or body
    return read_text(read_object(holder.get("metadata")).get("raw")) or next(
        (text for name in ("message", "msg", "error", "detail") if (text := read_text(holder.get(name)))), ""
    )
