"""The adapter: a `LanguageModel` through litellm. The one package that imports litellm.

request.py     our ModelCall -> the arguments of `litellm.acompletion`
library.py     litellm itself: imported late, quiet, without its own retries and callbacks
wire.py        the HTTP of our calls: one pool of connections, one exchange a call
sse.py         bytes of an event stream -> the JSON text of its events
answers.py     that JSON, whatever its shape -> our deltas
failures.py    whatever went wrong -> our errors: the table
witness.py     what the upstream itself says in an answer that litellm reads
relay.py       the events of an exchange, for our reader and for litellm's
clients.py     what litellm takes for its HTTP client
own_wire.py    the answer as we read it
plain.py       the answer as litellm reads it
providers.py   litellm's providers, and which way their calls go
adapter.py     LiteLLMModel: the pieces above, joined
"""

from reasoning_grpc.litellm_model.adapter import LiteLLMModel
from reasoning_grpc.litellm_model.wire import WireLimits

__all__ = ["LiteLLMModel", "WireLimits"]
