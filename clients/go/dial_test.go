package reasoninggrpc_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// This client has the service config that all clients share.
func TestServiceConfigIsShared(t *testing.T) {
	shared, err := os.ReadFile("../service_config.json")
	if err != nil {
		t.Fatal(err)
	}

	if reasoninggrpc.ServiceConfig() != string(shared) {
		t.Error("service_config.json differs from clients/service_config.json: copy that file here")
	}
}

// Dial resolves a target without a scheme by DNS, so that round_robin gets all its addresses.
func TestDialResolvesByDNS(t *testing.T) {
	connection, err := reasoninggrpc.Dial("reasoning.internal:443")
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	if target := connection.CanonicalTarget(); target != "dns:///reasoning.internal:443" {
		t.Errorf("the target is %s", target)
	}
}

// The connection spreads calls over all addresses of the target.
func TestCallsReachEveryAddress(t *testing.T) {
	first, second := &fakeService{}, &fakeService{}
	addresses := manual.NewBuilderWithScheme("two")
	addresses.InitialState(resolver.State{Endpoints: []resolver.Endpoint{
		{Addresses: []resolver.Address{{Addr: serve(t, first)}}},
		{Addresses: []resolver.Address{{Addr: serve(t, second)}}},
	}})
	client := dial(t, "two:///", grpc.WithResolvers(addresses))

	// The second connection may be ready only after the first calls.
	for deadline := time.Now().Add(time.Minute); len(first.calls()) == 0 || len(second.calls()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("one of the two servers received no call")
		}
		if _, err := complete(t, client); err != nil {
			t.Fatal(err)
		}
	}
}

// A call that failed with UNAVAILABLE is sent again, after the time that the server asks for.
func TestRetryWaitsForPushback(t *testing.T) {
	const pushback = 400 * time.Millisecond // longer than the longest first backoff
	service := &fakeService{answer: func(ctx context.Context, call int) (*reasoningv1.CompleteResponse, error) {
		if call == 1 {
			return nil, unavailable(ctx, "400")
		}
		return &reasoningv1.CompleteResponse{ResponseId: "second"}, nil
	}}

	response, err := complete(t, dial(t, serve(t, service)))

	if err != nil || response.GetResponseId() != "second" {
		t.Fatalf("got %v, %v", response, err)
	}
	calls := service.calls()
	if waited := calls[1].Sub(calls[0]); waited < pushback {
		t.Errorf("the second attempt came after %s", waited)
	}
}

// A call is not sent again when the server's pushback is negative.
func TestNegativePushbackStopsRetries(t *testing.T) {
	service := &fakeService{answer: func(ctx context.Context, _ int) (*reasoningv1.CompleteResponse, error) {
		return nil, unavailable(ctx, "-1")
	}}

	_, err := complete(t, dial(t, serve(t, service)))

	if code := status.Code(err); code != codes.Unavailable {
		t.Errorf("the code is %s", code)
	}
	if calls := len(service.calls()); calls != 1 {
		t.Errorf("%d attempts", calls)
	}
}

// A call has at most four attempts, and then fails with the error that the server sent, without text added by gRPC.
func TestAttemptsAreLimited(t *testing.T) {
	service := &fakeService{answer: func(ctx context.Context, _ int) (*reasoningv1.CompleteResponse, error) {
		return nil, unavailable(ctx, "1")
	}}

	_, err := complete(t, dial(t, serve(t, service)))

	if calls := len(service.calls()); calls != 4 {
		t.Errorf("%d attempts", calls)
	}
	if message := reasoninggrpc.ErrorDetails(err).Message; message != "The server is full." {
		t.Errorf("the message is %q", message)
	}
}

// A call is not sent again after the server has sent its headers.
func TestNoRetryAfterHeaders(t *testing.T) {
	service := &fakeService{answer: func(ctx context.Context, _ int) (*reasoningv1.CompleteResponse, error) {
		if err := grpc.SendHeader(ctx, nil); err != nil {
			return nil, err
		}
		return nil, unavailable(ctx, "1")
	}}

	if _, err := complete(t, dial(t, serve(t, service))); status.Code(err) != codes.Unavailable {
		t.Errorf("the error is %v", err)
	}
	if calls := len(service.calls()); calls != 1 {
		t.Errorf("%d attempts", calls)
	}
}

// A request that is larger than gRPC's retry buffer is sent once, unless the caller enlarges the buffer.
func TestNoRetryOfLargeRequests(t *testing.T) {
	const bufferBytes = 1 << 20
	request := reasoninggrpc.TextRequest(strings.Repeat("x", bufferBytes))
	for expected, options := range map[int][]grpc.CallOption{
		1: nil,
		4: {grpc.MaxRetryRPCBufferSize(2 * bufferBytes)},
	} {
		service := &fakeService{answer: func(ctx context.Context, _ int) (*reasoningv1.CompleteResponse, error) {
			return nil, unavailable(ctx, "1")
		}}

		_, err := dial(t, serve(t, service)).Complete(t.Context(), request, options...)

		if code := status.Code(err); code != codes.Unavailable {
			t.Errorf("the code is %s", code)
		}
		if calls := len(service.calls()); calls != expected {
			t.Errorf("%d attempts, expected %d", calls, expected)
		}
	}
}

// The client accepts an answer that is larger than gRPC's default limit of 4 MB.
func TestLargeAnswersArrive(t *testing.T) {
	const size = 5 << 20
	service := &fakeService{answer: func(context.Context, int) (*reasoningv1.CompleteResponse, error) {
		return &reasoningv1.CompleteResponse{ResponseId: strings.Repeat("x", size)}, nil
	}}

	response, err := complete(t, dial(t, serve(t, service)))

	if err != nil || len(response.GetResponseId()) != size {
		t.Errorf("got %d bytes, %v", len(response.GetResponseId()), err)
	}
}

// The options that the caller gives override the options that Dial sets.
func TestCallerOptionsOverrideDefaults(t *testing.T) {
	service := &fakeService{answer: func(context.Context, int) (*reasoningv1.CompleteResponse, error) {
		return &reasoningv1.CompleteResponse{ResponseId: "more than a byte"}, nil
	}}
	small := grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1))

	if _, err := complete(t, dial(t, serve(t, service), small)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the error is %v", err)
	}
}

func unavailable(ctx context.Context, pushback string) error {
	if err := grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", pushback)); err != nil {
		return err
	}
	return status.Error(codes.Unavailable, "The server is full.")
}
