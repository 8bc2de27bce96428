import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type ServerWritableStream, status } from "@grpc/grpc-js";
import {
  CompleteResponseSchema,
  InterruptionSchema,
  type ReasoningClient,
  type StreamCompleteRequest,
  type StreamCompleteResponse,
  connect,
  fold,
  textRequest,
} from "@reasoning-grpc/client";
import { ErrorInfoSchema } from "@reasoning-grpc/client/google/rpc";
import { type Handlers, TestServer, detail, event, failure } from "./server.js";

type ServerStream = ServerWritableStream<StreamCompleteRequest, StreamCompleteResponse>;

const REQUEST = { request: textRequest("hi") };
const STARTED = event({ kind: { case: "started", value: {} } });
const DELTA = event({ kind: { case: "contentDelta", value: { text: "Hello" } } });
const COMPLETED = event({ kind: { case: "completed", value: { model: "fast" } } });
const CANCELLED = { name: "CallFailed", code: status.CANCELLED };

/** Starts a server with these handlers and returns a client of it. Both are closed at the end of the test. */
async function connectTo(t: TestContext, handlers: Handlers): Promise<ReasoningClient> {
  const server = await TestServer.start(handlers);
  const client = connect(server.address);
  t.after(() => {
    client.close();
    server.stop();
  });
  return client;
}

/**
 * Returns a client of a server that sends these events and then nothing more. `cancelled` resolves when the server sees
 * that the client cancelled the stream.
 */
async function connectToStalledServer(t: TestContext, ...events: StreamCompleteResponse[]) {
  let accept = (_: ServerStream) => {};
  const call = new Promise<ServerStream>((resolve) => (accept = resolve));
  const client = await connectTo(t, {
    streamComplete: (stream) => {
      accept(stream);
      events.forEach((sent) => stream.write(sent));
    },
  });
  return { client, cancelled: call.then(async (stream) => stream.cancelled || (await once(stream, "cancelled"))) };
}

test("a unary call returns its response", async (t) => {
  const client = await connectTo(t, {
    complete: ({ request }, reply) => reply(null, create(CompleteResponseSchema, { model: request.model })),
  });

  assert.equal((await client.complete({ ...textRequest("hi"), model: "fast" })).model, "fast");
});

test("a stream yields its events and ends", async (t) => {
  const client = await connectTo(t, {
    streamComplete: (call) => {
      [STARTED, DELTA, COMPLETED].forEach((sent) => call.write(sent));
      call.end();
    },
  });

  const events: StreamCompleteResponse[] = [];
  for await (const received of client.streamComplete(REQUEST)) events.push(received);

  assert.deepEqual(
    events.map(({ kind }) => kind.case),
    ["started", "contentDelta", "completed"],
  );
  assert.equal(fold(events).model, "fast");
});

test("a failed stream yields the events that arrived and then throws", async (t) => {
  const client = await connectTo(t, {
    streamComplete: (call) => {
      [STARTED, DELTA].forEach((sent) => call.write(sent));
      const details = [
        detail(ErrorInfoSchema, { reason: "UPSTREAM_STREAM_TRUNCATED" }),
        detail(InterruptionSchema, { contentCharacters: 5 }),
      ];
      call.emit("error", failure(status.UNAVAILABLE, "cut", details, { "grpc-retry-pushback-ms": "-1" }));
    },
  });

  const events: StreamCompleteResponse[] = [];
  const read = async () => {
    for await (const received of client.streamComplete(REQUEST)) events.push(received);
  };

  await assert.rejects(read, { code: status.UNAVAILABLE, reason: "UPSTREAM_STREAM_TRUNCATED" });
  assert.equal(events.length, 2);
});

test("leaving the loop cancels the call", async (t) => {
  const { client, cancelled } = await connectToStalledServer(t, STARTED);

  for await (const received of client.streamComplete(REQUEST)) {
    assert.equal(received.kind.case, "started");
    break;
  }

  await cancelled;
});

