import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServiceError, Metadata, status } from "@grpc/grpc-js";
import { CallFailed, InterruptionSchema, RouteDecisionSchema, RoutingMode } from "@reasoning-grpc/client";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "@reasoning-grpc/client/google/rpc";
import { detail, failure } from "./server.js";

function readFailure(init: Pick<ServiceError, "code" | "details" | "metadata">): CallFailed {
  return new CallFailed(Object.assign(new Error("from grpc-js"), init));
}

test("CallFailed reads every detail of a status", () => {
  const failed = readFailure(
    failure(status.RESOURCE_EXHAUSTED, "Too many.", [
      detail(ErrorInfoSchema, { reason: "CALLER_LIMIT", domain: "reasoning-grpc", metadata: { limit: "4" } }),
      detail(RequestInfoSchema, { requestId: "req_1" }),
      detail(RetryInfoSchema, { retryDelay: { seconds: 1n, nanos: 500_000_000 } }),
      detail(BadRequestSchema, { fieldViolations: [{ field: "messages", description: "Too many." }] }),
      detail(InterruptionSchema, { responseId: "rsp_1", lastSequence: -1 }),
      detail(RouteDecisionSchema, { route: "orchestration", mode: RoutingMode.ORCHESTRATION }),
      detail(QuotaFailureSchema, { violations: [{ subject: "caller:billing" }] }),
    ]),
  );

  assert.equal(failed.message, "RESOURCE_EXHAUSTED: Too many.");
  assert.equal(failed.code, status.RESOURCE_EXHAUSTED);
  assert.equal(failed.codeName, "RESOURCE_EXHAUSTED");
  assert.equal(failed.statusMessage, "Too many.");
  assert.equal(failed.reason, "CALLER_LIMIT");
  assert.equal(failed.domain, "reasoning-grpc");
  assert.deepEqual({ ...failed.metadata }, { limit: "4" });
  assert.equal(failed.requestId, "req_1");
  assert.equal(failed.retryAfterSeconds, 1.5);
  assert.deepEqual(failed.violations, [{ field: "messages", description: "Too many." }]);
  assert.equal(failed.interruption?.lastSequence, -1);
  assert.equal(failed.routeDecision?.mode, RoutingMode.ORCHESTRATION);
  assert.equal(failed.detail(QuotaFailureSchema)?.violations[0]?.subject, "caller:billing");
  assert.equal((failed.cause as Error).message, "from grpc-js");
});

test("CallFailed has only a code and a message when gRPC itself ended the call", () => {
  const failed = readFailure({ code: status.CANCELLED, details: "Cancelled on client", metadata: new Metadata() });

  assert.equal(failed.codeName, "CANCELLED");
  assert.deepEqual(
    [failed.reason, failed.domain, failed.metadata, failed.requestId, failed.retryAfterSeconds, failed.violations],
    ["", "", {}, "", undefined, []],
  );
  assert.deepEqual([failed.interruption, failed.routeDecision, failed.details], [undefined, undefined, []]);
});

test("CallFailed reads the status when its details cannot be read", () => {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from([255, 255]));

  assert.equal(readFailure({ code: status.INTERNAL, details: "broken", metadata }).message, "INTERNAL: broken");
});

test("CallFailed reads the other details when one cannot be read", () => {
  const broken = { ...detail(RetryInfoSchema, {}), value: new Uint8Array([255, 255]) };
  const failed = readFailure(
    failure(status.INTERNAL, "broken", [broken, detail(RequestInfoSchema, { requestId: "req_1" })]),
  );

  assert.equal(failed.retryAfterSeconds, undefined);
  assert.equal(failed.requestId, "req_1");
});

test("retryAfterSeconds is 0 when the server allows a retry without a delay", () => {
  const failed = readFailure(failure(status.UNAVAILABLE, "full", [detail(RetryInfoSchema, {})]));

  assert.equal(failed.retryAfterSeconds, 0);
});
