// The messages of google.rpc that a status carries. They are exported as `@reasoning-grpc/client/google/rpc`.
export * from "./gen/google/rpc/error_details_pb.js";
export * from "./gen/google/rpc/status_pb.js";
