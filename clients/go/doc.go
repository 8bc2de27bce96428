// Package reasoninggrpc connects to reasoning-grpc, one typed endpoint for
// language models over gRPC.
//
// Calls are made with the generated stub of package reasoningv1. Beside it stand
// a few helpers: [Dial] connects with the settings that the service is made for,
// [ErrorDetails] reads what a failed call says of itself, [Fold] makes one whole
// answer of a stream, and [Text] is what an answer says.
package reasoninggrpc
