import assert from "node:assert/strict";
import { test } from "node:test";
import { type JsonObject, type JsonValue, fromJson, toJson } from "@bufbuild/protobuf";
import {
  CompleteResponseSchema,
  MessageSchema,
  StreamCompleteResponseSchema,
  Folder,
  fold,
  textOf,
} from "@reasoning-grpc/client";

/** Folds these events, which are given in ProtoJSON. */
function foldJson(...events: JsonValue[]) {
  return fold(events.map((event) => fromJson(StreamCompleteResponseSchema, event)));
}

/** Returns the parts of the message that these events are folded into. */
function foldParts(...events: JsonValue[]): JsonValue | undefined {
  const { message } = foldJson({ started: {} }, ...events, { completed: {} });
  const json = message && (toJson(MessageSchema, message) as JsonObject);
  assert.equal(json?.role, "ROLE_ASSISTANT");
  return json?.content;
}

const text = (text: string, more = {}) => ({ contentDelta: { text, ...more } });
const reasoning = (text: string, more = {}) => ({ reasoningDelta: { text, ...more } });

test("deltas of one kind are joined, and a delta of another kind begins a new part", () => {
  assert.deepEqual(
    foldParts(reasoning("I "), reasoning("see."), text("Hel"), text("lo"), text("No", { refusal: true }), text("!")),
    [{ reasoning: { text: "I see." } }, { text: "Hello" }, { refusal: "No" }, { text: "!" }],
  );
});

test("a signature ends a part", () => {
  assert.deepEqual(foldParts(text("a"), text("b", { signature: "1" }), text("c")), [
    { text: "ab", signature: "1" },
    { text: "c" },
  ]);
  assert.deepEqual(foldParts(reasoning("a"), reasoning("", { signature: "1" }), reasoning("b")), [
    { reasoning: { text: "a" }, signature: "1" },
    { reasoning: { text: "b" } },
  ]);
});

test("a signature without text belongs to the last text part, even when other parts follow it", () => {
  const call = { toolCallDelta: { callId: "1", name: "f", arguments: "{}" } };

  assert.deepEqual(foldParts(text("a"), call, text("", { signature: "1" }), text("")), [
    { text: "a", signature: "1" },
    { toolCall: { id: "1", name: "f", arguments: "{}" } },
  ]);
  assert.deepEqual(foldParts(text("", { signature: "1" })), [{ text: "", signature: "1" }]);
});

test("each redacted delta is a part of its own", () => {
  const redacted = { reasoningDelta: { redacted: "AAE=", signature: "1" } };

  assert.deepEqual(foldParts(reasoning("a"), redacted, redacted, reasoning("b")), [
    { reasoning: { text: "a" } },
    { reasoning: { redacted: "AAE=" }, signature: "1" },
    { reasoning: { redacted: "AAE=" }, signature: "1" },
    { reasoning: { text: "b" } },
  ]);
});

test("the deltas of a tool call are joined by its id", () => {
  const delta = (callId: string, name: string, args: string, signature = "") => ({
    toolCallDelta: { callId, name, arguments: args, signature },
  });

  assert.deepEqual(
    foldParts(delta("1", "", "{"), delta("2", "g", "[]", "s"), delta("1", "f", "}"), delta("2", "", "")),
    [
      { toolCall: { id: "1", name: "f", arguments: "{}" } },
      { toolCall: { id: "2", name: "g", arguments: "[]" }, signature: "s" },
    ],
  );
});

test("a step holds its planned tool executions in planned order, and no part of the answer", () => {
  const execution = (callId: string) => ({ step: 1, toolFinished: { execution: { callId, name: "t" } } });
  const response = foldJson(
    { started: {} },
    { step: 1, stepStarted: { maxSteps: 8 } },
    { step: 1, ...reasoning("private") },
    { step: 1, stepPlanned: { thought: "why", nextAction: 2, toolCalls: [{ callId: "a" }, { callId: "b" }] } },
    execution("b"),
    execution("a"),
    execution("unplanned"),
    { step: 1, stepFinished: { outcome: 1, usage: { totalTokens: 7 } } },
    { step: 2, stepStarted: { maxSteps: 8 } },
    { step: 2, stepFinished: { outcome: 2 } },
    { reasoningFinished: { stepCount: 2 } },
    text("Done."),
    { completed: {} },
  );

  assert.deepEqual(toJson(CompleteResponseSchema, response), {
    message: { role: "ROLE_ASSISTANT", content: [{ text: "Done." }] },
    steps: [
      {
        number: 1,
        thought: "why",
        nextAction: "NEXT_ACTION_USE_TOOLS",
        toolExecutions: [
          { callId: "a", name: "t" },
          { callId: "b", name: "t" },
        ],
        outcome: "STEP_OUTCOME_DONE",
        usage: { totalTokens: 7 },
      },
      { number: 2, outcome: "STEP_OUTCOME_INVALID_PLAN" },
    ],
    reasoningFinished: { stepCount: 2 },
  });
});

test("fold fills the other fields from started, attempt_switched and completed", () => {
  const end = {
    model: "fast",
    finishReason: "FINISH_REASON_STOP",
    providerFinishReason: "stop",
    usage: { totalTokens: 3 },
    modelCalls: [{ call: 1, usage: { totalTokens: 3 } }],
    cost: { totalNanoUsd: "5" },
    timings: { totalDuration: "1s" },
    attempts: [{ call: 1 }],
  };
  const start = { responseId: "rsp_1", traceId: "ab", routeDecision: { route: "passthrough" } };
  const requested = { field: "sampling.top_k", requested: "9", effective: "8" };
  const lower = { field: "sampling.top_k", requested: "9", effective: "4" };

  const response = foldJson(
    { started: { ...start, effectiveSettings: [requested] } },
    { heartbeat: {} },
    { step: 1, attemptSwitched: { toModel: "fast", effectiveSettings: [lower] } },
    { attemptSwitched: { toModel: "fast" } },
    {},
    { completed: end },
  );

  assert.deepEqual(toJson(CompleteResponseSchema, response), {
    ...start,
    message: { role: "ROLE_ASSISTANT" },
    ...end,
    effectiveSettings: [requested, lower],
  });
});

test("message() returns the answer so far, and later events do not change it", () => {
  const folder = new Folder();
  folder.add(fromJson(StreamCompleteResponseSchema, text("Hel")));
  const before = folder.message();
  folder.add(fromJson(StreamCompleteResponseSchema, text("lo")));

  assert.deepEqual([textOf(before), textOf(folder.message())], ["Hel", "Hello"]);
});

test("fold throws when the started or the completed event is missing", () => {
  assert.throws(() => foldJson({ started: {} }), /cannot fold a stream/);
  assert.throws(() => foldJson({ completed: {} }), /cannot fold a stream/);
});
