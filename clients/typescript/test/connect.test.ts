import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Metadata, type ServiceError, makeClientConstructor, status } from "@grpc/grpc-js";
import {
  type CompleteResponse,
  CompleteRequestSchema,
  CompleteResponseSchema,
  channelCredentials,
  clientOptions,
  connect,
  defaultServiceConfig,
  reasoningServiceDefinition,
  textRequest,
} from "@reasoning-grpc/client";
import { TestServer, failure } from "./server.js";

const SERVICE_CONFIG = new URL("../../../service_config.json", import.meta.url);

test("the client has the service config that all clients share", () => {
  assert.deepEqual(defaultServiceConfig, JSON.parse(readFileSync(SERVICE_CONFIG, "utf8")));
});

test("every call sends the token and the metadata, and the call's own metadata replaces them", async (t) => {
  const received: Record<string, unknown>[] = [];
  const server = await TestServer.start({
    complete: (call, reply) => {
      const { authorization, team, "x-routing-mode": mode } = call.metadata.getMap();
      received.push({ authorization, team, mode });
      reply(null, create(CompleteResponseSchema));
    },
  });
  t.after(() => server.stop());
  const client = connect(server.address, { token: "a-token", metadata: { team: "a" } });
  t.after(() => client.close());

  await client.complete(textRequest("hi"));
  await client.complete(textRequest("hi"), { metadata: { team: "b", "x-routing-mode": "auto" }, interceptors: [] });

  assert.deepEqual(received, [
    { authorization: "Bearer a-token", team: "a", mode: undefined },
    { authorization: "Bearer a-token", team: "b", mode: "auto" },
  ]);
});

test("connect rejects a token that a header cannot hold, and does not show it in the error", () => {
  for (const token of ["two words", "a-line\n", "caf\u00e9"]) {
    assert.throws(() => connect("127.0.0.1:1", { token }), {
      message: "the token must consist of visible ASCII characters",
    });
  }
});

test("the plain stub of grpc-js works with the options of connect", async (t) => {
  const server = await TestServer.start({
    complete: (call, reply) =>
      reply(null, create(CompleteResponseSchema, { model: String(call.metadata.get("authorization")) })),
  });
  t.after(() => server.stop());
  const Stub = makeClientConstructor(reasoningServiceDefinition, "ReasoningService");
  const stub = new Stub(server.address, channelCredentials(), clientOptions({ token: "a-token" }));
  t.after(() => stub.close());

  const response = await new Promise<CompleteResponse>((resolve, reject) =>
    stub.Complete!(
      create(CompleteRequestSchema, textRequest("hi")),
      (error: ServiceError | null, value: CompleteResponse) => (error ? reject(error) : resolve(value)),
    ),
  );

  assert.equal(response.model, "Bearer a-token");
});

test("the client accepts an answer of 8 MB", async (t) => {
  const text = "x".repeat(8_000_000);
  const server = await TestServer.start({
    complete: (_, reply) => reply(null, create(CompleteResponseSchema, { model: text })),
  });
  t.after(() => server.stop());
  const client = connect(server.address);
  t.after(() => client.close());

  assert.equal((await client.complete(textRequest("hi"))).model.length, text.length);
});

test("a call that failed with UNAVAILABLE is sent again when the server allows it", async (t) => {
  const attempts: string[][] = [];
  const server = await TestServer.start({
    complete: (call, reply) => {
      attempts.push(call.metadata.get("grpc-previous-rpc-attempts").map(String));
      const unavailable = failure(status.UNAVAILABLE, "full", [], { "grpc-retry-pushback-ms": "1" });
      if (attempts.length < 3) reply(unavailable);
      else reply(null, create(CompleteResponseSchema, { model: "fast" }));
    },
  });
  t.after(() => server.stop());
  const client = connect(server.address);
  t.after(() => client.close());

  assert.equal((await client.complete(textRequest("hi"))).model, "fast");
  assert.deepEqual(attempts, [[], ["1"], ["2"]]);
});

test("a call that failed with UNAVAILABLE is not sent again when the pushback is negative", async (t) => {
  let attempts = 0;
  const server = await TestServer.start({
    complete: (_, reply) => {
      attempts += 1;
      reply(failure(status.UNAVAILABLE, "cut", [], { "grpc-retry-pushback-ms": "-1" }));
    },
  });
  t.after(() => server.stop());
  const client = connect(server.address);
  t.after(() => client.close());

  await assert.rejects(client.complete(textRequest("hi")), { name: "CallFailed", code: status.UNAVAILABLE });
  assert.equal(attempts, 1);
});

test("a request over 1 MiB is sent once", async (t) => {
  let attempts = 0;
  const server = await TestServer.start({
    complete: (_, reply) => {
      attempts += 1;
      reply(failure(status.UNAVAILABLE, "full", [], { "grpc-retry-pushback-ms": "1" }));
    },
  });
  t.after(() => server.stop());
  const client = connect(server.address);
  t.after(() => client.close());

  await assert.rejects(client.complete(textRequest("x".repeat(1_000_000))), { code: status.UNAVAILABLE });
  assert.equal(attempts, 4);
  await assert.rejects(client.complete(textRequest("x".repeat(1_100_000))), { code: status.UNAVAILABLE });
  assert.equal(attempts, 5);
});

test("a call that the server has begun is not sent again", async (t) => {
  let attempts = 0;
  const server = await TestServer.start({
    complete: (call, reply) => {
      attempts += 1;
      call.sendMetadata(new Metadata());
      reply(failure(status.UNAVAILABLE, "cut", []));
    },
  });
  t.after(() => server.stop());
  const client = connect(server.address);
  t.after(() => client.close());

  await assert.rejects(client.complete(textRequest("hi")), { name: "CallFailed", code: status.UNAVAILABLE });
  assert.equal(attempts, 1);
});

test("calls reach every address of the target", { timeout: 60_000 }, async (t) => {
  const called = new Set<string>();
  const [first, second] = await Promise.all(
    ["first", "second"].map((name) =>
      TestServer.start({
        complete: (_, reply) => {
          called.add(name);
          reply(null, create(CompleteResponseSchema));
        },
      }),
    ),
  );
  t.after(() => [first, second].forEach((server) => server?.stop()));
  const client = connect(`ipv4:${first?.address},${second?.address}`);
  t.after(() => client.close());

  while (called.size < 2) await client.complete(textRequest("hi"));
});
