"""Declares every metric of the server once.

Names and buckets are those of OpenTelemetry's conventions for RPC, GenAI, HTTP clients and processes where they have
the metric; ours begin with `reasoning_grpc.`. The export, the documentation and the tests are made from this list.
"""

from typing import Final

from reasoning_grpc.telemetry.metrics.family import Family, Kind, Label, Merge

OTHER: Final = "_OTHER"
"""The value of a label in place of one that nothing bounds; OpenTelemetry's conventions have the name."""

_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_LONG_SECONDS: Final = (0.001, 0.0025, 0.005, *_SECONDS, 163.84, 327.68, 655.36)
"""The buckets of the conventions, with more for refusals and for answers of ten minutes."""
_FIRST_TOKEN_SECONDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0),
)
_GAP_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2),
    *(0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
_SHORT_SECONDS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304)

_METHOD: Final = Label("rpc.method", "the methods of the service")
_CODE: Final = Label("rpc.response.status_code", "gRPC's codes")
_REASON: Final = Label("error.type", "the reasons of errors; empty for none")
_PROVIDER: Final = Label("gen_ai.provider.name", "the providers of the models")
_MODEL: Final = Label("gen_ai.request.model", "the names of the model table")
_CALLER: Final = Label("reasoning_grpc.caller", "the configuration's callers")
_LIMITS: Final = (_CALLER, Label("reasoning_grpc.limit", "the names of the limits"))
_MODE: Final = Label("reasoning_grpc.mode", "the modes")

_GRPC: Final = (("rpc.system.name", "grpc"),)
_CHAT: Final = (("gen_ai.operation.name", "chat"),)
_GENAI: Final = (_PROVIDER, _MODEL)

