"""The adapter: a `LanguageModel` through litellm. The one package that imports litellm.

request.py     our ModelCall -> the arguments of `litellm.acompletion`
library.py     litellm itself: imported late, quiet, without its own retries and callbacks
wire.py        our own HTTP client, which litellm is given through its `client=` parameter
sse.py         bytes of an event stream -> the JSON text of its events
answers.py     that JSON, whatever its shape -> our deltas
failures.py    whatever went wrong -> our errors: the table
token_prices.py, model_facts.py  what litellm says of a model -> our prices and facts
price_map.py   PriceMap: the list of models in litellm's package
adapter.py     LiteLLMModel: the pieces above, joined
"""

from reasoning_grpc.litellm_model.adapter import LiteLLMModel
from reasoning_grpc.litellm_model.model_facts import ModelFacts
from reasoning_grpc.litellm_model.price_map import PriceMap, installed_price_map, listed_name
from reasoning_grpc.litellm_model.wire import OWN_WIRE_API_BASES, WireLimits

__all__ = [
    "OWN_WIRE_API_BASES",
    "LiteLLMModel",
    "ModelFacts",
    "PriceMap",
    "WireLimits",
    "installed_price_map",
    "listed_name",
]
