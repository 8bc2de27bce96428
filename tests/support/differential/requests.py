"""The requests of the differential test: each field alone with several values, and sensible pairs."""

from collections.abc import Iterable
from typing import Final

from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from tests.support.differential.case import Case, merge
from tests.support.differential.conversations import CONVERSATIONS, ITEM_CONVERSATIONS
from tests.support.differential.pairs import list_conversation_pairs, list_model_pairs, list_provider_pairs
from tests.support.differential.targets import Scope, Target
from tests.support.differential.values import BUDGETS, EFFORTS, FEW_SCHEMAS, PARAMETERS, SCHEMAS


def _build_cases(requests: Iterable[tuple[str, CompleteRequest]]) -> tuple[Case, ...]:
    return tuple(Case(name=name, request=merge(request)) for name, request in requests)


MODEL_CASES: Final = _build_cases({**PARAMETERS, **dict(list_model_pairs())}.items())
AMOUNT_CASES: Final = _build_cases({**EFFORTS, **BUDGETS}.items())
PROVIDER_CASES: Final = tuple(
    case for case in _build_cases(list_provider_pairs()) if case.name not in {each.name for each in MODEL_CASES}
)
CONVERSATION_CASES: Final = _build_cases(CONVERSATIONS.items())
CONVERSATION_PAIR_CASES: Final = _build_cases(list_conversation_pairs())
SCHEMA_CASES: Final = _build_cases(SCHEMAS.items())
FEW_SCHEMA_CASES: Final = _build_cases(FEW_SCHEMAS.items())
ITEM_CASES: Final = _build_cases(ITEM_CONVERSATIONS.items())
PLAIN_CASES: Final = (*MODEL_CASES, *CONVERSATION_CASES)
PAIR_CASES: Final = (*PLAIN_CASES, *PROVIDER_CASES, *CONVERSATION_PAIR_CASES)
ALL_CASES: Final = (*PAIR_CASES, *SCHEMA_CASES, *ITEM_CASES)


def list_cases(target: Target) -> tuple[Case, ...]:
    """Returns the requests for a model."""
    return _list_cases(target.scope) + (ITEM_CASES if target.has_responses else ())


def _list_cases(scope: Scope) -> tuple[Case, ...]:
    match scope:
        case Scope.AMOUNT:
            return AMOUNT_CASES
        case Scope.MODEL:
            return MODEL_CASES
        case Scope.PLAIN:
            return (*PLAIN_CASES, *FEW_SCHEMA_CASES)
        case Scope.FEW_SCHEMAS:
            return (*PAIR_CASES, *FEW_SCHEMA_CASES)
        case _:
            return (*PAIR_CASES, *SCHEMA_CASES)
