"""`PauseMemory`: what a server remembers of its pauses beyond one configuration."""

import os
from dataclasses import dataclass, field

from reasoning_grpc.domain import UsedStates
from reasoning_grpc.pauses.keys import KEY_BYTES
from reasoning_grpc.pauses.used_states import MemoryUsedStates


@dataclass(frozen=True, slots=True)
class PauseMemory:
    """The key that a server makes for itself, and the states that have gone on.

    The workers of a server share one, which their supervisor makes before it forks them.
    """

    own_key: bytes = field(default_factory=lambda: os.urandom(KEY_BYTES), repr=False)
    """The key that seals where the configuration names no keys. It stays in the memory of these processes."""
    used_states: UsedStates = field(default_factory=MemoryUsedStates)
