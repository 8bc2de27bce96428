export { CallFailed, type FieldViolation, type Reason } from "./call_failed.js";
export { type CallOptions, type Client, type EventStream, createClient } from "./client.js";
export {
  type ConnectOptions,
  type ReasoningClient,
  type TlsOptions,
  channelCredentials,
  clientOptions,
  connect,
} from "./connect.js";
export { Folder, fold } from "./fold.js";
export type { MetadataInit } from "./metadata.js";
export { defaultServiceConfig } from "./service_config.js";
export { type GrpcServiceDefinition, grpcServiceDefinition, reasoningServiceDefinition } from "./service_definition.js";
export { type MessageInit, textMessage, textOf, textRequest } from "./text.js";

export * from "./gen/reasoning_grpc/v1/agent_pb.js";
export * from "./gen/reasoning_grpc/v1/classification_pb.js";
export * from "./gen/reasoning_grpc/v1/completion_pb.js";
export * from "./gen/reasoning_grpc/v1/errors_pb.js";
export * from "./gen/reasoning_grpc/v1/events_pb.js";
export * from "./gen/reasoning_grpc/v1/interruption_pb.js";
export * from "./gen/reasoning_grpc/v1/messages_pb.js";
export * from "./gen/reasoning_grpc/v1/models_pb.js";
export * from "./gen/reasoning_grpc/v1/reasoning_service_pb.js";
export * from "./gen/reasoning_grpc/v1/routing_pb.js";
export * from "./gen/reasoning_grpc/v1/usage_pb.js";
