import { type DescMessage, type MessageInitShape, type MessageShape, create, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import {
  type CompleteRequest,
  type CompleteResponse,
  type StreamCompleteRequest,
  type StreamCompleteResponse,
  StreamCompleteResponseSchema,
  reasoningServiceDefinition,
} from "@reasoning-grpc/client";
import { StatusSchema } from "@reasoning-grpc/client/google/rpc";

type Event = MessageInitShape<typeof StreamCompleteResponseSchema>;

/** The handlers of the server. A method without a handler fails with UNIMPLEMENTED. */
export interface Handlers {
  complete?: grpc.handleUnaryCall<CompleteRequest, CompleteResponse>;
  streamComplete?: grpc.handleServerStreamingCall<StreamCompleteRequest, StreamCompleteResponse>;
}

/** Runs a gRPC server in this process, on a free port. */
export class TestServer {
  private constructor(
    private readonly server: grpc.Server,
    readonly port: number,
  ) {}

  static async start(handlers: Handlers): Promise<TestServer> {
    const server = new grpc.Server();
    server.addService(reasoningServiceDefinition, { ...handlers });
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure();
      server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port)));
    });
    return new TestServer(server, port);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  stop(): void {
    this.server.forceShutdown();
  }
}

/** Creates an event of a stream. */
export function event(init: Event): StreamCompleteResponse {
  return create(StreamCompleteResponseSchema, init);
}

/** Creates a detail of a status. */
export function detail<M extends DescMessage>(kind: M, init: MessageInitShape<M>): Any {
  return anyPack(kind, create(kind, init) as MessageShape<M>);
}

/** Creates the error that a handler returns to fail a call. */
export function failure(code: grpc.status, message: string, details: Any[], trailers: Record<string, string> = {}) {
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, value);
  const status = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  metadata.set("grpc-status-details-bin", Buffer.from(status));
  return { code, details: message, metadata };
}
