"""Declares every option of the server once, with its type, default, range and explanation.

The flags of the command line, the `REASONING_*` variables, the keys of `reasoning.toml` and the table in the
documentation are all made from this list.
"""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.config.caller_entry import CallerEntry
from reasoning_grpc.config.model_entry import ModelEntry
from reasoning_grpc.config.proxy_entry import ProxyEntry
from reasoning_grpc.config.routing import ClassifierEntry, RouteEntry, RuleEntry
from reasoning_grpc.config.tools import McpServerEntry, ToolEntry
from reasoning_grpc.config.upstream_proxy import UpstreamProxyEntry
from reasoning_grpc.domain import RoutingMode, Secret

ENVIRONMENT_PREFIX: Final = "REASONING_"
AUTO_WORKERS: Final = 0
"""The number of workers that stands for one a core."""
_LONGEST_GRPC_SECONDS: Final = 2_000_000.0
"""gRPC takes times as milliseconds in 32 bits."""


class LogFormat(StrEnum):
    """The format of log lines."""

    AUTO = "auto"
    """Writes text to a terminal, and JSON elsewhere."""
    JSON = "json"
    TEXT = "text"


class EmbeddedUse(StrEnum):
    """Whether the embedded model runs."""

    AUTO = "auto"
    """Runs it when neither another model nor a proxy is configured."""
    ON = "on"
    OFF = "off"


class OrchestrationUse(StrEnum):
    """Whether the server serves the mode ORCHESTRATION."""

    OFFERED = "offered"
    """The classifier may choose it too."""
    REQUESTED = "requested"
    """Requests, metadata, rules and the default mode may choose it."""
    OFF = "off"