test("return() cancels the call while the stream waits for an event", async (t) => {
  const { client, cancelled } = await connectToStalledServer(t, STARTED);
  const stream = client.streamComplete(REQUEST);
  await stream.next();

  const waiting = assert.rejects(stream.next(), CANCELLED);
  await stream.return();

  await Promise.all([waiting, cancelled]);
});

test("an aborted signal cancels a stream and drops the events that were already read", async (t) => {
  const { client, cancelled } = await connectToStalledServer(t, STARTED, DELTA, DELTA);
  const abort = new AbortController();
  const events: StreamCompleteResponse[] = [];

  const read = async () => {
    for await (const received of client.streamComplete(REQUEST, { signal: abort.signal })) {
      events.push(received);
      abort.abort();
    }
  };

  await assert.rejects(read, CANCELLED);
  await cancelled;
  assert.equal(events.length, 1);
});

test("an aborted signal cancels a unary call", async (t) => {
  const abort = new AbortController();
  const client = await connectTo(t, { complete: () => abort.abort() });

  await assert.rejects(client.complete(textRequest("hi"), { signal: abort.signal }), CANCELLED);
});

test("many calls can share one signal without a warning", async (t) => {
  const warnings: Error[] = [];
  const record = (warning: Error) => warnings.push(warning);
  process.on("warning", record);
  t.after(() => process.off("warning", record));
  const abort = new AbortController();
  let calls = 0;
  const client = await connectTo(t, { complete: () => (calls += 1) === 20 && abort.abort() });

  const answers = Array.from({ length: 20 }, () => client.complete(textRequest("hi"), { signal: abort.signal }));

  await Promise.all(answers.map((answer) => assert.rejects(answer, CANCELLED)));
  assert.deepEqual(warnings, []);
});

test("a call sends nothing when its signal is already aborted", async () => {
  const client = connect("127.0.0.1:1");
  const signal = AbortSignal.abort();

  await assert.rejects(client.complete(textRequest("hi"), { signal }), CANCELLED);
  await assert.rejects(client.streamComplete(REQUEST, { signal }).next(), CANCELLED);
  client.close();
});

test("a call ends at its deadline, or at the earlier of its two limits", async (t) => {
  const { client } = await connectToStalledServer(t);
  const deadlineExceeded = { code: status.DEADLINE_EXCEEDED };
  const inOneHour = Date.now() + 3_600_000;

  await assert.rejects(client.streamComplete(REQUEST, { timeoutSeconds: 0.05 }).next(), deadlineExceeded);
  await assert.rejects(
    client.streamComplete(REQUEST, { deadline: new Date(Date.now() + 50) }).next(),
    deadlineExceeded,
  );
  await assert.rejects(
    client.streamComplete(REQUEST, { deadline: inOneHour, timeoutSeconds: 0.05 }).next(),
    deadlineExceeded,
  );
});

test("a call without any time left is not sent", async (t) => {
  let calls = 0;
  const client = await connectTo(t, {
    complete: (_, reply) => {
      calls += 1;
      reply(null, create(CompleteResponseSchema, {}));
    },
    streamComplete: (call) => {
      calls += 1;
      call.end();
    },
  });
  await client.complete(textRequest("hi")); // opens the connection
  const spent = [
    { timeoutSeconds: 0 },
    { timeoutSeconds: -1 },
    { timeoutSeconds: NaN },
    { deadline: new Date(0) },
    { deadline: Date.now() - 1, timeoutSeconds: 60 },
  ];

  for (const options of spent) {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const failure = { name: "CallFailed", code: status.DEADLINE_EXCEEDED, reason: "" };
      await assert.rejects(client.complete(textRequest("hi"), options), failure);
      await assert.rejects(client.streamComplete(REQUEST, options).next(), failure);
    }
  }

  await client.complete(textRequest("hi"));
  assert.equal(calls, 2);
});

test("a request that cannot be encoded names the field", async (t) => {
  const client = await connectTo(t, {});

  await assert.rejects(client.complete({ sampling: { topK: 1.5 } }), /top_k/);
});
