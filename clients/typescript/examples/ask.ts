// Sends a question to the reasoning agent and prints the agent's steps and its answer. The answer goes to standard output,
// everything else to standard error. The environment variable REASONING_TARGET sets the server's address, which is
// otherwise 127.0.0.1:50051, and REASONING_TOKEN sets the token.
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
const interruption = new AbortController();
process.once("SIGINT", () => interruption.abort());
try {
  const request = {
    ...textRequest(question),
    routing: { mode: RoutingMode.REASONING },
    include: { thoughts: true, toolResults: true },
  };
  const options = { signal: interruption.signal, timeoutSeconds: 120 };
  for await (const event of client.streamComplete({ request }, options)) printEvent(event);
} catch (error) {
  if (!(error instanceof CallFailed)) throw error;
  console.error(`\n${error.reason || error.codeName}: ${error.statusMessage}`);
  for (const { field, description } of error.violations) console.error(`  ${field}: ${description}`);
  process.exitCode = 1;
} finally {
  client.close();
}

/** Prints one event: the answer to standard output, everything else to standard error. It ignores unknown kinds. */
function printEvent({ step, kind }: StreamCompleteResponse): void {
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
      if (kind.value.execution) console.error(`  ${formatTool(kind.value.execution)}`);
      break;
    case "reasoningFinished":
      console.error(formatReasoning(kind.value));
      break;
    case "contentDelta":
      process.stdout.write(kind.value.text);
      break;
    case "completed":
      process.stdout.write("\n");
      console.error(formatSummary(kind.value));
      break;
  }
}

function formatTool({ name, status, error, result }: ToolExecution): string {
  return `${name}: ${enumWords(ToolStatus[status])}: ${error || result}`;
}

function formatReasoning({ stepCount, toolCallCount, reason }: ReasoningFinished): string {
  return `thought in ${stepCount} steps with ${toolCallCount} tool calls: ${enumWords(ReasoningEnd[reason])}`;
}

function formatSummary({ finishReason, usage, cost, timings }: Completed): string {
  const facts = [enumWords(FinishReason[finishReason])];
  const about = usage?.source === UsageSource.ESTIMATED ? "about " : "";
  if (usage) facts.push(`${about}${usage.inputTokens} + ${usage.outputTokens} tokens`);
  if (cost) facts.push(`$${(Number(cost.totalNanoUsd) / 1e9).toFixed(6)}`);
  if (timings?.totalDuration) facts.push(`${durationMs(timings.totalDuration)} ms`);
  return `done: ${facts.join(", ")}`;
}

/** Returns the name of an enum value in plain words. A newer server may send a value that has no name here. */
function enumWords(name: string | undefined): string {
  return name?.toLowerCase().replaceAll("_", " ") ?? "unknown";
}
