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

/** The values of {@link CallFailed.reason}: the known reasons, and any string, because newer servers add reasons. */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED"> | (string & {});

/** Names an invalid field of the request and describes the problem. */
export interface FieldViolation {
  /** The path of the field, such as "sampling.temperature". */
  readonly field: string;
  /** What is wrong with the field, in a sentence for people. */
  readonly description: string;
}

/** Reports that a call ended with a status that is not OK. `cause` holds the error of grpc-js. */
export class CallFailed extends Error {
  /** The status code, a value of grpc-js's `status`. */
  readonly code: status;
  /** The name of the status code, such as "NOT_FOUND". */
  readonly codeName: string;
  /** The message of the status, a sentence for people. It may change, so branch on `reason` instead. */
  readonly statusMessage: string;
  /** Why the call failed. Empty when gRPC itself ended the call: cancellation, deadline, no connection. */
  readonly reason: Reason;
  /** The system that defines the reason: "reasoning-grpc". Empty when there is no reason. */
  readonly domain: string;
  /** The values that appear in the message, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Identifies the call in the server's log. Empty when gRPC itself ended the call. */
  readonly requestId: string;
  /**
   * How long to wait before you send the same call again. Undefined when a retry would not help, or would repeat what the
   * server has already sent.
   */
  readonly retryAfterSeconds: number | undefined;
  /** The invalid fields of the request. */
  readonly violations: readonly FieldViolation[];
  /** How far the call had come. Set when the server had called a model. */
  readonly interruption: Interruption | undefined;
  /** How the server routed the request. Set when this build of the server cannot serve the route. */
  readonly routeDecision: RouteDecision | undefined;
  /** All details of the status, including those that the properties above do not hold, for `anyUnpack` of protobuf-es. */
  readonly details: readonly Any[];

  /** Reads an error of grpc-js. The typed client creates its CallFailed errors with it. */
  constructor(error: ServiceError) {
    super(`${status[error.code]}: ${error.details}`, { cause: error });
    this.name = "CallFailed";
    this.code = error.code;
    this.codeName = status[error.code];
    this.statusMessage = error.details;
    this.details = readDetails(error);
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
    this.routeDecision = this.detail(RouteDecisionSchema);
  }

  /** Returns the first detail of this kind, or undefined when the status has none that can be read. */
  detail<M extends DescMessage>(kind: M): MessageShape<M> | undefined {
    for (const packed of this.details) {
      const detail = unpack(packed, kind);
      if (detail) return detail;
    }
    return undefined;
  }
}

function unpack<M extends DescMessage>(packed: Any, kind: M): MessageShape<M> | undefined {
  try {
    return anyUnpack(packed, kind);
  } catch {
    return undefined; // an unreadable detail must not hide the status or the other details
  }
}

function readDetails(error: ServiceError): Any[] {
  const [encoded] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!(encoded instanceof Uint8Array)) return [];
  try {
    return fromBinary(StatusSchema, encoded).details;
  } catch {
    return []; // unreadable details must not hide the status
  }
}
