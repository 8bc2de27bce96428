"""Calls of a language model: the port, its wrappers, and what is built on a single call.

port.py             LanguageModel and ModelCall: how the rest of the code calls models
stack.py            puts the wrappers together, in their order
timeouts.py         limits the time of an attempt
think_tags.py       converts what a model writes between think tags to reasoning
traced.py, genai.py a span of each attempt, in OpenTelemetry's conventions
retries.py          retries and fallback models
call_events.py      one model call as events of a request
context_window.py   keeps a call within the context windows of its models
omission.py         leaves out the oldest messages of a call
token_estimates.py  estimates the tokens of a prompt
structured/         answers that follow a JSON schema
"""
