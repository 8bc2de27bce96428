"""A gRPC endpoint for language models: it routes a request, reasons where that pays, and streams every step and token.

A request goes down through the floors below, and its events come up through the same floors as one async generator.
A module imports only from its own floor and from floors that stand lower in this list, so each can be read and tested
with nothing above it. What a folder does not export is private to it. `tests/test_floors.py` reads this list and checks
both rules.

    cli               the command line
    server            builds, starts and stops the server; the only place that wires objects
    rpc               the gRPC face: service, interceptor, statuses, authentication, conversion
    engine            one request: route it, run its path, keep its ledger
    orchestrator      splits a request into tasks, runs an agent for each, writes the answer
    agent             the reasoning loop: steps, tools, then the answer; yields events
    router            rules, classifier, decision: which path and model serve a request
    tools             the tools that the agent may call: Python functions, MCP servers
    catalog           the models that requests can name, and where they come from
    litellm_model     the adapter: the one package that imports litellm
    embedded          the child process of the small model
    llm               a model call: the port, its attempts, the context window, structured answers
    pauses            the sealed states of runs that wait for their callers
    quotas            what callers may still use of their limits
    telemetry         OpenTelemetry: what our code records with, and the export
    config            the settings, typed, read once at start
    domain            our own types: requests, conversation, events, errors, usage, the fold
    evaluation        measures the quality of a running server; needs only the client
    client            the typed async client; needs only the stubs
    v1                the generated stubs

Public, and stable from version 1 on, are `reasoning_grpc.v1`, `reasoning_grpc.client` and the command `reasoning-grpc`,
and `reasoning_grpc.tools.ToolError` for functions that the agent calls. Everything else is private.
"""
