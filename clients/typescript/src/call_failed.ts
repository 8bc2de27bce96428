import { type DescMessage, type MessageShape, fromBinary } from "@bufbuild/protobuf";
import { type Any, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { type ServiceError, status } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";
import type { ErrorReason } from "./gen/reasoning_grpc/v1/errors_pb.js";
import { type Interruption, InterruptionSchema } from "./gen/reasoning_grpc/v1/interruption_pb.js";
import { type RouteDecision, RouteDecisionSchema } from "./gen/reasoning_grpc/v1/routing_pb.js";

/** Why a call failed, as {@link CallFailed.reason} tells it: the known ones, and those that later servers add. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | (string & {});

/** A field of the request, and what is wrong with it. */
export interface FieldViolation {
  /** Path of the field, such as "sampling.temperature". */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** A call ended with a status that is not OK. `cause` is the error of grpc-js. */
export class CallFailed extends Error {
  /** The status code, one of grpc-js's `status`. */
  readonly code: status;
  /** Name of the status code, such as "NOT_FOUND". */
  readonly codeName: string;
  /** The status's message. For people: branch on `reason`, never on this. */
  readonly statusMessage: string;
  /** Why. Empty when gRPC itself ended the call: a cancel, a deadline, no connection. */
  readonly reason: Reason;
  /** Whose reason it is: "reasoning-grpc". Empty without a reason. */
  readonly domain: string;
  /** The values in the message, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Id of the request, as the server's log has it. Empty when gRPC itself ended the call. */
  readonly requestId: string;
  /** When to try again. Undefined when a retry is of no use, or would repeat what was sent. */
  readonly retryAfterSeconds: number | undefined;
  /** What is wrong with the request. */
  readonly violations: readonly FieldViolation[];
  /** How far the call had come, when an upstream was reached. */
  readonly interruption: Interruption | undefined;
  /** The decision, when this build of the server does not serve it. */
  readonly route: RouteDecision | undefined;
  /** All details of the status, these and others, for `anyUnpack` of protobuf-es. */
  readonly details: readonly Any[];

  /** Reads an error of grpc-js. The typed client throws these by itself. */
  constructor(error: ServiceError) {
    super(`${status[error.code]}: ${error.details}`, { cause: error });
    this.name = "CallFailed";
    this.code = error.code;
    this.codeName = status[error.code];
    this.statusMessage = error.details;
    this.details = detailsOf(error);
    const info = this.detail(ErrorInfoSchema);
    const retry = this.detail(RetryInfoSchema);
    this.reason = info?.reason ?? "";
    this.domain = info?.domain ?? "";
    this.metadata = info?.metadata ?? {};
    this.requestId = this.detail(RequestInfoSchema)?.requestId ?? "";
    this.retryAfterSeconds = retry && (retry.retryDelay ? durationMs(retry.retryDelay) / 1000 : 0);
    this.violations = (this.detail(BadRequestSchema)?.fieldViolations ?? []).map(({ field, description }) => ({
      field,
      description,
    }));
    this.interruption = this.detail(InterruptionSchema);
    this.route = this.detail(RouteDecisionSchema);
  }

  /** The detail of a kind, if the status has one that can be read. */
  detail<M extends DescMessage>(kind: M): MessageShape<M> | undefined {
    for (const packed of this.details) {
      const detail = unpacked(packed, kind);
      if (detail) return detail;
    }
    return undefined;
  }
}

function unpacked<M extends DescMessage>(packed: Any, kind: M): MessageShape<M> | undefined {
  try {
    return anyUnpack(packed, kind);
  } catch {
    return undefined; // one that cannot be read must hide neither the status nor the others
  }
}

function detailsOf(error: ServiceError): Any[] {
  const [encoded] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!(encoded instanceof Uint8Array)) return [];
  try {
    return fromBinary(StatusSchema, encoded).details;
  } catch {
    return []; // details that cannot be read must not hide the status
  }
}
