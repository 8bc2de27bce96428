import type { MethodDefinition } from "@grpc/grpc-js";
import {
  type DescMessage,
  type DescMethod,
  type DescService,
  type MessageShape,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { ReasoningService } from "./gen/reasoning_grpc/v1/reasoning_service_pb.js";

/** A service as grpc-js wants it: for its generic clients, and for its servers. */
export type GrpcServiceDefinition<S extends DescService> = {
  [Name in keyof S["method"]]: MethodDefinition<
    MessageShape<S["method"][Name]["input"]>,
    MessageShape<S["method"][Name]["output"]>
  >;
};

/** Makes what grpc-js wants of the descriptor that protobuf-es gives of a service. */
export function grpcServiceDefinition<S extends DescService>(service: S): GrpcServiceDefinition<S> {
  const methods = service.methods.map((method) => [method.localName, grpcMethodDefinition(method)]);
  return Object.fromEntries(methods) as GrpcServiceDefinition<S>;
}

/**
 * The service as grpc-js wants it. A client of grpc-js made with it is the plain stub; a server of grpc-js made with it
 * is a stand-in for tests.
 */
export const reasoningServiceDefinition = grpcServiceDefinition(ReasoningService);

/** One method of a service as grpc-js wants it. */
export function grpcMethodDefinition<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { input: I; output: O },
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: (request) => bytes(method.input, request),
    requestDeserialize: (encoded) => fromBinary(method.input, encoded),
    responseSerialize: (response) => bytes(method.output, response),
    responseDeserialize: (encoded) => fromBinary(method.output, encoded),
    originalName: method.name,
  };
}

function bytes<M extends DescMessage>(schema: M, message: MessageShape<M>): Buffer {
  const { buffer, byteOffset, byteLength } = toBinary(schema, message);
  return Buffer.from(buffer, byteOffset, byteLength);
}
