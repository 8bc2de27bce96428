import { clone, create } from "@bufbuild/protobuf";
import { type ReasoningFinished, type Step, StepSchema, type ToolExecution } from "./gen/reasoning_grpc/v1/agent_pb.js";
import {
  type CompleteResponse,
  CompleteResponseSchema,
  type EffectiveSetting,
} from "./gen/reasoning_grpc/v1/completion_pb.js";
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
  type PausedRun,
  ReasoningSchema,
  Role,
  ToolCallSchema,
} from "./gen/reasoning_grpc/v1/messages_pb.js";
import { type PlanCreated, type Task, TaskSchema } from "./gen/reasoning_grpc/v1/orchestration_pb.js";
import type { RouteDecision } from "./gen/reasoning_grpc/v1/routing_pb.js";

type Kind = StreamCompleteResponse["kind"];

/**
 * Joins the events of a whole stream into one answer, as `complete` would have returned it. Throws when the `started` or
 * the `completed` event is missing.
 */
export function fold(events: Iterable<StreamCompleteResponse>): CompleteResponse {
  const folder = new Folder();
  for (const event of events) folder.add(event);
  return folder.response();
}

/**
 * Joins the events of a stream into one answer while the stream is read. It is for programs that handle each event and
 * also need the whole answer at the end.
 */
export class Folder {
  #started: Started | undefined;
  #completed: Completed | undefined;
  #reasoningFinished: ReasoningFinished | undefined;
  #pausedRun: PausedRun | undefined;
  #routeDecision: RouteDecision | undefined;
  readonly #effectiveSettings: EffectiveSetting[] = [];
  readonly #tasks = new Tasks();
  readonly #steps = new Steps();
  readonly #answer = new Answer();

  /** Records the next event. */
  add({ task, step, kind }: StreamCompleteResponse): void {
    if (kind.case === "planCreated" || (task > 0 && kind.case !== "attemptSwitched")) {
      this.#tasks.add(task, step, kind);
      return;
    }
    switch (kind.case) {
      case "started":
        this.#started = kind.value;
        this.#routeDecision = kind.value.routeDecision;
        this.#effectiveSettings.push(...kind.value.effectiveSettings);
        break;
      case "attemptSwitched":
        this.#effectiveSettings.push(...kind.value.effectiveSettings);
        break;
      case "reasoningFinished":
        this.#reasoningFinished = kind.value;
        break;
      case "routeChanged":
        this.#routeDecision = kind.value.routeDecision;
        break;
      case "completed":
        this.#completed = kind.value;
        break;
      case "runPaused":
        this.#pausedRun = kind.value;
        break;
      default:
        if (step > 0) this.#steps.add(step, kind);
        else this.#answer.add(kind);
    }
  }

  /** Returns the answer so far. After a stream has failed, it is the part of the answer that had arrived. */
  message(): Message {
    const content = this.#answer.parts.map(copyPart);
    if (this.#pausedRun) content.push(create(PartSchema, { kind: { case: "pausedRun", value: this.#pausedRun } }));
    return create(MessageSchema, { role: Role.ASSISTANT, content });
  }

  /** Returns the whole answer. Throws when the `started` or the `completed` event has not been added. */
  response(): CompleteResponse {
    const [started, completed] = [this.#started, this.#completed];
    if (!started || !completed)
      throw new Error("cannot fold a stream that lacks its `started` or its `completed` event");
    return create(CompleteResponseSchema, {
      responseId: started.responseId,
      traceId: started.traceId,
      routeDecision: this.#routeDecision,
      effectiveSettings: this.#effectiveSettings,
      message: this.message(),
      steps: this.#steps.finished,
      reasoningFinished: this.#reasoningFinished,
      model: completed.model,
      finishReason: completed.finishReason,
      providerFinishReason: completed.providerFinishReason,
      usage: completed.usage,
      modelCalls: completed.modelCalls,
      cost: completed.cost,
      timings: completed.timings,
      attempts: completed.attempts,
      plans: this.#tasks.plans,
      tasks: this.#tasks.finished,
    });
  }
}

/** Collects the plans, and the attempts at tasks from their events, which interleave. */
class Tasks {
  readonly plans: PlanCreated[] = [];
  readonly finished: Task[] = [];
  readonly #steps = new Map<number, Steps>();
  readonly #ends = new Map<number, ReasoningFinished>();

  add(number: number, step: number, kind: Kind): void {
    switch (kind.case) {
      case "planCreated":
        this.plans.push(kind.value);
        break;
      case "reasoningFinished":
        this.#ends.set(number, kind.value);
        break;
      case "taskFinished":
        this.finished.push(this.#build(number, kind.value.task));
        break;
      default: {
        const steps = this.#steps.get(number) ?? new Steps();
        this.#steps.set(number, steps);
        steps.add(step, kind);
      }
    }
  }

  /** Returns the attempt with this number, with its steps and the end of its thinking. */
  #build(number: number, finished: Task | undefined): Task {
    const task = finished ? clone(TaskSchema, finished) : create(TaskSchema);
    task.steps = this.#steps.get(number)?.finished ?? [];
    task.reasoningFinished = this.#ends.get(number);
    return task;
  }
}

/** Collects the agent's steps from the events that belong to a step. */
class Steps {
  readonly finished: Step[] = [];
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
        this.finished.push(this.#finish(kind.value));
        break;
    }
  }

  #finish({ outcome, usage }: StepFinished): Step {
    const planned = this.#planned.map(({ callId }) => this.#executions.get(callId));
    const toolExecutions = planned.filter((execution) => execution !== undefined);
    return Object.assign(this.#step, { toolExecutions, outcome, usage });
  }
}

/** Joins the deltas of the answer into message parts. The parts are in the order of their first deltas. */
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
    if (text) append(this.#findOpen(refusal ? "refusal" : "text"), text, signature);
    else if (signature) (this.#findLastText() ?? this.#begin({ case: "text", value: "" })).signature = signature;
  }

  #addReasoning({ form, signature }: ReasoningDelta): void {
    if (form.case === "redacted" && form.value.length > 0) {
      this.#begin({ case: "reasoning", value: create(ReasoningSchema, { form }) }).signature = signature;
    } else {
      append(this.#findOpen("reasoning"), form.case === "text" ? form.value : "", signature);
    }
  }

  #addToolCall({ callId, name, arguments: text, signature }: ToolCallDelta): void {
    const part =
      this.#calls.get(callId) ?? this.#begin({ case: "toolCall", value: create(ToolCallSchema, { id: callId }) });
    this.#calls.set(callId, part);
    if (part.kind.case === "toolCall") part.kind.value.name ||= name;
    append(part, text, signature);
  }

  #findLastText(): Part | undefined {
    return this.parts.findLast(({ kind }) => kind.case === "text");
  }

  /** Returns the last part when it is of this kind and has no signature yet, and otherwise a new part. */
  #findOpen(wanted: "text" | "refusal" | "reasoning"): Part {
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

/** Copies a part, so that later deltas do not change it. */
function copyPart(part: Part): Part {
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
