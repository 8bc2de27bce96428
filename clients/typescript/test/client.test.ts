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

const ASKED = { request: textRequest("hi") };
const STARTED = event({ kind: { case: "started", value: {} } });
const DELTA = event({ kind: { case: "contentDelta", value: { text: "Hello" } } });
const COMPLETED = event({ kind: { case: "completed", value: { model: "fast" } } });
const CANCELLED = { name: "CallFailed", code: status.CANCELLED };

async function connected(t: TestContext, handlers: Handlers): Promise<ReasoningClient> {
  const server = await TestServer.start(handlers);
  const client = connect(server.address);
  t.after(() => {
    client.close();
    server.stop();
  });
  return client;
}

/** A client of a server that sends these events and then nothing more, and the server's end of the next stream. */
async function stalled(t: TestContext, ...events: StreamCompleteResponse[]) {
  const calls: ((call: ServerStream) => void)[] = [];
  const call = new Promise<ServerStream>((resolve) => calls.push(resolve));
  const client = await connected(t, {
    streamComplete: (stream) => {
      calls.forEach((resolve) => resolve(stream));
      events.forEach((sent) => stream.write(sent));
    },
  });
  return { client, cancelled: call.then(async (stream) => stream.cancelled || (await once(stream, "cancelled"))) };
}

test("a unary call answers", async (t) => {
  const client = await connected(t, {
    complete: ({ request }, reply) => reply(null, create(CompleteResponseSchema, { model: request.model })),
  });

  assert.equal((await client.complete({ ...textRequest("hi"), model: "fast" })).model, "fast");
});

test("a stream gives its events and ends", async (t) => {
  const client = await connected(t, {
    streamComplete: (call) => {
      [STARTED, DELTA, COMPLETED].forEach((sent) => call.write(sent));
      call.end();
    },
  });

  const events: StreamCompleteResponse[] = [];
  for await (const received of client.streamComplete(ASKED)) events.push(received);

  assert.deepEqual(
    events.map(({ kind }) => kind.case),
    ["started", "contentDelta", "completed"],
  );
  assert.equal(fold(events).model, "fast");
});

test("a stream that fails gives what came before, then throws", async (t) => {
  const client = await connected(t, {
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
    for await (const received of client.streamComplete(ASKED)) events.push(received);
  };

  await assert.rejects(read, { code: status.UNAVAILABLE, reason: "UPSTREAM_STREAM_TRUNCATED" });
  assert.equal(events.length, 2);
});

test("leaving the loop cancels the call", async (t) => {
  const { client, cancelled } = await stalled(t, STARTED);

  for await (const received of client.streamComplete(ASKED)) {
    assert.equal(received.kind.case, "started");
    break;
  }

  await cancelled;
});

test("return() cancels the call while an event is waited for", async (t) => {
  const { client, cancelled } = await stalled(t, STARTED);
  const stream = client.streamComplete(ASKED);
  await stream.next();

  const waiting = assert.rejects(stream.next(), CANCELLED);
  await stream.return();

  await Promise.all([waiting, cancelled]);
});

test("a signal cancels a stream, and events that were read ahead are not given", async (t) => {
  const { client, cancelled } = await stalled(t, STARTED, DELTA, DELTA);
  const abort = new AbortController();
  const events: StreamCompleteResponse[] = [];

  const read = async () => {
    for await (const received of client.streamComplete(ASKED, { signal: abort.signal })) {
      events.push(received);
      abort.abort();
    }
  };

  await assert.rejects(read, CANCELLED);
  await cancelled;
  assert.equal(events.length, 1);
});

test("a signal cancels a unary call", async (t) => {
  const abort = new AbortController();
  const client = await connected(t, { complete: () => abort.abort() });

  await assert.rejects(client.complete(textRequest("hi"), { signal: abort.signal }), CANCELLED);
});

test("one signal may serve many calls", async (t) => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on("warning", warned);
  t.after(() => process.off("warning", warned));
  const abort = new AbortController();
  let calls = 0;
  const client = await connected(t, { complete: () => (calls += 1) === 20 && abort.abort() });

  const answers = Array.from({ length: 20 }, () => client.complete(textRequest("hi"), { signal: abort.signal }));

  await Promise.all(answers.map((answer) => assert.rejects(answer, CANCELLED)));
  assert.deepEqual(warnings, []);
});

test("with a signal that was aborted before nothing is sent", async () => {
  const client = connect("127.0.0.1:1");
  const signal = AbortSignal.abort();

  await assert.rejects(client.complete(textRequest("hi"), { signal }), CANCELLED);
  await assert.rejects(client.streamComplete(ASKED, { signal }).next(), CANCELLED);
  client.close();
});

test("a deadline ends a call; of two the earlier one", async (t) => {
  const { client } = await stalled(t);
  const late = { code: status.DEADLINE_EXCEEDED };
  const hour = Date.now() + 3_600_000;

  await assert.rejects(client.streamComplete(ASKED, { timeoutSeconds: 0.05 }).next(), late);
  await assert.rejects(client.streamComplete(ASKED, { deadline: new Date(Date.now() + 50) }).next(), late);
  await assert.rejects(client.streamComplete(ASKED, { deadline: hour, timeoutSeconds: 0.05 }).next(), late);
});

test("a request that cannot be written says which field", async (t) => {
  const client = await connected(t, {});

  await assert.rejects(client.complete({ sampling: { topK: 1.5 } }), /top_k/);
});
