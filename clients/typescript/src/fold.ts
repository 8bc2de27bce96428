import { clone, create } from "@bufbuild/protobuf";
import { type ReasoningFinished, type Step, StepSchema, type ToolExecution } from "./gen/reasoning_grpc/v1/agent_pb.js";
import { type CompleteResponse, CompleteResponseSchema } from "./gen/reasoning_grpc/v1/completion_pb.js";
import type {
  Completed,
  ContentDelta,
  ReasoningDelta,
  Started,
  StepFinished,
  StreamCompleteResponse,
  ToolCallDelta,
  ToolCallPlan,
} from "./gen/reasoning_grpc/v1/events_pb.js";
import {
  type Message,
  MessageSchema,
  type Part,
  PartSchema,
  ReasoningSchema,
  Role,
  ToolCallSchema,
} from "./gen/reasoning_grpc/v1/messages_pb.js";

type Kind = StreamCompleteResponse["kind"];

/** The answer that a whole stream of events tells: what `complete` would have given. Throws when it is not whole. */
export function fold(events: Iterable<StreamCompleteResponse>): CompleteResponse {
  const folder = new Folder();
  for (const event of events) folder.add(event);
  return folder.response();
}

/** Folds a stream while it is read: each event is added as it comes, and the answer is had at the end. */
export class Folder {
  #responseId = "";
  #started: Started | undefined;
  #completed: Completed | undefined;
  #reasoningFinished: ReasoningFinished | undefined;
  readonly #steps = new Steps();
  readonly #answer = new Answer();

  /** Takes one event. */
  add({ responseId, step, kind }: StreamCompleteResponse): void {
    this.#responseId = responseId;
    if (kind.case === "started") this.#started = kind.value;
    else if (kind.case === "completed") this.#completed = kind.value;
    else if (kind.case === "reasoningFinished") this.#reasoningFinished = kind.value;
    else if (step > 0) this.#steps.add(step, kind);
    else this.#answer.add(kind);
  }

  /** The answer so far: also what a stream that failed had said. */
  message(): Message {
    return create(MessageSchema, { role: Role.ASSISTANT, content: this.#answer.parts.map(cloned) });
  }

  /** The whole answer. Throws when `started` or `completed` was not among the events. */
  response(): CompleteResponse {
    const [started, completed] = [this.#started, this.#completed];
    if (!started || !completed) throw new Error("a stream without `started` or `completed` cannot be folded");
    return create(CompleteResponseSchema, {
      responseId: this.#responseId,
      traceId: started.traceId,
      route: started.route,
      effectiveSettings: started.effectiveSettings,
      message: this.message(),
      steps: this.#steps.ended,
      reasoningFinished: this.#reasoningFinished,
      model: completed.model,
      finishReason: completed.finishReason,
      providerFinishReason: completed.providerFinishReason,
      usage: completed.usage,
      cost: completed.cost,
      timings: completed.timings,
      attempts: completed.attempts,
    });
  }
}

/** Joins the events of steps to steps. */
class Steps {
  readonly ended: Step[] = [];
  #step = create(StepSchema);
  #planned: ToolCallPlan[] = [];
  #executions = new Map<string, ToolExecution | undefined>();

  add(number: number, kind: Kind): void {
    switch (kind.case) {
      case "stepStarted":
        this.#step = create(StepSchema, { number });
        this.#planned = [];
        this.#executions.clear();
        break;
      case "stepPlanned":
        this.#step.thought = kind.value.thought;
        this.#step.nextAction = kind.value.nextAction;
        this.#planned = kind.value.toolCalls;
        break;
      case "toolFinished":
        this.#executions.set(kind.value.execution?.callId ?? "", kind.value.execution);
        break;
      case "stepFinished":
        this.ended.push(this.#end(kind.value));
        break;
    }
  }

  #end({ outcome, usage }: StepFinished): Step {
    const planned = this.#planned.map(({ callId }) => this.#executions.get(callId));
    const toolExecutions = planned.filter((execution) => execution !== undefined);
    return Object.assign(this.#step, { toolExecutions, outcome, usage });
  }
}

/** Joins the pieces of an answer to the parts of a message, in the order in which they began. */
class Answer {
  readonly parts: Part[] = [];
  readonly #calls = new Map<string, Part>();

  add(kind: Kind): void {
    switch (kind.case) {
      case "contentDelta":
        this.#addContent(kind.value);
        break;
      case "reasoningDelta":
        this.#addReasoning(kind.value);
        break;
      case "toolCallDelta":
        this.#addToolCall(kind.value);
        break;
    }
  }

  #addContent({ text, refusal, signature }: ContentDelta): void {
    if (text) append(this.#open(refusal ? "refusal" : "text"), text, signature);
    else if (signature) (this.#lastText() ?? this.#open("text")).signature = signature;
  }

  #addReasoning({ form, signature }: ReasoningDelta): void {
    if (form.case === "redacted" && form.value.length > 0) {
      this.#begin({ case: "reasoning", value: create(ReasoningSchema, { form }) }).signature = signature;
    } else {
      append(this.#open("reasoning"), form.case === "text" ? form.value : "", signature);
    }
  }

  #addToolCall({ callId, name, arguments: text, signature }: ToolCallDelta): void {
    const part =
      this.#calls.get(callId) ?? this.#begin({ case: "toolCall", value: create(ToolCallSchema, { id: callId }) });
    this.#calls.set(callId, part);
    if (part.kind.case === "toolCall") part.kind.value.name ||= name;
    append(part, text, signature);
  }

  #lastText(): Part | undefined {
    return this.parts.findLast(({ kind }) => kind.case === "text");
  }

  /** The last part, if it is of this kind and goes on; else a new one. */
  #open(wanted: "text" | "refusal" | "reasoning"): Part {
    const last = this.parts.at(-1);
    if (last?.kind.case === wanted && !last.signature && !isRedacted(last)) return last;
    if (wanted !== "reasoning") return this.#begin({ case: wanted, value: "" });
    return this.#begin({ case: wanted, value: create(ReasoningSchema, { form: { case: "text", value: "" } }) });
  }

  #begin(kind: Part["kind"]): Part {
    const part = create(PartSchema, { kind });
    this.parts.push(part);
    return part;
  }
}

/** The part as it is, whatever is added to it later. */
function cloned(part: Part): Part {
  return clone(PartSchema, part);
}

function isRedacted({ kind }: Part): boolean {
  return kind.case === "reasoning" && kind.value.form.case === "redacted";
}

function append(part: Part, text: string, signature: string): void {
  const { kind } = part;
  if (kind.case === "text" || kind.case === "refusal") kind.value += text;
  else if (kind.case === "toolCall") kind.value.arguments += text;
  else if (kind.case === "reasoning" && kind.value.form.case === "text") kind.value.form.value += text;
  if (signature) part.signature = signature;
}
