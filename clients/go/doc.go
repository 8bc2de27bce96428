// Package reasoninggrpc connects to reasoning-grpc, one typed endpoint for
// language models over gRPC.
//
// You make calls with the generated stub of package reasoningv1. This package adds
// a few helpers: [Dial] connects with settings that suit the service,
// [ErrorDetails] reads everything that the server reports about a failed call,
// [Fold] joins the events of a stream into one answer, and [Text] returns the text
// of an answer.
package reasoninggrpc
