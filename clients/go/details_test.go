package reasoninggrpc_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// ErrorDetails reads every detail that the server sends with an error.
func TestErrorDetailsReadsEveryDetail(t *testing.T) {
	interruption := &reasoningv1.Interruption{ResponseId: "rsp_1", LastSequence: 7}
	decision := &reasoningv1.RouteDecision{Route: "orchestration"}
	failed, err := status.New(codes.InvalidArgument, "Some fields are wrong.").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID_FIELD", Domain: "reasoning-grpc", Metadata: map[string]string{"a": "b"}},
		&errdetails.RequestInfo{RequestId: "req_1"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "messages", Description: "At least one is required."},
			{Field: "model", Description: "It is too long."},
		}},
		interruption,
		decision,
	)
	if err != nil {
		t.Fatal(err)
	}
	service := &fakeService{answer: func(context.Context, int) (*reasoningv1.CompleteResponse, error) {
		return nil, failed.Err()
	}}

	_, err = complete(t, dial(t, serve(t, service)))
	details := reasoninggrpc.ErrorDetails(err)

	if !proto.Equal(details.Interruption, interruption) || !proto.Equal(details.RouteDecision, decision) {
		t.Errorf("got %v and %v", details.Interruption, details.RouteDecision)
	}
	details.Interruption, details.RouteDecision = nil, nil
	expected := reasoninggrpc.Details{
		Code:       codes.InvalidArgument,
		Message:    "Some fields are wrong.",
		Reason:     "INVALID_FIELD",
		Domain:     "reasoning-grpc",
		Metadata:   map[string]string{"a": "b"},
		RequestID:  "req_1",
		Retryable:  true,
		RetryAfter: 1500 * time.Millisecond,
		Violations: []reasoninggrpc.FieldViolation{
			{Field: "messages", Description: "At least one is required."},
			{Field: "model", Description: "It is too long."},
		},
	}
	if !reflect.DeepEqual(details, expected) {
		t.Errorf("got %+v", details)
	}
}

// ErrorDetails returns a code and a message for an error of any origin.
func TestErrorDetailsOfAnyError(t *testing.T) {
	sent := status.Error(codes.NotFound, "No such model.")
	for name, test := range map[string]struct {
		err      error
		expected reasoninggrpc.Details
	}{
		"nil":                {nil, reasoninggrpc.Details{Code: codes.OK}},
		"status":             {sent, reasoninggrpc.Details{Code: codes.NotFound, Message: "No such model."}},
		"wrapped status":     {fmt.Errorf("complete: %w", sent), reasoninggrpc.Details{Code: codes.NotFound, Message: "No such model."}},
		"cancelled context":  {context.Canceled, reasoninggrpc.Details{Code: codes.Canceled, Message: "context canceled"}},
		"error outside gRPC": {errors.New("broken"), reasoninggrpc.Details{Code: codes.Unknown, Message: "broken"}},
	} {
		t.Run(name, func(t *testing.T) {
			if details := reasoninggrpc.ErrorDetails(test.err); !reflect.DeepEqual(details, test.expected) {
				t.Errorf("got %+v", details)
			}
		})
	}
}

// Is matches the reason that the server gave. It matches no value of the enum when the server gave no reason, gave one
// that only newer servers know, or gave one of another domain.
func TestIsComparesReasonAndDomain(t *testing.T) {
	const serviceDomain = "reasoning-grpc"
	unspecified := reasoningv1.ErrorReason_ERROR_REASON_UNSPECIFIED
	for _, test := range []struct {
		domain, reason string
		expected       reasoningv1.ErrorReason
	}{
		{serviceDomain, "MODEL_NOT_FOUND", reasoningv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND},
		{serviceDomain, "INTERNAL", reasoningv1.ErrorReason_ERROR_REASON_INTERNAL},
		{serviceDomain, "", unspecified},
		{serviceDomain, "FUTURE", unspecified},
		{"elsewhere", "INTERNAL", unspecified},
	} {
		details := reasoninggrpc.Details{Domain: test.domain, Reason: test.reason}
		for number := range reasoningv1.ErrorReason_name {
			each := reasoningv1.ErrorReason(number)
			if is := details.Is(each); is != (each == test.expected && each != unspecified) {
				t.Errorf("Is(%s) returned %t for the reason %q of the domain %q", each, is, test.reason, test.domain)
			}
		}
	}
}

// ErrorDetails reads the details that it knows when the status also has one that it does not know.
func TestErrorDetailsIgnoresUnknownDetail(t *testing.T) {
	known, err := status.New(codes.Internal, "").WithDetails(&errdetails.ErrorInfo{Reason: "INTERNAL"})
	if err != nil {
		t.Fatal(err)
	}
	message := known.Proto()
	unknown := proto.CloneOf(message.GetDetails()[0])
	unknown.TypeUrl = "type.googleapis.com/reasoning_grpc.v1.Future"
	message.Details = append(message.Details[:0:0], unknown, message.Details[0])

	if reason := reasoninggrpc.ErrorDetails(status.FromProto(message).Err()).Reason; reason != "INTERNAL" {
		t.Errorf("the reason is %q", reason)
	}
}
