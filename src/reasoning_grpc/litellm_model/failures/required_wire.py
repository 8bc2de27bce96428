"""`find_required_wire`: recognizes a refusal that says at which endpoint the provider takes the request.

OpenAI refuses function tools of reasoning models, and whole models, at one of its endpoints, and names the other one.
Azure and gateways do so in other words, and at times they name only the endpoint that they refuse.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from reasoning_grpc.domain import Wire

_OTHER_WIRE: Final = {"chat": "responses", "responses": "chat"}
_STATUSES: Final = frozenset({0, 400, 403, 404, 405, 422})
_LONGEST_READ: Final = 2000
_REFUSING_CODES: Final = frozenset({"unsupported_api_for_model"})
"""Codes with which a gateway refuses a model at the endpoint that its message names."""
_ENDPOINT: Final = re.compile(
    r"(?P<chat>\b(?:v1/)?chat/completions\b|\bchat[. ]?completions?\b)"
    r"|(?P<responses>\bv1/responses\b|(?<![\w/])/responses\b|\bresponses? (?:api|endpoint|operation)\b)"
    r"|\b(?:v1/)?(?P<other>(?<=v1/)(?:embeddings|realtime|interactions|messages|moderations|videos|completions"
    r"|(?:images|audio)/[a-z]+)\b|completions?(?= (?:api|endpoint|operation)\b))",
    re.IGNORECASE,
)
"""The names of endpoints."""
_CLAUSE_END: Final = re.compile(r"[.,;!?]\s")
_NEGATED: Final = re.compile(
    r"\b(?:not|never|cannot|unsupported|unavailable|instead of|rather than|no longer|without)\b|n't\b", re.IGNORECASE
)
_NEGATED_AFTER: Final = re.compile(
    r"\W{0,3}(?:(?:api|endpoint|operation|requests?|models?)\b\W{0,3})?"
    r"(?:(?:is|are|was|were|does|do|did|has|can)(?: not\b|n't\b)|cannot\b|is unsupported\b|(?:is|are) no longer\b)",
    re.IGNORECASE,
)
_REQUIRED: Final = re.compile(
    r"\b(?:use|try|call|switch|mean|only|exclusively|requires?|required|must|needs?|migrate|move|moved"
    r"|supported endpoints?"
    r"|(?:available|accessible|supported|served|offered|reachable) (?:in|at|by|via|through|on|with|under|from))\b",
    re.IGNORECASE,
)
_MODEL: Final = re.compile(r"\bmodel\b", re.IGNORECASE)
_FAULT_OF_PARAMETER: Final = re.compile(
    r"\s*(?:unsupported|unknown|invalid) (?:parameter|value|argument)", re.IGNORECASE
)
_WORDS_OF_VLLM: Final = "the model does not support chat completions api"
"""vLLM says so of models that generate no text at all."""


def find_required_wire(status: int, codes: Collection[str], sentence: str, used_wire: Wire = Wire.CHAT) -> str:
    """Returns the wire on which the provider would take a refused request; empty if it says nothing of the kind.

    An endpoint that is no wire of this server has its own name. `codes` are those of the error's body, and `used_wire`
    is the wire of the request.
    """
    text = sentence[:_LONGEST_READ]
    if status not in _STATUSES or text.lower().startswith(_WORDS_OF_VLLM):
        return ""
    used, required, refused = used_wire.value.lower(), list[str](), list[str]()
    for endpoint, before, after in _find_endpoints(text):
        if _NEGATED.search(before) or _NEGATED_AFTER.match(after):
            refused.append(endpoint)
        elif _REQUIRED.search(before):
            required.append(endpoint)
    named = next((endpoint for endpoint in required if endpoint != used and endpoint not in refused), "")
    if named:
        return named
    is_about_model = _MODEL.search(text) is not None and _FAULT_OF_PARAMETER.match(text) is None
    if used in refused and not required and (is_about_model or _REFUSING_CODES & frozenset(codes)):
        return _OTHER_WIRE[used]
    return ""


def _find_endpoints(text: str) -> Iterator[tuple[str, str, str]]:
    """Yields each endpoint that a text names, with the words of the same clause before it, and the text after it."""
    end = 0
    for match in _ENDPOINT.finditer(text):
        before = _CLAUSE_END.split(text[end : match.start()])[-1]
        end = match.end()
        yield (match.lastgroup if match.lastgroup != "other" else match["other"].lower()) or "", before, text[end:]
