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
import { type MetadataInit, toMetadata } from "./metadata.js";
import { grpcMethodDefinition } from "./service_definition.js";

/** The options of one call. They extend the call options of grpc-js, such as `deadline` and `interceptors`. */
export interface CallOptions extends grpc.CallOptions {
  /** The call is cancelled when this signal is aborted. */
  signal?: AbortSignal | undefined;
  /**
   * The time limit of the whole call. When `deadline` is given too, the earlier of the two applies. A call without any
   * time left fails with DEADLINE_EXCEEDED, and is not sent.
   */
  timeoutSeconds?: number | undefined;
  /** Metadata to send with the call. It replaces the client's metadata of the same key. */
  metadata?: MetadataInit | undefined;
}

/**
 * Yields the events of a stream as they arrive. It can be read only once. The call begins when the first event is
 * requested. The call is cancelled when you leave the loop, when you call `return()`, or when its signal is aborted.
 */
export type EventStream<T> = AsyncGenerator<T, void, undefined>;

/**
 * The methods of a service. A unary method returns a promise, a streaming method an async iterable. Every call may throw
 * {@link CallFailed}.
 */
export type Client<S extends DescService> = {
  [Name in keyof S["method"]]: S["method"][Name] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : S["method"][Name] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => EventStream<MessageShape<O>>
      : never;
};

/**
 * Creates a typed client of a service from a client of grpc-js. {@link connect} uses it. Call it yourself when you have
 * your own client of grpc-js, or to call another service of the same server.
 */
export function createClient<S extends DescService>(service: S, client: grpc.Client): Client<S> {
  const methods = service.methods.map((method) => {
    switch (method.methodKind) {
      case "unary":
        return [method.localName, createUnary(client, method as DescMethodUnary)];
      case "server_streaming":
        return [method.localName, createServerStreaming(client, method as DescMethodServerStreaming)];
      default:
        throw new TypeError(`${method.toString()}: a method that streams requests is not supported`);
    }
  });
  return Object.fromEntries(methods) as Client<S>;
}

function createUnary<I extends DescMessage, O extends DescMessage>(client: grpc.Client, method: DescMethodUnary<I, O>) {
  const { path, requestSerialize, responseDeserialize } = grpcMethodDefinition(method);
  return async (request: MessageInitShape<I>, options: CallOptions = {}): Promise<MessageShape<O>> => {
    if (options.signal?.aborted) throw clientError("CANCELLED", "Cancelled on client");
    const { signal, metadata, grpcOptions } = splitOptions(options);
    let stopListening = () => {};
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
        stopListening = onAbort(signal, () => call.cancel());
      });
    } finally {
      stopListening();
    }
  };
}

function createServerStreaming<I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: DescMethodServerStreaming<I, O>,
) {
  const { path, requestSerialize, responseDeserialize } = grpcMethodDefinition(method);
  return (request: MessageInitShape<I>, options: CallOptions = {}): EventStream<MessageShape<O>> =>
    readEvents(options.signal, () => {
      const { metadata, grpcOptions } = splitOptions(options);
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

function readEvents<T>(signal: AbortSignal | undefined, start: () => grpc.ClientReadableStream<T>): EventStream<T> {
  let call: grpc.ClientReadableStream<T> | undefined;
  const cancel = () => call?.cancel();

  async function* read(): EventStream<T> {
    if (signal?.aborted) throw clientError("CANCELLED", "Cancelled on client");
    call = start();
    call.on("error", () => {}); // without a handler, the error of a cancelled call that nobody reads would end the program
    const stopListening = onAbort(signal, cancel);
    try {
      for await (const event of call) {
        if (signal?.aborted) throw clientError("CANCELLED", "Cancelled on client"); // grpc-js would first return the events that it has already read
        yield event;
      }
    } catch (error) {
      throw error instanceof CallFailed ? error : new CallFailed(error as grpc.ServiceError);
    } finally {
      stopListening();
      cancel(); // grpc-js does not cancel the call when the loop is left; this has no effect after the end of the call
    }
  }

  const events = read();
  const finish = events.return.bind(events);
  events.return = (value) => {
    cancel(); // the generator alone would wait for the next event before it returns
    return finish(value);
  };
  return events;
}

/**
 * Separates our own call options from the options of grpc-js, and converts `timeoutSeconds` to a deadline. It throws when
 * the deadline is over, because grpc-js would now and then still send the request.
 */
function splitOptions({ signal, timeoutSeconds, metadata, ...grpcOptions }: CallOptions) {
  const now = Date.now();
  if (timeoutSeconds !== undefined) {
    grpcOptions.deadline = Math.min(now + timeoutSeconds * 1000, Number(grpcOptions.deadline ?? Infinity));
  }
  if (!(Number(grpcOptions.deadline ?? Infinity) > now)) throw clientError("DEADLINE_EXCEEDED", "Deadline exceeded");
  return { signal, metadata: toMetadata(metadata), grpcOptions };
}

/** Calls `callback` when the signal is aborted. Returns a function that removes the callback. */
function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (!signal) return () => {};
  setMaxListeners(0, signal); // one signal may serve all calls of a program; without this line Node.js warns of a leak
  signal.addEventListener("abort", callback);
  return () => signal.removeEventListener("abort", callback);
}

/** Returns the error of a call that ends before its request is sent, in the words of grpc-js. */
function clientError(codeName: "CANCELLED" | "DEADLINE_EXCEEDED", details: string): CallFailed {
  const code = grpc.status[codeName];
  const error = Object.assign(new Error(`${code} ${codeName}: ${details}`), { code, details });
  return new CallFailed(Object.assign(error, { metadata: new grpc.Metadata() }));
}
