package reasoninggrpc

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// errorDomain is the domain of every reason that ErrorReason lists.
const errorDomain = "reasoning-grpc"

// Details holds what the server reports about a failed call. A field is zero when
// the server did not set it. When gRPC itself ended the call, for example because
// its deadline passed, only Code and Message are set.
type Details struct {
	// Code is the status code.
	Code codes.Code
	// Message is a sentence for people. It may change, so branch on Reason instead.
	Message string
	// Reason is the name of a value of reasoningv1.ErrorReason without its prefix,
	// such as "MODEL_NOT_FOUND"; compare it with [Details.Is]. When you do not know
	// a reason, branch on Code.
	Reason string
	// Domain is the system that defines the reason: "reasoning-grpc".
	Domain string
	// Metadata holds the values that appear in the message, by name.
	Metadata map[string]string
	// RequestID identifies the call in the server's log.
	RequestID string
	// Retryable reports whether you may send the same call again after RetryAfter.
	Retryable bool
	// RetryAfter is how long to wait before you send the call again.
	RetryAfter time.Duration
	// Violations lists the invalid fields of the request.
	Violations []FieldViolation
	// Interruption describes how far the call had come. It is set when the server had
	// called a model.
	Interruption *reasoningv1.Interruption
	// RouteDecision is how the server routed the request. It is set when this build of
	// the server cannot serve the route.
	RouteDecision *reasoningv1.RouteDecision
}

// FieldViolation names an invalid field of the request and describes the problem.
type FieldViolation struct {
	// Field is the path of the field, such as "messages[0].role".
	Field string
	// Description says what is wrong with the field, in a sentence for people.
	Description string
}

// ErrorDetails reads the details of an error that a call or a stream returned. It
// also accepts an error that wraps such an error. The Code is OK when err is nil,
// and Unknown when err did not come from gRPC.
func ErrorDetails(err error) Details {
	failed := findStatus(err)
	details := Details{Code: failed.Code(), Message: failed.Message()}
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			details.Reason, details.Domain, details.Metadata = detail.GetReason(), detail.GetDomain(), detail.GetMetadata()
		case *errdetails.RequestInfo:
			details.RequestID = detail.GetRequestId()
		case *errdetails.RetryInfo:
			details.Retryable, details.RetryAfter = true, detail.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			details.Violations = convertViolations(detail)
		case *reasoningv1.Interruption:
			details.Interruption = detail
		case *reasoningv1.RouteDecision:
			details.RouteDecision = detail
		}
	}
	return details
}

// Is reports whether the failure has this reason. It returns false for every reason
// when the server gave none, gave one that this client does not know, or gave one of
// another domain.
func (d Details) Is(reason reasoningv1.ErrorReason) bool {
	return d.Domain == errorDomain && "ERROR_REASON_"+d.Reason == reason.String()
}

// findStatus returns the status as the server sent it. status.FromError would add
// the text of the errors that wrap it to the message.
func findStatus(err error) *status.Status {
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus()
	}
	return status.FromContextError(err)
}

func convertViolations(request *errdetails.BadRequest) []FieldViolation {
	violations := make([]FieldViolation, 0, len(request.GetFieldViolations()))
	for _, each := range request.GetFieldViolations() {
		violations = append(violations, FieldViolation{Field: each.GetField(), Description: each.GetDescription()})
	}
	return violations
}
