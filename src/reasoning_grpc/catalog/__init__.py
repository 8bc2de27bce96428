"""The models that requests can name, and their sources: configuration, LiteLLM proxy, embedded model."""

from reasoning_grpc.catalog.callers_keys import (
    find_key_problems,
    has_own_key_for_listed_models,
    list_models_with_own_key,
)
from reasoning_grpc.catalog.configured import (
    ConfiguredModel,
    find_entry_problems,
    find_listed_facts,
    find_provider_problem,
    find_proxy_problem,
    find_way,
    find_wire,
    is_untested,
)
from reasoning_grpc.catalog.embedded_entry import EmbeddedEntry, find_embedded_name
from reasoning_grpc.catalog.proxy import ProxyModels
from reasoning_grpc.catalog.proxy_listing import ProxyListing
from reasoning_grpc.catalog.sources import KnownModels, ModelSourceReader
from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.catalog.traced_listing import TracedListing

__all__ = [
    "ConfiguredModel",
    "EmbeddedEntry",
    "KnownModels",
    "ModelSourceReader",
    "ModelTable",
    "ProxyListing",
    "ProxyModels",
    "TracedListing",
    "find_embedded_name",
    "find_entry_problems",
    "find_key_problems",
    "find_listed_facts",
    "find_provider_problem",
    "find_proxy_problem",
    "find_way",
    "find_wire",
    "has_own_key_for_listed_models",
    "is_untested",
    "list_models_with_own_key",
]
