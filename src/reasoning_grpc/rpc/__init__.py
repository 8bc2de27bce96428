"""The gRPC face of the service: conversion, authentication, statuses, and what is recorded of each call."""

from reasoning_grpc.rpc.admission import Admission, AdmissionLimits
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import CallInterceptor
from reasoning_grpc.rpc.service import ReasoningService
from reasoning_grpc.rpc.status import call_status

__all__ = [
    "Admission",
    "AdmissionLimits",
    "CallInterceptor",
    "CallTracker",
    "Callers",
    "Caps",
    "ReasoningService",
    "call_status",
]
