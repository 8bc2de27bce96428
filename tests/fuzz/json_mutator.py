"""`mutate_json`: changes one thing in the JSON of an answer, which changes of single bytes mostly break."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

_ODD: Final[tuple[Any, ...]] = (
    *(None, "", [], {}, 0, 1, -1, 0.5, True, False, "x", ["x"], [[]], [{}], {"x": 1}, "é", "\ud83d", "🙂", "[DONE]"),
    *(2**31, 2**63, 2**64, -(2**63), 1e308, "1", "null", "\n\ndata: {}", "\u2028", "stop", "error", "tool_calls"),
    *({"message": "m", "code": 503}, {"type": "overloaded_error"}, {"text": "x"}, "a" * 300, [0] * 30, 0.1 + 0.2),
)
_MARK: Final = b"data: "


def mutate_json(data: bytes, random: Random, head_bytes: int) -> bytes:
    """Returns the input with one document changed, left out, repeated or moved; the head before the body stays.

    A document is the body, or what follows `data:` in one of its lines.
    """
    head, body = data[:head_bytes], data[head_bytes:]
    if body.lstrip()[:1] in (b"{", b"[") and b"\n" not in body.strip():
        return head + _change_document(body, random)
    lines = body.split(b"\n")
    places = [index for index, line in enumerate(lines) if line.startswith((_MARK, b"{"))]
    if not places:
        return head + body
    place = random.choice(places)
    match random.randrange(8):
        case 0:
            del lines[place]
        case 1:
            lines.insert(random.randrange(len(lines) + 1), lines[place])
        case 2:
            other = random.choice(places)
            lines[place], lines[other] = lines[other], lines[place]
        case 3:
            lines.insert(place + 1, random.choice(_LINES))
        case _:
            mark = _MARK if lines[place].startswith(_MARK) else b""
            lines[place] = mark + _change_document(lines[place][len(mark) :], random)
    return head + b"\n".join(lines)


_LINES: Final = (
    *(b"", b"event: error", b"event: ping", b": c", b"data:", b"data: [DONE]", b"\r", b"id: 1", b"error: {}", b"x"),
    *(b"retry: 1", b'{"error": {"code": 500}}', b"data: {", b"data: }", b"data: []", b"\xff", b'data: "\xff"'),
)


def _change_document(text: bytes, random: Random) -> bytes:
    """Returns the JSON with one value or name changed; other bytes as they are."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    root = [value]
    slots = _list_slots(root)
    container, key = random.choice(slots)
    _CHANGES[random.randrange(len(_CHANGES))](container, key, random, slots)
    return json.dumps(root[0] if root else None, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _list_slots(container: list[Any]) -> list[tuple[Any, Any]]:
    """Returns every place of a value: its container and its key or index."""
    found: list[tuple[Any, Any]] = []
    pending = [container[0]]
    while pending:
        value = pending.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
        for key in keys:
            found.append((value, key))
            pending.append(value[key])
    return found or [(container, 0)]


def _set_odd(container: Any, key: Any, random: Random, _: list[tuple[Any, Any]]) -> None:
    container[key] = random.choice(_ODD)


def _set_other(container: Any, key: Any, random: Random, slots: list[tuple[Any, Any]]) -> None:
    other, other_key = random.choice(slots)
    container[key] = json.loads(json.dumps(other[other_key]))


def _remove(container: Any, key: Any, _: Random, __: list[tuple[Any, Any]]) -> None:
    del container[key]


def _rename(container: Any, key: Any, random: Random, slots: list[tuple[Any, Any]]) -> None:
    names = [name for _, name in slots if isinstance(name, str)]
    if isinstance(container, dict) and names:
        container[random.choice(names)] = container[key]
    else:
        container[key] = [container[key]]


def _repeat(container: Any, key: Any, _: Random, __: list[tuple[Any, Any]]) -> None:
    if isinstance(container, list):
        container.append(container[key])
    else:
        container[key] = {key: container[key]}


_CHANGES: Final[tuple[Callable[[Any, Any, Random, list[tuple[Any, Any]]], None], ...]] = (
    *(_set_odd, _set_odd, _set_odd),
    *(_set_other, _remove, _rename, _repeat),
)
