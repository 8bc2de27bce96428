"""Which path and model serve a request, and why."""

from reasoning_grpc.router.classifier import Classifier, Classifying, Listener
from reasoning_grpc.router.prompt import ROUTES_PLACE, ClassifierPrompt, shipped_prompt
from reasoning_grpc.router.router import Router
from reasoning_grpc.router.routes import Routes
from reasoning_grpc.router.rules import configured_rule
from reasoning_grpc.router.traced import TracedClassifier

__all__ = [
    "ROUTES_PLACE",
    "Classifier",
    "ClassifierPrompt",
    "Classifying",
    "Listener",
    "Router",
    "Routes",
    "TracedClassifier",
    "configured_rule",
    "shipped_prompt",
]
