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

// All that the server says in an error arrives.
func TestEveryDetail(t *testing.T) {
	interruption := &reasoningv1.Interruption{ResponseId: "rsp_1", LastSequence: 7}
	route := &reasoningv1.RouteDecision{Route: "orchestration"}
	failed, err := status.New(codes.InvalidArgument, "Some fields are wrong.").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID_FIELD", Domain: "reasoning-grpc", Metadata: map[string]string{"a": "b"}},
		&errdetails.RequestInfo{RequestId: "req_1"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "messages", Description: "At least one is required."},
			{Field: "model", Description: "It is too long."},
		}},
		interruption,
		route,
	)
	if err != nil {
		t.Fatal(err)
	}
	service := &fakeService{answer: func(context.Context, int) (*reasoningv1.CompleteResponse, error) {
		return nil, failed.Err()
	}}

	_, err = complete(t, dial(t, serve(t, service)))
	details := reasoninggrpc.ErrorDetails(err)

	if !proto.Equal(details.Interruption, interruption) || !proto.Equal(details.Route, route) {
		t.Errorf("got %v and %v", details.Interruption, details.Route)
	}
	details.Interruption, details.Route = nil, nil
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

// Errors of every origin have a code and a message.
func TestOrigins(t *testing.T) {
	sent := status.Error(codes.NotFound, "No such model.")
	for name, test := range map[string]struct {
		err      error
		expected reasoninggrpc.Details
	}{
		"nil":               {nil, reasoninggrpc.Details{Code: codes.OK}},
		"a status":          {sent, reasoninggrpc.Details{Code: codes.NotFound, Message: "No such model."}},
		"one wrapped":       {fmt.Errorf("asking: %w", sent), reasoninggrpc.Details{Code: codes.NotFound, Message: "No such model."}},
		"a context's end":   {context.Canceled, reasoninggrpc.Details{Code: codes.Canceled, Message: "context canceled"}},
		"nothing of gRPC's": {errors.New("broken"), reasoninggrpc.Details{Code: codes.Unknown, Message: "broken"}},
	} {
		t.Run(name, func(t *testing.T) {
			if details := reasoninggrpc.ErrorDetails(test.err); !reflect.DeepEqual(details, test.expected) {
				t.Errorf("got %+v", details)
			}
		})
	}
}

// A reason is compared with the enum; none, one that only newer servers know, and one of another domain match nothing.
func TestIs(t *testing.T) {
	const ours = "reasoning-grpc"
	unspecified := reasoningv1.ErrorReason_ERROR_REASON_UNSPECIFIED
	for _, test := range []struct {
		domain, reason string
		expected       reasoningv1.ErrorReason
	}{
		{ours, "MODEL_NOT_FOUND", reasoningv1.ErrorReason_ERROR_REASON_MODEL_NOT_FOUND},
		{ours, "INTERNAL", reasoningv1.ErrorReason_ERROR_REASON_INTERNAL},
		{ours, "", unspecified},
		{ours, "FUTURE", unspecified},
		{"elsewhere", "INTERNAL", unspecified},
	} {
		details := reasoninggrpc.Details{Domain: test.domain, Reason: test.reason}
		for number := range reasoningv1.ErrorReason_name {
			each := reasoningv1.ErrorReason(number)
			if is := details.Is(each); is != (each == test.expected && each != unspecified) {
				t.Errorf("that %q of %q is %s: %t", test.reason, test.domain, each, is)
			}
		}
	}
}

// A detail of a kind that this client does not know does not hide the others.
func TestUnknownDetail(t *testing.T) {
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
