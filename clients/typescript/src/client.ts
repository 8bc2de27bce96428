import { setMaxListeners } from "node:events";
import {
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
  create,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { CallFailed } from "./call_failed.js";
import { type MetadataInit, asMetadata } from "./metadata.js";
import { grpcMethodDefinition } from "./service_definition.js";

/** Options of one call: those of grpc-js, `deadline` and `interceptors` among them, and a few more. */
export interface CallOptions extends grpc.CallOptions {
  /** Cancels the call when it is aborted. */
  signal?: AbortSignal | undefined;
  /** Longest time for the whole call. Where `deadline` is given too, the earlier one counts. */
  timeoutSeconds?: number | undefined;
  /** Metadata to send; goes before the client's own of the same key. */
  metadata?: MetadataInit | undefined;
}

/**
 * The events of a stream as they come, once. Nothing is sent before the first is asked for. Leaving the loop, `return()`
 * and the call's signal cancel the call.
 */
export type EventStream<T> = AsyncGenerator<T, void, undefined>;

/** A service's methods: unary ones as promises, streams as async iterables. Every call may throw {@link CallFailed}. */
export type Client<S extends DescService> = {
  [Name in keyof S["method"]]: S["method"][Name] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : S["method"][Name] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => EventStream<MessageShape<O>>
      : never;
};

/**
 * Makes the typed client of a service around a client of grpc-js. {@link connect} does it; this is for a client of one's
 * own, and for further services of the same server.
 */
export function createClient<S extends DescService>(service: S, client: grpc.Client): Client<S> {
  const methods = service.methods.map((method) => {
    switch (method.methodKind) {
      case "unary":
        return [method.localName, unary(client, method as DescMethodUnary)];
      case "server_streaming":
        return [method.localName, serverStreaming(client, method as DescMethodServerStreaming)];
      default:
        throw new TypeError(`${method.toString()}: streams to the server are not supported`);
    }
  });
  return Object.fromEntries(methods) as Client<S>;
}

function unary<I extends DescMessage, O extends DescMessage>(client: grpc.Client, method: DescMethodUnary<I, O>) {
  const { path, requestSerialize, responseDeserialize } = grpcMethodDefinition(method);
  return async (request: MessageInitShape<I>, options: CallOptions = {}): Promise<MessageShape<O>> => {
    const { signal, metadata, grpcOptions } = parts(options);
    if (signal?.aborted) throw cancelled();
    let ended = () => {};
    try {
      return await new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          create(method.input, request),
          metadata,
          grpcOptions,
          (error, response) => (error ? reject(new CallFailed(error)) : resolve(response as MessageShape<O>)),
        );
        ended = whenAborted(signal, () => call.cancel());
      });
    } finally {
      ended();
    }
  };
}

function serverStreaming<I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: DescMethodServerStreaming<I, O>,
) {
  const { path, requestSerialize, responseDeserialize } = grpcMethodDefinition(method);
  return (request: MessageInitShape<I>, options: CallOptions = {}): EventStream<MessageShape<O>> =>
    eventStream(options.signal, () => {
      const { metadata, grpcOptions } = parts(options);
      const message = create(method.input, request);
      return client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        message,
        metadata,
        grpcOptions,
      );
    });
}

function eventStream<T>(signal: AbortSignal | undefined, start: () => grpc.ClientReadableStream<T>): EventStream<T> {
  let call: grpc.ClientReadableStream<T> | undefined;
  const cancel = () => call?.cancel();

  async function* read(): EventStream<T> {
    if (signal?.aborted) throw cancelled();
    call = start();
    call.on("error", () => {}); // also the one of a cancel that nobody waits for any more
    const ended = whenAborted(signal, cancel);
    try {
      for await (const event of call) {
        if (signal?.aborted) throw cancelled(); // grpc-js would first give what it has read ahead
        yield event;
      }
    } catch (error) {
      throw error instanceof CallFailed ? error : new CallFailed(error as grpc.ServiceError);
    } finally {
      ended();
      cancel(); // leaving a loop over grpc-js's own stream does not; without effect when the call has ended
    }
  }

  const events = read();
  const finish = events.return.bind(events);
  events.return = (value) => {
    cancel(); // a generator alone would first wait for the event that is being read
    return finish(value);
  };
  return events;
}

function parts({ signal, timeoutSeconds, metadata, ...grpcOptions }: CallOptions) {
  if (timeoutSeconds !== undefined) {
    grpcOptions.deadline = Math.min(Date.now() + timeoutSeconds * 1000, Number(grpcOptions.deadline ?? Infinity));
  }
  return { signal, metadata: asMetadata(metadata), grpcOptions };
}

/** Calls back when the signal is aborted, until what it returns is called. */
function whenAborted(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (!signal) return () => {};
  setMaxListeners(0, signal); // one signal for all calls of a program is no leak
  signal.addEventListener("abort", callback);
  return () => signal.removeEventListener("abort", callback);
}

function cancelled(): CallFailed {
  const status = { code: grpc.status.CANCELLED, details: "Cancelled on client", metadata: new grpc.Metadata() };
  return new CallFailed(Object.assign(new Error("1 CANCELLED: Cancelled on client"), status));
}
