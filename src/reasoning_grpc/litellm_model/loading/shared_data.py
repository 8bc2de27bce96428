"""`share_data`: litellm's large tables, kept once or loaded when they are first used.

Measured on litellm 1.106.2: it keeps its price map three times, a tokenizer of Claude's as JSON and as the text of that
JSON, and with many providers each first call loads a tokenizer of OpenAI's, which takes 40 MB and which no call uses.
"""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from reasoning_grpc.litellm_model.loading.put_off import Promise
from reasoning_grpc.litellm_model.prices.price_table import PriceTable

logger = logging.getLogger("reasoning_grpc.litellm")


def share_data(litellm: Any, prices: Mapping[str, msgspec.Raw]) -> None:
    """Makes litellm use the price map that we have read from its package, and load its tokenizer when it uses it.

    A version of litellm that keeps them elsewhere stays as it is, and the log warns.
    """
    try:
        from litellm._lazy_imports import get_default_encoding
        from litellm.litellm_core_utils.get_model_cost_map import GetModelCostMap
    except ImportError as exc:
        logger.warning("litellm's tables are kept several times, which takes memory", extra={"error": str(exc)})
        return
    litellm.model_cost = PriceTable.compact(litellm.model_cost, prices)
    bundled = PriceTable(prices)
    GetModelCostMap._loaded_catalog = MappingProxyType(bundled)
    litellm.utils.get_bundled_model_cost_map = litellm.utils._get_bundled_model_cost_map = lambda: bundled
    litellm.utils.__dict__.pop("json_data", None)
    litellm.main.encoding = Promise(get_default_encoding)