CALL_DURATION: Final = Family(
    name="rpc.server.call.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How long calls take, from their arrival to their end.",
    labels=(_METHOD, _CODE),
    constants=_GRPC,
    bounds=_LONG_SECONDS,
)
CALLS: Final = Family(
    name="reasoning_grpc.calls",
    kind=Kind.COUNTER,
    unit="{call}",
    help="Calls that have ended, by method, code and reason.",
    labels=(_METHOD, _CODE, _REASON),
)
CALLER_CALLS: Final = Family(
    name="reasoning_grpc.caller.calls",
    kind=Kind.COUNTER,
    unit="{call}",
    help="Calls that have ended, by caller and code.",
    labels=(_CALLER, _CODE),
)
CALLER_LIMIT: Final = Family(
    name="reasoning_grpc.caller.limit",
    kind=Kind.GAUGE,
    unit="1",
    help="The limits of callers, in requests, calls, tokens or US dollars; each worker has the whole of them.",
    labels=_LIMITS,
)
CALLER_REMAINING: Final = Family(
    name="reasoning_grpc.caller.remaining",
    kind=Kind.GAUGE,
    unit="1",
    help="What callers have left of their limits, in requests, calls, tokens or US dollars.",
    labels=_LIMITS,
)
CALLS_IN_FLIGHT: Final = Family(
    name="reasoning_grpc.calls.in_flight",
    kind=Kind.GAUGE,
    unit="{call}",
    help="Calls that were admitted and have not ended.",
)
CALLS_QUEUED: Final = Family(
    name="reasoning_grpc.calls.queued",
    kind=Kind.GAUGE,
    unit="{call}",
    help="Calls that wait until the server begins them.",
)
CALLS_LIMIT: Final = Family(
    name="reasoning_grpc.calls.limit",
    kind=Kind.GAUGE,
    unit="{call}",
    help="Calls in flight that are admitted now; fewer while the event loop lags.",
)
CALLS_REFUSED: Final = Family(
    name="reasoning_grpc.calls.refused",
    kind=Kind.COUNTER,
    unit="{call}",
    help="Calls that the server refused before it did anything for them: it is full or drains, or a caller's limit.",
    labels=(_REASON,),
)
QUEUE_DURATION: Final = Family(
    name="reasoning_grpc.queue.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How long calls waited until the server began them; those that did not wait are not counted.",
    bounds=_SHORT_SECONDS,
)
OVERHEAD: Final = Family(
    name="reasoning_grpc.overhead",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="The server's own part of the time of an answer, without waiting for upstreams, tools and the client.",
    labels=(_MODE,),
    bounds=_SHORT_SECONDS,
)
FIRST_TOKEN: Final = Family(
    name="gen_ai.server.time_to_first_token",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="Time from the arrival of a call to the first token of its answer, for whole answers.",
    labels=_GENAI,
    constants=_CHAT,
    bounds=_FIRST_TOKEN_SECONDS,
)
TIME_PER_TOKEN: Final = Family(
    name="gen_ai.server.time_per_output_token",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="Average time between the tokens of an answer, for whole answers that came in several parts.",
    labels=_GENAI,
    constants=_CHAT,
    bounds=_GAP_SECONDS,
)
DELTA_GAP: Final = Family(
    name="reasoning_grpc.time_between_deltas",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="Time between two parts of an answer that follow each other, for whole answers.",
    labels=(_MODEL,),
    bounds=_GAP_SECONDS,
)
ATTEMPT_DURATION: Final = Family(
    name="gen_ai.client.operation.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How long attempts at model calls take, by the reason of their failure.",
    labels=(*_GENAI, _REASON),
    constants=_CHAT,
    bounds=_LONG_SECONDS,
)
TOKEN_USAGE: Final = Family(
    name="gen_ai.client.token.usage",
    kind=Kind.HISTOGRAM,
    unit="{token}",
    help="Tokens of a model call; input includes what was cached, and output includes reasoning.",
    labels=(*_GENAI, Label("gen_ai.token.type", "input and output")),
    constants=_CHAT,
    bounds=_TOKENS,
)
TOKENS: Final = Family(
    name="reasoning_grpc.tokens",
    kind=Kind.COUNTER,
    unit="{token}",
    help="Tokens by kind. INPUT and OUTPUT are all tokens; each other kind is a part of one of the two.",
    labels=(
        _MODEL,
        Label("reasoning_grpc.token_kind", "the kinds of tokens"),
        Label("reasoning_grpc.usage_source", "the provider, or an estimate"),
    ),
)
COST: Final = Family(
    name="reasoning_grpc.cost.usd",
    kind=Kind.COUNTER,
    unit="{USD}",
    help="Cost in US dollars, as far as the prices are known.",
    labels=(_MODEL, _CALLER),
)
UNPRICED_CALLS: Final = Family(
    name="reasoning_grpc.cost.unknown",
    kind=Kind.COUNTER,
    unit="{call}",
    help="Calls whose cost is not known, by the model of which a price is not; they add nothing to the cost.",
    labels=(_MODEL,),
)
ATTEMPTS: Final = Family(
    name="reasoning_grpc.attempts",
    kind=Kind.COUNTER,
    unit="{attempt}",
    help="Attempts at model calls, by the reason of their failure.",
    labels=(_MODEL, _REASON),
)
RETRIES: Final = Family(
    name="reasoning_grpc.retries",
    kind=Kind.COUNTER,
    unit="{attempt}",
    help="Attempts that repeated one with the same model, by the reason of the failure before.",
    labels=(_MODEL, _REASON),
)
FALLBACKS: Final = Family(
    name="reasoning_grpc.fallbacks",
    kind=Kind.COUNTER,
    unit="{attempt}",
    help="Attempts with a fallback model, by the model that failed, the model that follows, and the reason.",
    labels=(
        Label("reasoning_grpc.from_model", "the names of the model table"),
        Label("reasoning_grpc.to_model", "the names of the model table"),
        _REASON,
    ),
)
BREAKER_STATE: Final = Family(
    name="reasoning_grpc.breaker.state",
    kind=Kind.GAUGE,
    unit="{breaker}",
    help="1 for the state that the breaker of an upstream has, and 0 for the others; workers are added.",
    labels=(_MODEL, Label("reasoning_grpc.state", "CLOSED, OPEN and HALF_OPEN")),
)
BREAKER_OPENINGS: Final = Family(
    name="reasoning_grpc.breaker.openings",
    kind=Kind.COUNTER,
    unit="{opening}",
    help="How often the breaker of an upstream has opened, or has stayed open after a probe.",
    labels=(_MODEL,),
)
UPSTREAM_IN_FLIGHT: Final = Family(
    name="reasoning_grpc.upstream.in_flight",
    kind=Kind.GAUGE,
    unit="{attempt}",
    help="Attempts in progress at an upstream.",
    labels=(_MODEL,),
)
UPSTREAM_QUEUED: Final = Family(
    name="reasoning_grpc.upstream.queued",
    kind=Kind.GAUGE,
    unit="{attempt}",
    help="Attempts that wait for the bound of an upstream.",
    labels=(_MODEL,),
)
UPSTREAM_LIMIT: Final = Family(
    name="reasoning_grpc.upstream.limit",
    kind=Kind.GAUGE,
    unit="{attempt}",
    help="The bound of attempts in progress at an upstream, which adapts itself.",
    labels=(_MODEL,),
)
DECISIONS: Final = Family(
    name="reasoning_grpc.route.decisions",
    kind=Kind.COUNTER,
    unit="{decision}",
    help="Decisions of the router, by what decided and by route.",
    labels=(
        Label("reasoning_grpc.route_source", "the sources of a decision"),
        Label("reasoning_grpc.route", "the modes, and the configuration's routes"),
    ),
)
CLASSIFIER_DURATION: Final = Family(
    name="reasoning_grpc.classifier.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How long the classifier took, by its model, or by the embedding.",
    labels=(_MODEL,),
    bounds=_LONG_SECONDS,
)
CLASSIFIER_FAILURES: Final = Family(
    name="reasoning_grpc.classifier.failures",
    kind=Kind.COUNTER,
    unit="{decision}",
    help="Classifications that failed, or whose answer could not be used, so that the default decided.",
    labels=(_MODEL, Label("error.type", "the reasons of errors, and the flaws of an answer")),
)
AGENT_RUNS: Final = Family(
    name="reasoning_grpc.agent.runs",
    kind=Kind.COUNTER,
    unit="{run}",
    help="Runs of the agent, by why it stopped thinking; empty for a run that ended before.",
    labels=(Label("reasoning_grpc.reasoning_end", "the ends of reasoning"),),
)
AGENT_STEPS: Final = Family(
    name="reasoning_grpc.agent.steps",
    kind=Kind.COUNTER,
    unit="{step}",
    help="Steps of the agent, by their outcome.",
    labels=(Label("reasoning_grpc.step_outcome", "the outcomes of a step"),),
)
TASK_DURATION: Final = Family(
    name="reasoning_grpc.task.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How long the attempts at tasks of orchestration take, by their outcome.",
    labels=(Label("reasoning_grpc.task_outcome", "the outcomes of a task"),),
    bounds=_LONG_SECONDS,
)
TOOL_DURATION: Final = Family(
    name="gen_ai.execute_tool.duration",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How long the agent's tool calls take, by tool and status.",
    labels=(
        Label("gen_ai.tool.name", "the configuration's tools and those of its MCP servers; _OTHER for any other"),
        Label("reasoning_grpc.tool_status", "the statuses of a tool call"),
    ),
    constants=(("gen_ai.operation.name", "execute_tool"),),
    bounds=_LONG_SECONDS,
)
OPEN_CONNECTIONS: Final = Family(
    name="http.client.open_connections",
    kind=Kind.GAUGE,
    unit="{connection}",
    help="Open connections to upstreams.",
    labels=(
        Label("http.connection.state", "active and idle"),
        Label("reasoning_grpc.pool", "model_calls and discovery"),
    ),
)
DISCOVERY_AGE: Final = Family(
    name="reasoning_grpc.discovery.age",
    kind=Kind.GAUGE,
    unit="s",
    help="Time since the proxy's list of models was last read; none while it never was.",
    merge=Merge.MAX,
)
DISCOVERY_FAILING: Final = Family(
    name="reasoning_grpc.discovery.failing",
    kind=Kind.GAUGE,
    unit="{source}",
    help="1 when the proxy's list of models could not be read the last time, otherwise 0.",
    merge=Merge.MAX,
)
RELOADS: Final = Family(
    name="reasoning_grpc.reloads",
    kind=Kind.COUNTER,
    unit="{reload}",
    help="Reloads of the configuration, by whether they took effect, or changed nothing.",
    labels=(Label("reasoning_grpc.reload_result", "SUCCEEDED and FAILED"),),
)
RELOAD_FAILING: Final = Family(
    name="reasoning_grpc.reload.failing",
    kind=Kind.GAUGE,
    unit="{reload}",
    help="1 when the last reload of the configuration changed nothing, otherwise 0.",
    merge=Merge.MAX,
)
RELOAD_TIME: Final = Family(
    name="reasoning_grpc.reload.time",
    kind=Kind.GAUGE,
    unit="s",
    help="When the last reload of the configuration ended, in seconds since 1970; none while there was none.",
    merge=Merge.MAX,
)
LOOP_LAG: Final = Family(
    name="reasoning_grpc.event_loop.lag",
    kind=Kind.HISTOGRAM,
    unit="s",
    help="How late the event loop runs what is due, measured 50 times a second while calls are in flight.",
    bounds=_SHORT_SECONDS,
)
MEMORY: Final = Family(
    name="process.memory.usage",
    kind=Kind.GAUGE,
    unit="By",
    help="Resident memory; what workers share counts for each.",
)
OPEN_FILES: Final = Family(
    name="process.open_file_descriptor.count",
    kind=Kind.GAUGE,
    unit="{file_descriptor}",
    help="Open files and sockets, of the worker that has the most.",
    merge=Merge.MAX,
)
FILE_LIMIT: Final = Family(
    name="reasoning_grpc.open_file_descriptor.limit",
    kind=Kind.GAUGE,
    unit="{file_descriptor}",
    help="The open files and sockets that the system allows a worker.",
    merge=Merge.MIN,
)
CPU_TIME: Final = Family(
    name="process.cpu.time",
    kind=Kind.COUNTER,
    unit="s",
    help="CPU time that was used.",
    labels=(Label("cpu.mode", "user and system"),),
)
UPTIME: Final = Family(
    name="process.uptime",
    kind=Kind.GAUGE,
    unit="s",
    help="Time since the start, of the worker that started last.",
    merge=Merge.MIN,
)
BUILD: Final = Family(
    name="reasoning_grpc.build",
    kind=Kind.GAUGE,
    unit="{build}",
    help="1, with the version that runs.",
    labels=(Label("service.version", "the versions that run"),),
    merge=Merge.MAX,
)
WORKERS: Final = Family(
    name="reasoning_grpc.workers",
    kind=Kind.GAUGE,
    unit="{worker}",
    help="Workers by state, of which hung and missing need somebody; only on the admin port.",
    labels=(Label("reasoning_grpc.worker_state", "the states of a worker"),),
)
WORKER_RESTARTS: Final = Family(
    name="reasoning_grpc.worker.restarts",
    kind=Kind.COUNTER,
    unit="{restart}",
    help="Workers that were started because another one had died; only on the admin port.",
)

FAMILIES: Final = tuple(value for value in globals().values() if isinstance(value, Family))
"""All metrics, in the order of their declaration."""
