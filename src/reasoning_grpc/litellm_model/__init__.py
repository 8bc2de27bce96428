"""The adapter: a `LanguageModel` through litellm. The one package that imports litellm.

request.py     our ModelCall -> the arguments of `litellm.acompletion`
library.py     litellm itself: imported late, quiet, without its own retries and callbacks
wire.py        the HTTP of our calls: one pool of connections, one exchange a call
sse.py         bytes of an event stream -> the JSON text of its events
answers.py     that JSON, whatever its shape -> our deltas
failures.py    whatever went wrong -> our errors: the table
observer.py     what the upstream itself says in an answer that litellm reads
relay.py       the events of an exchange, for our reader and for litellm's
clients.py     what litellm takes for its HTTP client
own_wire.py    the answer as we read it
plain.py       the answer as litellm reads it
providers.py   litellm's providers, and which way their calls go
token_prices.py, model_facts.py  what litellm says of a model -> our prices and facts
price_map.py   PriceMap: the list of models in litellm's package
refusals.py    what litellm would leave out of a request, or fetch: refused
call.py        LiteLLMCall: one call, sent, and read by us or by litellm
adapter.py     LiteLLMModel: calls with their ends
"""

from reasoning_grpc.litellm_model.adapter import LiteLLMModel
from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts
from reasoning_grpc.litellm_model.prices.price_map import PriceMap, installed_price_map, listed_name
from reasoning_grpc.litellm_model.transport.exchange import WireLimits

__all__ = [
    "LiteLLMModel",
    "ModelFacts",
    "PriceMap",
    "WireLimits",
    "installed_price_map",
    "listed_name",
]
