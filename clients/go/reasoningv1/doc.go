// Package reasoningv1 has the messages and the stubs of the service
// reasoning_grpc.v1.ReasoningService, as the protos give them.
package reasoningv1
