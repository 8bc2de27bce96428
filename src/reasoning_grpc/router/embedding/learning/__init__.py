"""What learns routes from examples. It imports numpy, so the server imports it only when the embedding is used."""

from reasoning_grpc.router.embedding.learning.logistic import softmax
from reasoning_grpc.router.embedding.learning.trained import TrainedRouter, read_trained_router
from reasoning_grpc.router.embedding.learning.training import TrainingReport, encode_described, train_router

__all__ = [
    "TrainedRouter",
    "TrainingReport",
    "encode_described",
    "read_trained_router",
    "softmax",
    "train_router",
]
