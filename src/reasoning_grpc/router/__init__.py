"""The router: decides which path and model serve a request, and says why."""

from reasoning_grpc.router.classifier import Classifier, EventCallback, ModelClassifier
from reasoning_grpc.router.prompt import ROUTES_PLACEHOLDER, ClassifierPrompt, load_classifier_prompt
from reasoning_grpc.router.router import Router
from reasoning_grpc.router.routes import Routes
from reasoning_grpc.router.rules import build_rule
from reasoning_grpc.router.traced import TracedClassifier

__all__ = [
    "ROUTES_PLACEHOLDER",
    "Classifier",
    "ClassifierPrompt",
    "EventCallback",
    "ModelClassifier",
    "Router",
    "Routes",
    "TracedClassifier",
    "build_rule",
    "load_classifier_prompt",
]
