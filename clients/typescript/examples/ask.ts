// Has the reasoning agent answer a question, and shows how it does: the answer goes to standard output, all else to
// standard error. REASONING_TARGET and REASONING_TOKEN give the server, else 127.0.0.1:50051, and the token.
//
//   node build/examples/ask.js [--target HOST:PORT] "What is 23 times 19?"
import { parseArgs } from "node:util";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  CallFailed,
  type Completed,
  FinishReason,
  type ReasoningFinished,
  ReasoningEnd,
  RoutingMode,
  type StreamCompleteResponse,
  type ToolExecution,
  ToolStatus,
  UsageSource,
  connect,
  textRequest,
} from "@reasoning-grpc/client";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { target: { type: "string", default: process.env["REASONING_TARGET"] || "127.0.0.1:50051" } },
});
const question = positionals.join(" ");
if (!question) {
  console.error("usage: ask [--target HOST:PORT] QUESTION");
  process.exit(2);
}

const client = connect(values.target ?? "", { token: process.env["REASONING_TOKEN"] });
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
try {
  const request = {
    ...textRequest(question),
    routing: { mode: RoutingMode.REASONING },
    include: { thoughts: true, toolResults: true },
  };
  const options = { signal: interrupted.signal, timeoutSeconds: 120 };
  for await (const event of client.streamComplete({ request }, options)) show(event);
} catch (error) {
  if (!(error instanceof CallFailed)) throw error;
  console.error(`\n${error.reason || error.codeName}: ${error.statusMessage}`);
  for (const { field, description } of error.violations) console.error(`  ${field}: ${description}`);
  process.exitCode = 1;
} finally {
  client.close();
}

/** Prints one event: the answer to standard output, all else to standard error. Kinds it does not know it passes over. */
function show({ step, kind }: StreamCompleteResponse): void {
  switch (kind.case) {
    case "started":
      console.error(`route: ${kind.value.routeDecision?.route}, model: ${kind.value.model}`);
      break;
    case "stepStarted":
      console.error(`step ${step} of ${kind.value.maxSteps}`);
      break;
    case "stepPlanned":
      if (kind.value.thought) console.error(`  ${kind.value.thought.trim()}`);
      break;
    case "toolStarted":
      console.error(`  ${kind.value.name} ${kind.value.arguments}`);
      break;
    case "toolFinished":
      if (kind.value.execution) console.error(`  ${toolLine(kind.value.execution)}`);
      break;
    case "reasoningFinished":
      console.error(thoughtLine(kind.value));
      break;
    case "contentDelta":
      process.stdout.write(kind.value.text);
      break;
    case "completed":
      process.stdout.write("\n");
      console.error(summaryLine(kind.value));
      break;
  }
}

function toolLine({ name, status, error, result }: ToolExecution): string {
  return `${name}: ${words(ToolStatus[status])}: ${error || result}`;
}

function thoughtLine({ stepCount, toolCallCount, reason }: ReasoningFinished): string {
  return `thought in ${stepCount} steps with ${toolCallCount} tool calls: ${words(ReasoningEnd[reason])}`;
}

function summaryLine({ finishReason, usage, cost, timings }: Completed): string {
  const facts = [words(FinishReason[finishReason])];
  const about = usage?.source === UsageSource.ESTIMATED ? "about " : "";
  if (usage) facts.push(`${about}${usage.inputTokens} + ${usage.outputTokens} tokens`);
  if (cost) facts.push(`$${(Number(cost.totalNanoUsd) / 1e9).toFixed(6)}`);
  if (timings?.totalDuration) facts.push(`${durationMs(timings.totalDuration)} ms`);
  return `done: ${facts.join(", ")}`;
}

/** An enum value's name as words; a later server may send one that this client has no name for. */
function words(name: string | undefined): string {
  return name?.toLowerCase().replaceAll("_", " ") ?? "unknown";
}
