"""Keeps the inputs that take ways through our code which no other input takes."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import reasoning_grpc
from tests.fuzz.runs import Run, write_inputs
from tests.fuzz.targets import CORPUS, TARGETS

_OURS: Final = str(Path(reasoning_grpc.__file__).parent)
Step = tuple[str, int, int]
"""A step from one line of a file to another."""


def keep_new_inputs(run: Run) -> int:
    """Writes the corpus of the target anew, with the fewest inputs beyond the seeds; returns how many are new.

    Small inputs win over larger ones that take no other steps. How often a step is taken does not count, so that the
    corpus stays small.
    """
    target, corpus = TARGETS[run.name], CORPUS / run.name
    seen = set[Step]()
    for seed in target.list_seeds():
        seen |= find_steps(target.run, seed)
    known = {path.name for path in corpus.iterdir()}
    inputs = {path.read_bytes() for folder in (corpus, run.folder / "found") for path in folder.iterdir()}
    kept = list[bytes]()
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        steps = find_steps(target.run, data)
        if not steps <= seen:
            seen |= steps
            kept.append(data)
    for path in corpus.iterdir():
        path.unlink()
    write_inputs(corpus, kept)
    return len({path.name for path in corpus.iterdir()} - known)


def find_steps(run: Callable[[bytes], None], data: bytes) -> set[Step]:
    """Returns the steps that an input takes through our code."""
    steps = set[Step]()

    def trace_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS):
            return None
        last = 0

        def trace_line(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event == "line":
                steps.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return trace_line

        return trace_line

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        run(data)
    finally:
        sys.settrace(before)
    return steps
