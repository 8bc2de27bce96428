"""Runs the command `train-router`: fits a router to examples, and shows how good it is on those it did not see."""

import argparse
import dataclasses
import json
import sys

from reasoning_grpc.cli.eval_command import report_file_problems
from reasoning_grpc.cli.eval_view import show_routing_report
from reasoning_grpc.evaluation import Case, Outcome, build_routing_report
from reasoning_grpc.router.embedding import (
    EmbeddingUnusable,
    Example,
    InvalidExamples,
    SentenceEncoder,
    load_bundled_examples,
    parse_examples,
)
from reasoning_grpc.v1 import routing_pb2


def train(parsed: argparse.Namespace) -> int:
    """Trains a router, prints the report, and writes the file; the exit code is 0 whatever the figures are."""
    examples: list[Example] = [] if parsed.no_bundled else [*load_bundled_examples()]
    for file in parsed.files:
        try:
            examples += parse_examples(file.read_bytes())
        except InvalidExamples as error:
            return report_file_problems(str(file), error.problems, as_json=parsed.json)
        except OSError as error:
            return _report_failure(f"{file}: {error.strerror}")
    if len({example.route for example in examples}) < 2:
        return _report_failure("the examples are all of one route; a router chooses between two at least")
    try:
        encoder = SentenceEncoder()
    except EmbeddingUnusable as error:
        return _report_failure(str(error))
    # numpy, and what needs it, is there when the encoder is.
    from reasoning_grpc.router.embedding.learning import train_router

    router, training = train_router(encoder, examples, max_messages=parsed.window_messages)
    judged = zip(training.expected, training.chosen, training.confidences, strict=True)
    outcomes = [
        Outcome(
            Case(id=f"{number}", route=expected, messages=()),
            seconds=None,
            decision=routing_pb2.RouteDecision(
                route=chosen, source=routing_pb2.ROUTE_SOURCE_EMBEDDING, confidence=confidence
            ),
        )
        for number, (expected, chosen, confidence) in enumerate(judged, 1)
    ]
    report = build_routing_report(outcomes, default_route=parsed.default_route, seed=parsed.seed)
    if parsed.output is not None:
        try:
            router.write(parsed.output)
        except OSError as error:
            return _report_failure(f"{parsed.output}: {error.strerror}")
    if parsed.json:
        print(json.dumps(dataclasses.asdict(report)))
    else:
        show_routing_report(report)
    return 0


def _report_failure(text: str) -> int:
    print(f"reasoning-grpc: {text}", file=sys.stderr)
    return 1
