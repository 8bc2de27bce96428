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

/** A service definition of grpc-js, for its generic clients and its servers. */
export type GrpcServiceDefinition<S extends DescService> = {
  [Name in keyof S["method"]]: MethodDefinition<
    MessageShape<S["method"][Name]["input"]>,
    MessageShape<S["method"][Name]["output"]>
  >;
};

/** Converts a service descriptor of protobuf-es to a service definition of grpc-js. */
export function grpcServiceDefinition<S extends DescService>(service: S): GrpcServiceDefinition<S> {
  const methods = service.methods.map((method) => [method.localName, grpcMethodDefinition(method)]);
  return Object.fromEntries(methods) as GrpcServiceDefinition<S>;
}

/**
 * The service definition of `ReasoningService` for grpc-js. Use it to create the plain stub of grpc-js, or to create a
 * fake server for your tests.
 */
export const reasoningServiceDefinition = grpcServiceDefinition(ReasoningService);

/** Converts a method descriptor of protobuf-es to a method definition of grpc-js. */
export function grpcMethodDefinition<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { input: I; output: O },
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: (request) => serialize(method.input, request),
    requestDeserialize: (encoded) => fromBinary(method.input, encoded),
    responseSerialize: (response) => serialize(method.output, response),
    responseDeserialize: (encoded) => fromBinary(method.output, encoded),
    originalName: method.name,
  };
}

function serialize<M extends DescMessage>(schema: M, message: MessageShape<M>): Buffer {
  const { buffer, byteOffset, byteLength } = toBinary(schema, message);
  return Buffer.from(buffer, byteOffset, byteLength);
}
