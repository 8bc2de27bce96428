"""The adapter: a `LanguageModel` that calls models through litellm. It is the one package that imports litellm.

adapter.py         LiteLLMModel: opens, reads and ends each call
calls.py           creates the ProviderCall for a call, by the API through which it goes
provider_call.py   ProviderCall: one call of a provider, and its answer
chat_call.py       ChatCall: a call of the OpenAI protocol, which litellm maps, and which we send and read
completion_call.py CompletionCall: a call of `litellm.acompletion`, whose answer litellm reads
responses_call.py  ResponsesCall: a call of OpenAI's Responses API, which we write and read
request/           converts our ModelCall to the arguments of `litellm.acompletion`, and refuses what litellm would drop
refused_fields.py  finds by trial which fields of a call litellm refuses to convert
request_mapping.py RequestMapper: lets litellm map calls, and keeps what it decides for calls of one shape
translated_call.py TranslatedCall: a call in a provider's own protocol, which litellm maps, and which we send and read
addresses.py       where the calls of a deployment go, and with which key
outgoing.py        OutgoingRequest: what we do to a request that litellm sends through our client
library.py         litellm itself: imported late, silenced, without its own retries and callbacks
loading/           imports litellm without what no call needs, and keeps its large tables once
providers.py       litellm's providers, and the way that their calls go
promised.py        the prefixes that the server promises, with the protocol of each
transport/         the HTTP of our calls: connections, exchange, events of a stream, what litellm takes for its client
own_reader.py      reads an answer without litellm
litellm_reader.py  reads an answer as litellm reads it, without what litellm invents
protocols/         observers of an answer that litellm reads, one a protocol
answers/           converts the JSON of an answer to our deltas, finish reason and usage
lenient.py         readers of JSON values whose type nobody guarantees
reasoning_details.py  reads and writes the details of reasoning that OpenRouter wants back
origins.py         marks opaque values, such as signatures, with the model that made them
failures/          converts whatever goes wrong to our errors
encodings.py       the tokenizers of OpenAI's models
prices/            what litellm lists of a model: limits, capabilities, prices
"""

from reasoning_grpc.litellm_model.adapter import LiteLLMModel
from reasoning_grpc.litellm_model.answers import MalformedAnswer
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.library import has_provider, import_litellm
from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts, can_chat, read_facts
from reasoning_grpc.litellm_model.prices.price_map import PriceMap, find_listed_name, find_price_map
from reasoning_grpc.litellm_model.promised import PROMISED
from reasoning_grpc.litellm_model.providers import (
    TEXT_COMPLETION,
    WITHOUT_ADDRESS,
    Way,
    choose_way,
    explain_way,
    takes_key,
)
from reasoning_grpc.litellm_model.request import (
    WireChoice,
    can_forbid_calls,
    can_store,
    choose_wire_of_model,
    explain_wire,
    find_known_name,
    find_name_problem,
    find_wire_problem,
    takes_json_object,
)
from reasoning_grpc.litellm_model.transport.answer import UpstreamAnswer
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.errors import HttpFailure
from reasoning_grpc.litellm_model.transport.exchange import TransportLimits

__all__ = [
    "PROMISED",
    "TEXT_COMPLETION",
    "WITHOUT_ADDRESS",
    "ConnectionPool",
    "HttpFailure",
    "LiteLLMModel",
    "MalformedAnswer",
    "ModelFacts",
    "PriceMap",
    "TransportLimits",
    "UpstreamAnswer",
    "Way",
    "WireChoice",
    "can_chat",
    "can_forbid_calls",
    "can_store",
    "choose_way",
    "choose_wire_of_model",
    "convert_failure",
    "explain_way",
    "explain_wire",
    "find_known_name",
    "find_listed_name",
    "find_name_problem",
    "find_price_map",
    "find_wire_problem",
    "has_provider",
    "import_litellm",
    "read_facts",
    "takes_json_object",
    "takes_key",
]