def _option(
    default: Any,
    help_text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    needs_restart: bool = False,
    words: Mapping[str, int] | None = None,
) -> Any:
    """Declares an option. One that `needs_restart` keeps its value when a running server is reloaded.

    `words` stand for numbers.
    """
    metadata = {
        "help": help_text,
        "minimum": minimum,
        "maximum": maximum,
        "needs_restart": needs_restart,
        "words": words or {},
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of the server; defaults suit a laptop."""

    listen: str = _option(
        "127.0.0.1:50051", "Address to listen on, HOST:PORT; port 0 picks a free one.", needs_restart=True
    )
    workers: int = _option(
        1,
        "Processes that serve calls on this address, or `auto`: one a core. Too few leave cores idle; too many share "
        "them, each with its own memory, bounds and connections to upstreams.",
        minimum=1,
        maximum=256,
        needs_restart=True,
        words={"auto": AUTO_WORKERS},
    )
    admin_listen: str = _option(
        "",
        "Address of the HTTP port with /metrics, /healthz, /readyz and /version, HOST:PORT, or PORT alone on loopback; "
        "empty: none. It asks nobody for a token: an address that others reach shows them all metrics.",
        needs_restart=True,
    )
    health_listen: str = _option(
        "",
        "Address of a gRPC port with the health of all workers, without TLS and tokens, HOST:PORT, or PORT alone on "
        "loopback; empty: none. Probes without a certificate fail on the main port when it asks for one.",
        needs_restart=True,
    )
    allow_insecure: bool = _option(
        False, "Allow an address that is not loopback without callers' tokens or without TLS."
    )
    tls_certificate: Path | None = _option(None, "PEM file with the server's certificate chain; turns TLS on.")
    tls_key: Path | None = _option(None, "PEM file with the certificate's private key.")
    tls_client_ca: Path | None = _option(
        None, "PEM file of authorities; clients must show a certificate that one of them issued."
    )
    pid_file: Path | None = _option(
        None,
        "File into which the server writes the number of its process, for `reasoning-grpc reload`; empty: none. Two "
        "servers cannot share one.",
        needs_restart=True,
    )
    reflection: bool = _option(True, "Serve gRPC reflection, which grpcurl uses.", needs_restart=True)
    log_level: str = _option("info", "Lowest level that is logged: debug, info, warning or error.")
    log_format: LogFormat = _option(LogFormat.AUTO, "Format of log lines: text, json, or auto (text on a terminal).")
    default_model: str = _option("", "Model for requests that name none; empty: the embedded model, or the only one.")
    default_mode: RoutingMode = _option(RoutingMode.PASSTHROUGH, "Mode for requests that name none.")
    embedded: EmbeddedUse = _option(
        EmbeddedUse.AUTO,
        "Run the embedded model: on, off, or auto (when no other model and no proxy is configured).",
        needs_restart=True,
    )
    embedded_weights: Path | None = _option(
        None, "GGUF file for the embedded model instead of the bundled one.", needs_restart=True
    )
    embedded_name: str = _option(
        "",
        "Name of the embedded model; empty: smollm2-135m-instruct for the bundled weights, and for others the name of "
        "their file without .gguf. Requests, routes and callers that name the model by another name are refused.",
        needs_restart=True,
    )
    embedded_slots: int = _option(
        2, "Calls that the embedded model serves at the same time.", minimum=1, maximum=64, needs_restart=True
    )
    embedded_context_tokens: int = _option(
        4096, "Context window of the embedded model, in tokens per slot.", minimum=256, maximum=8192, needs_restart=True
    )
    first_token_timeout_seconds: float = _option(
        60.0, "Longest wait for the first delta of an answer, per attempt.", minimum=0.001
    )
    stall_timeout_seconds: float = _option(60.0, "Longest silence between two deltas of an answer.", minimum=0.001)
    model_call_timeout_seconds: float = _option(600.0, "Longest time for one attempt at a model call.", minimum=0.001)
    connect_timeout_seconds: float = _option(
        5.0, "Longest time to connect to an upstream.", minimum=0.001, needs_restart=True
    )
    max_retries: int = _option(2, "Most retries of a failed model call with the same model.", minimum=0, maximum=10)
    max_retry_share: float = _option(
        0.1,
        "Most retries of an upstream, as a share of the attempts at it; ten more are allowed at once. Too low gives up "
        "on single failures; too high multiplies the load of an upstream that fails. 1: no such limit.",
        minimum=0.0,
        maximum=1.0,
        needs_restart=True,
    )
    breaker_min_calls: int = _option(
        10,
        "Fewest attempts at calls, retries included, in some ten seconds, of which half must fail, so that an upstream "
        "gets no calls for a moment. Too low takes bad luck for a failure; too high lets many calls fail before.",
        minimum=1,
        needs_restart=True,
    )
    breaker_open_seconds: float = _option(
        1.0,
        "Time without calls for an upstream that fails, until a single call tries it; it doubles when that fails. "
        "Too short hammers an upstream that is down; too long keeps calls away from one that is back.",
        minimum=0.001,
        needs_restart=True,
    )
    breaker_max_open_seconds: float = _option(30.0, "Longest such time.", minimum=0.001, needs_restart=True)
    max_cooldown_seconds: float = _option(
        60.0,
        "Longest time for which a rate limit of an upstream keeps calls away from it, whatever it asks for; 0: none.",
        minimum=0.0,
        needs_restart=True,
    )
    max_calls_per_upstream: int = _option(
        1024,
        "Most calls in progress at one model; fewer are sent while it answers late or limits the rate.",
        minimum=1,
        needs_restart=True,
    )
    upstream_queue_seconds: float = _option(
        1.0,
        "Longest wait of a call for that bound; then it fails, or goes to a fallback model. It is also the longest "
        "wait for a connection while all are in use; then the call fails.",
        minimum=0.0,
        needs_restart=True,
    )
    max_upstream_connections: int = _option(
        1024, "Most connections to all upstreams together.", minimum=1, needs_restart=True
    )
    upstream_proxy: str = _option(
        "",
        "HTTP proxy through which models, LiteLLM proxies and MCP servers are reached, as a URL; empty: none.",
        needs_restart=True,
    )
    upstream_proxy_credentials_env: str = _option(
        "", "Environment variable with USER:PASSWORD for that proxy; empty: it needs none.", needs_restart=True
    )
    upstream_proxy_exclude: str = _option(
        "",
        "Hosts reached without that proxy, separated by commas: names (with all below them), addresses, networks.",
        needs_restart=True,
    )
    discovery_ttl_seconds: float = _option(
        60.0, "Time after which the list of a LiteLLM proxy's models is read again.", minimum=1.0, needs_restart=True
    )
    discovery_timeout_seconds: float = _option(
        5.0, "Longest time to read the list of a LiteLLM proxy's models.", minimum=0.001, needs_restart=True
    )
    max_calls_in_flight: int = _option(
        1024,
        "Most calls in flight; fewer are admitted while the event loop lags. Too low refuses what could be served; "
        "too high costs memory in an overload.",
        minimum=1,
        needs_restart=True,
    )
    max_loop_lag_seconds: float = _option(
        0.025,
        "Average lag of the event loop above which fewer calls are admitted. Too low refuses calls after a short burst "
        "of work; too high delays the tokens of all streams.",
        minimum=0.001,
        needs_restart=True,
    )
    max_reading_pause_seconds: float = _option(
        0.5,
        "Longest pause between two reads of an upstream's answer. With it tokens leave in groups while the event loop "
        "lags, and more calls are served. Too low refuses calls sooner; too high makes streams jerky under load.",
        minimum=0.0,
        maximum=10.0,
        needs_restart=True,
    )
    max_queued_calls: int = _option(
        128,
        "Most calls that wait for admission when as many as possible are in flight; 0: none waits.",
        minimum=0,
        needs_restart=True,
    )
    admission_queue_seconds: float = _option(
        0.02,
        "Longest wait for admission. What is longer delays the refusal, so that callers turn to another server later.",
        minimum=0.0,
        maximum=10.0,
        needs_restart=True,
    )
    request_timeout_seconds: float = _option(
        30.0,
        "Longest time for a request to arrive whole. Too low cuts large requests over slow connections; too high lets "
        "calls that send nothing hold memory and places for one that does.",
        minimum=0.001,
    )
    write_timeout_seconds: float = _option(
        30.0,
        "Longest wait for a client that does not read its stream, or a unary answer of more than 64 KB. Too short cuts "
        "clients with a slow connection; too long holds the stream and its upstream for one that is stuck.",
        minimum=0.001,
    )
    keepalive_seconds: float = _option(
        20.0,
        "Time without data after which a client is asked whether it is alive. Too short costs traffic, and clients may "
        "object; too long leaves the calls of a client that vanished in place.",
        minimum=1.0,
        needs_restart=True,
    )
    keepalive_timeout_seconds: float = _option(
        10.0,
        "Longest wait for that answer, after which the connection is closed. Too short cuts the calls of clients that "
        "are busy or far away; too long leaves those of a client that vanished in place.",
        minimum=0.001,
        needs_restart=True,
    )
    max_request_bytes: int = _option(
        16 * 1024 * 1024, "Largest request, in bytes.", minimum=1024, maximum=1024 * 1024 * 1024, needs_restart=True
    )
    max_request_fields: int = _option(
        100_000,
        "Most fields in a request, its messages and their parts included; more take too much memory once parsed.",
        minimum=1000,
    )
    max_metadata_bytes: int = _option(
        16 * 1024,
        "Largest metadata of a call, in bytes; gRPC itself refuses more, so a caller's token must fit.",
        minimum=1024,
        maximum=1024 * 1024,
        needs_restart=True,
    )
    max_parts: int = _option(10_000, "Most parts in all messages of a request; more stop other calls.", minimum=1)
    max_media_bytes: int = _option(
        16 * 1024 * 1024, "Largest images, sounds and documents of a request, in bytes together.", minimum=0
    )
    max_json_bytes: int = _option(
        1024 * 1024,
        "Largest schemas and provider options of a request, in bytes together; parsing more stops other calls.",
        minimum=1024,
    )
    max_json_depth: int = _option(
        64, "Deepest nesting of a schema or of a provider option; some providers take less.", minimum=1, maximum=100
    )
    max_stop_sequences: int = _option(
        16, "Most stop sequences in a request; many providers take four.", minimum=0, maximum=1000
    )
    max_labels: int = _option(
        32, "Most labels of a request; each is in the log line of its call.", minimum=0, maximum=1000
    )
    pass_upstream_messages: bool = _option(
        False, "Pass on to callers, as `upstream_message`, what a provider says of a request that it refuses."
    )
    max_messages: int = _option(1000, "Most messages in a request.", minimum=1)
    unknown_context_window_tokens: int = _option(
        8192,
        "Assumed context window of models whose own is unknown, for CONTEXT_POLICY_TRUNCATE_OLDEST.",
        minimum=256,
    )
    max_tools: int = _option(128, "Most tools in a request.", minimum=1)
    agent_max_steps: int = _option(8, "Most steps of the reasoning agent.", minimum=1, maximum=1000)
    agent_max_tool_calls: int = _option(16, "Most tool calls of the agent for one request.", minimum=0, maximum=10_000)
    agent_max_tokens: int = _option(
        0, "Most tokens of the agent's model calls for one request, before the answer; 0: no limit.", minimum=0
    )
    agent_max_cost_usd: float = _option(
        0.0, "Most US dollars for those model calls, where prices are known; 0: no limit.", minimum=0.0
    )
    agent_timeout_seconds: float = _option(
        120.0, "Longest time that the agent thinks, whatever the caller's deadline.", minimum=0.001
    )
    agent_step_timeout_seconds: float = _option(60.0, "Longest time that the model plans one step.", minimum=0.001)
    agent_tool_timeout_seconds: float = _option(
        30.0, "Longest time of one tool call; a tool's own limit may be shorter.", minimum=0.001
    )
    agent_tool_list_timeout_seconds: float = _option(
        10.0, "Longest wait of a request for MCP servers that connect for the first time.", minimum=0.0
    )
    agent_plan_prompt: Path | None = _option(None, "File with the agent's instructions for steps in JSON.")
    agent_native_prompt: Path | None = _option(None, "File with the agent's instructions for steps by tool calls.")
    agent_answer_prompt: Path | None = _option(None, "File with the instructions for the answer after thinking.")
    pause_keys_env: str = _option(
        "",
        "Environment variable with the keys that seal paused runs: 32 bytes in base64 each, separated by commas; the "
        "first one seals, all of them open. Empty here and in pause_keys_file: the server makes a key at its start, "
        "which its workers share, so that a paused run goes on only there, and until a restart.",
    )
    pause_keys_file: Path | None = _option(
        None,
        "File with these keys, one in each line; a reload reads it again. All servers behind one address share it.",
    )
    max_pause_seconds: float = _option(
        3600.0,
        "Longest time that a paused run waits for its caller. Too short refuses callers that ask a person; too long "
        "remembers the ids of those that went on for longer.",
        minimum=1.0,
        maximum=30 * 24 * 3600.0,
    )
    max_pause_state_bytes: int = _option(
        1024 * 1024,
        "Largest state of a paused run, in bytes, which callers send back. A run whose state is larger answers without "
        "the calls that it would have waited for.",
        minimum=16 * 1024,
        maximum=16 * 1024 * 1024,
    )
    orchestration: OrchestrationUse = _option(
        OrchestrationUse.OFFERED,
        "When requests are split into tasks: offered (the classifier may choose it too), requested (by the request, "
        "metadata, rules or the default mode), off.",
    )
    orchestration_max_tasks: int = _option(8, "Most tasks into which a request is split.", minimum=1, maximum=100)
    orchestration_max_parallel_tasks: int = _option(
        4, "Most tasks of a request that run at the same time.", minimum=1, maximum=100
    )
    orchestration_max_steps: int = _option(32, "Most steps of all tasks of a request.", minimum=1, maximum=10_000)
    orchestration_max_tool_calls: int = _option(
        64, "Most tool calls of all tasks of a request.", minimum=0, maximum=100_000
    )
    orchestration_timeout_seconds: float = _option(
        300.0, "Longest time for the plan and the tasks, whatever the caller's deadline.", minimum=0.001
    )
    orchestration_plan_prompt: Path | None = _option(None, "File with the planner's instructions.")
    orchestration_task_prompt: Path | None = _option(None, "File with what asks an agent for the result of a task.")
    orchestration_answer_prompt: Path | None = _option(None, "File with what asks for the answer from the results.")
    max_connection_age_seconds: float = _option(
        600.0,
        "Age at which a client's connection takes no new calls, so that the client connects again; 0: never.",
        minimum=0.0,
        maximum=_LONGEST_GRPC_SECONDS,
        needs_restart=True,
    )
    max_connection_age_grace_seconds: float = _option(
        3600.0,
        "How long calls may continue on such a connection before it is closed; 0: without limit.",
        minimum=0.0,
        maximum=_LONGEST_GRPC_SECONDS,
        needs_restart=True,
    )
    drain_delay_seconds: float = _option(
        5.0,
        "How long new calls are still accepted after SIGTERM, while load balancers notice that health is NOT_SERVING.",
        minimum=0.0,
    )
    grace_seconds: float = _option(
        20.0, "How long calls may continue after that delay; what is left is cut.", minimum=0.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration of a server, as read at start."""

    settings: Settings = field(default_factory=Settings)
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    callers: Mapping[str, CallerEntry] = field(default_factory=dict)
    routes: Mapping[str, RouteEntry] = field(default_factory=dict)
    rules: tuple[RuleEntry, ...] = ()
    """The rules, in the order in which they are tried."""
    classifier: ClassifierEntry = field(default_factory=ClassifierEntry)
    tools: Mapping[str, ToolEntry] = field(default_factory=dict)
    mcp_servers: Mapping[str, McpServerEntry] = field(default_factory=dict)
    pause_keys: tuple[Secret, ...] = ()
    """The keys that seal paused runs, the one that seals first. None: the server makes a key of its own."""
    proxy: ProxyEntry | None = None
    """The LiteLLM proxy whose models are also served; None: there is no proxy."""
    upstream_proxy: UpstreamProxyEntry | None = None
    """The HTTP proxy of the settings, through which upstreams are reached; None: they are reached directly."""

    @property
    def runs_embedded(self) -> bool:
        """Whether the embedded model is to run."""
        use = self.settings.embedded
        return use is EmbeddedUse.ON or (use is EmbeddedUse.AUTO and not self.models and self.proxy is None)


@dataclass(frozen=True, slots=True)
class Option:
    """One option, with its names in the file, on the command line and in the environment."""

    name: str
    """The key in the file."""
    type: Any
    default: Any
    help: str
    minimum: float | None
    maximum: float | None
    needs_restart: bool
    """Whether a running server keeps its value when it is reloaded."""
    words: Mapping[str, int]
    """The words that stand for numbers."""

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The variable in the environment."""
        return ENVIRONMENT_PREFIX + self.name.upper()


def options() -> Iterator[Option]:
    """Yields every option, in the order of the documentation."""
    settings_field: Field[Any]
    for settings_field in fields(Settings):
        metadata = settings_field.metadata
        yield Option(
            settings_field.name,
            settings_field.type,
            settings_field.default,
            metadata["help"],
            metadata["minimum"],
            metadata["maximum"],
            metadata["needs_restart"],
            metadata["words"],
        )
