package reasoninggrpc

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// domain is whose reasons ErrorReason lists.
const domain = "reasoning-grpc"

// Details is what a failed call says of itself. What the server did not say is
// zero; of a call that gRPC itself ended, such as one whose deadline passed, that
// is all but Code and Message.
type Details struct {
	// Code is the status code.
	Code codes.Code
	// Message is a sentence for people; it may change. Branch on Reason instead.
	Message string
	// Reason is a value of reasoningv1.ErrorReason without its prefix, such as
	// "MODEL_NOT_FOUND"; see [Details.Is]. Treat one that you do not know like its
	// Code.
	Reason string
	// Domain is who gives the reason: "reasoning-grpc".
	Domain string
	// Metadata has the values that stand in the message.
	Metadata map[string]string
	// RequestID finds the call in the server's log.
	RequestID string
	// Retryable says that the same call may be sent again, after RetryAfter.
	Retryable bool
	// RetryAfter is how long to wait before.
	RetryAfter time.Duration
	// Violations are the fields of the request that are wrong.
	Violations []FieldViolation
	// Interruption says how far the call had come, once a model was called.
	Interruption *reasoningv1.Interruption
	// Route is the decision, when this build of the server does not serve it.
	Route *reasoningv1.RouteDecision
}

// FieldViolation is a field of the request, and what is wrong with it.
type FieldViolation struct {
	// Field is its path, such as "messages[0].role".
	Field string
	// Description is a sentence for people.
	Description string
}

// ErrorDetails reads the error of a call, of a stream, or one that wraps such an
// error. Of nil the Code is OK, and of an error that has nothing to do with gRPC
// it is Unknown.
func ErrorDetails(err error) Details {
	failed := statusOf(err)
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
			details.Violations = violations(detail)
		case *reasoningv1.Interruption:
			details.Interruption = detail
		case *reasoningv1.RouteDecision:
			details.Route = detail
		}
	}
	return details
}

// Is says whether this is the reason. One of a newer server that this client does
// not know, or of another domain, is none of the enum's.
func (d Details) Is(reason reasoningv1.ErrorReason) bool {
	return d.Domain == domain && "ERROR_REASON_"+d.Reason == reason.String()
}

// statusOf is the status as it was sent: without the words that errors around it
// add, which status.FromError keeps.
func statusOf(err error) *status.Status {
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus()
	}
	return status.FromContextError(err)
}

func violations(request *errdetails.BadRequest) []FieldViolation {
	found := make([]FieldViolation, 0, len(request.GetFieldViolations()))
	for _, violation := range request.GetFieldViolations() {
		found = append(found, FieldViolation{Field: violation.GetField(), Description: violation.GetDescription()})
	}
	return found
}
