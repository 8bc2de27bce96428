// Package reasoningv1 holds the messages and the stubs of the service
// reasoning_grpc.v1.ReasoningService. They are generated from the protos.
package reasoningv1
