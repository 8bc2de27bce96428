"""Runs that wait for their callers: their sealed states, and what a request must bring to go on with one."""

from reasoning_grpc.pauses.keys import KEY_BYTES, SealingKeys
from reasoning_grpc.pauses.memory import PauseMemory
from reasoning_grpc.pauses.pauses import OpenedPause, Pauses
from reasoning_grpc.pauses.used_states import MemoryUsedStates

__all__ = [
    "KEY_BYTES",
    "MemoryUsedStates",
    "OpenedPause",
    "PauseMemory",
    "Pauses",
    "SealingKeys",
]
