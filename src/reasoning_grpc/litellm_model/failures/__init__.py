"""Converts whatever goes wrong in a model call to errors of ours.

Bodies of upstreams are searched for codes and a few phrases, and never kept.
"""

from reasoning_grpc.litellm_model.failures.chain import drop_tracebacks
from reasoning_grpc.litellm_model.failures.conversion import convert_failure

__all__ = ["convert_failure", "drop_tracebacks"]
