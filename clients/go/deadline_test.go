package reasoninggrpc_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// spentContexts are contexts whose time is over, or which were cancelled, with the code of a call that uses one.
func spentContexts(t *testing.T) map[string]struct {
	ctx  context.Context
	code codes.Code
} {
	t.Helper()
	now, cancelNow := context.WithTimeout(context.Background(), 0)
	t.Cleanup(cancelNow)
	before, cancelBefore := context.WithTimeout(context.Background(), -time.Hour)
	t.Cleanup(cancelBefore)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	return map[string]struct {
		ctx  context.Context
		code codes.Code
	}{
		"no time":   {now, codes.DeadlineExceeded},
		"past":      {before, codes.DeadlineExceeded},
		"cancelled": {cancelled, codes.Canceled},
	}
}

func TestCallsWithoutTimeAreNotSent(t *testing.T) {
	service := &fakeService{}
	var streams atomic.Int32
	client := dial(t, serve(t, service, grpc.StreamInterceptor(
		func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error {
			streams.Add(1)
			return nil
		})))
	request := reasoninggrpc.TextRequest("hi")
	if _, err := client.Complete(context.Background(), request); err != nil { // opens the connection
		t.Fatal(err)
	}
	for name, spent := range spentContexts(t) {
		t.Run(name, func(t *testing.T) {
			for range 100 {
				if _, err := client.Complete(spent.ctx, request); status.Code(err) != spent.code {
					t.Fatalf("Complete failed with %v, want %v", err, spent.code)
				}
				_, err := client.StreamComplete(spent.ctx, &reasoningv1.StreamCompleteRequest{Request: request})
				if status.Code(err) != spent.code {
					t.Fatalf("StreamComplete failed with %v, want %v", err, spent.code)
				}
			}
		})
	}
	if calls := len(service.calls()); calls != 1 || streams.Load() != 0 {
		t.Errorf("%d calls and %d streams have arrived, want 1 and 0", calls, streams.Load())
	}
}
