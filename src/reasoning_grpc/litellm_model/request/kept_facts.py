"""`keep_by_deployment`: keeps the facts that depend only on a deployment's model and server, not on a call."""

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Final, TypeVar, TypeVarTuple

from reasoning_grpc.domain import Deployment

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_MOST_FACTS: Final = 4096


def keep_by_deployment(find: Callable[[Deployment, *_Ts], _T]) -> Callable[[Deployment, *_Ts], _T]:
    """Returns the function with a memory of its results, by `Deployment.model_and_server` and its other arguments.

    It must read nothing else of a deployment than what this key consists of.
    """
    kept: dict[Hashable, _T] = {}

    @wraps(find)
    def find_kept(deployment: Deployment, *args: *_Ts) -> _T:
        key = (deployment.model_and_server, args)
        try:
            return kept[key]
        except KeyError:
            pass
        if len(kept) >= _MOST_FACTS:  # a proxy may list thousands of models, and change the list
            kept.clear()
        found = kept[key] = find(deployment, *args)
        return found

    return find_kept
