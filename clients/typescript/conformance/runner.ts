// The conformance runner of the TypeScript client. It makes the calls of a plan and writes the results that this client
// returned to a file. clients/conformance/README.md describes both files.
import { readFileSync, writeFileSync } from "node:fs";
import { type DescMessage, type JsonValue, type MessageShape, fromJson, toJson } from "@bufbuild/protobuf";
import { compressionAlgorithms } from "@grpc/grpc-js";
import {
  CallFailed,
  type CallOptions,
  CompleteResponseSchema,
  InterruptionSchema,
  ReasoningService,
  RouteDecisionSchema,
  type StreamCompleteResponse,
  StreamCompleteResponseSchema,
  connect,
  fold,
} from "@reasoning-grpc/client";

interface Plan {
  addresses: Record<string, string>;
  certificate_authority: string;
  scenarios: Scenario[];
}

interface Scenario {
  name: string;
  address: string;
  rpc: string;
  request?: JsonValue;
  request_base64?: string;
  token?: string;
  metadata?: Record<string, string>;
  timeout_seconds: number;
  compression?: "gzip";
  cancel_after_events?: number;
  answer_of?: string;
  events?: JsonValue[];
}

interface Outcome {
  response?: JsonValue;
  events?: JsonValue[];
  unknown_events?: number;
  folded?: JsonValue;
  error?: JsonValue;
  failure?: string;
}

async function runScenario(plan: Plan, scenario: Scenario): Promise<Outcome> {
  try {
    return scenario.rpc === "Fold" ? foldEvents(scenario.events ?? []) : await makeCall(plan, scenario);
  } catch (error) {
    return { failure: String(error) };
  }
}

/** Returns the scenario with the answer of an earlier one in its request, if it names one. */
function insertAnswer(scenario: Scenario, outcomes: Map<string, Outcome>): Scenario {
  if (scenario.answer_of === undefined) return scenario;
  const earlier = outcomes.get(scenario.answer_of);
  const answer = (earlier?.response ?? earlier?.folded) as { message: JsonValue };
  const request = structuredClone(scenario.request) as { request?: object };
  const { messages } = (scenario.rpc === "StreamComplete" ? request.request : request) as { messages: JsonValue[] };
  messages.splice(-1, 0, answer.message);
  return { ...scenario, request: request as JsonValue };
}

function foldEvents(events: JsonValue[]): Outcome {
  const response = fold(events.map((event) => fromJson(StreamCompleteResponseSchema, event)));
  return { folded: toJson(CompleteResponseSchema, response) };
}

async function makeCall(plan: Plan, scenario: Scenario): Promise<Outcome> {
  const client = connect(plan.addresses[scenario.address] ?? "", {
    token: scenario.token,
    tls: scenario.address === "tls" && { ca: readFileSync(plan.certificate_authority) },
    grpcOptions: {
      ...(scenario.compression === "gzip" && { "grpc.default_compression_algorithm": compressionAlgorithms.gzip }),
      // The transformer sends the bytes of the plan in place of the message.
      callInvocationTransformer: (call) => ({
        ...call,
        methodDefinition: replaceSerializer(scenario, call.methodDefinition),
      }),
    },
  });
  const { complete, classify, listModels, streamComplete } = client;
  const { method } = ReasoningService;
  try {
    switch (scenario.rpc) {
      case "Complete":
        return await callUnary(scenario, method.complete, complete);
      case "Classify":
        return await callUnary(scenario, method.classify, classify);
      case "ListModels":
        return await callUnary(scenario, method.listModels, listModels);
      case "StreamComplete":
        return await readStream(scenario, streamComplete);
      default:
        return { failure: `unknown RPC ${scenario.rpc}` };
    }
  } finally {
    client.close();
  }
}

function replaceSerializer<D extends { requestSerialize: (request: never) => Buffer }>(
  scenario: Scenario,
  definition: D,
): D {
  const { request_base64: encoded } = scenario;
  return encoded === undefined ? definition : { ...definition, requestSerialize: () => Buffer.from(encoded, "base64") };
}

async function callUnary<I extends DescMessage, O extends DescMessage>(
  scenario: Scenario,
  { input, output }: { input: I; output: O },
  call: (request: MessageShape<I>, options: CallOptions) => Promise<MessageShape<O>>,
): Promise<Outcome> {
  const abort = new AbortController();
  const request = fromJson(input, scenario.request ?? {});
  try {
    const response = call(request, buildOptions(scenario, abort.signal));
    if (scenario.cancel_after_events === 0) abort.abort();
    return { response: toJson(output, await response) };
  } catch (error) {
    return { error: describeError(error) };
  }
}

async function readStream(scenario: Scenario, call: ReturnType<typeof connect>["streamComplete"]): Promise<Outcome> {
  const abort = new AbortController();
  const request = fromJson(ReasoningService.method.streamComplete.input, scenario.request ?? {});
  const events: StreamCompleteResponse[] = [];
  const describeEvents = () => ({
    events: events.map((event) => toJson(StreamCompleteResponseSchema, event)),
    unknown_events: events.filter(({ kind }) => kind.case === undefined).length,
  });
  try {
    const stream = call(request, buildOptions(scenario, abort.signal));
    let next = stream.next();
    for (;;) {
      if (scenario.cancel_after_events === events.length) abort.abort();
      const { done, value } = await next;
      if (done) break;
      events.push(value);
      next = stream.next();
    }
    return { ...describeEvents(), folded: toJson(CompleteResponseSchema, fold(events)) };
  } catch (error) {
    return { ...describeEvents(), error: describeError(error) };
  }
}

function buildOptions({ metadata, timeout_seconds }: Scenario, signal: AbortSignal): CallOptions {
  return { metadata, timeoutSeconds: timeout_seconds, signal };
}

function describeError(error: unknown): JsonValue {
  if (!(error instanceof CallFailed)) throw error;
  return {
    code: error.codeName,
    message: error.statusMessage,
    reason: error.reason,
    domain: error.domain,
    metadata: { ...error.metadata },
    request_id: error.requestId,
    retry_after_seconds: error.retryAfterSeconds ?? null,
    violations: error.violations.map((violation) => ({ ...violation })),
    interruption: error.interruption ? toJson(InterruptionSchema, error.interruption) : null,
    route_decision: error.routeDecision ? toJson(RouteDecisionSchema, error.routeDecision) : null,
  };
}

const [planPath, resultsPath] = process.argv.slice(2);
if (!planPath || !resultsPath) throw new Error("usage: runner PLAN RESULTS");
const plan = JSON.parse(readFileSync(planPath, "utf8")) as Plan;
const outcomes = new Map<string, Outcome>();
for (const scenario of plan.scenarios) {
  outcomes.set(scenario.name, await runScenario(plan, insertAnswer(scenario, outcomes)));
}
const results = [...outcomes].map(([name, outcome]) => ({ name, ...outcome }));
writeFileSync(resultsPath, JSON.stringify({ client: "typescript", results }, undefined, 2) + "\n");
