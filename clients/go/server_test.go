package reasoninggrpc_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// fakeService answers Complete with the result of its answer function, and records every call.
type fakeService struct {
	reasoningv1.UnimplementedReasoningServiceServer
	// answer receives the number of the call: 1, 2, ... When it is nil, the service returns an empty response.
	answer func(ctx context.Context, call int) (*reasoningv1.CompleteResponse, error)

	mutex    sync.Mutex
	arrivals []time.Time
	metadata metadata.MD
}

func (s *fakeService) Complete(ctx context.Context, _ *reasoningv1.CompleteRequest) (*reasoningv1.CompleteResponse, error) {
	s.mutex.Lock()
	s.arrivals = append(s.arrivals, time.Now())
	s.metadata, _ = metadata.FromIncomingContext(ctx)
	call := len(s.arrivals)
	s.mutex.Unlock()
	if s.answer == nil {
		return &reasoningv1.CompleteResponse{}, nil
	}
	return s.answer(ctx, call)
}

func (s *fakeService) calls() []time.Time {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.arrivals
}

// serve starts a server on a free port of the loopback interface, and returns its address. The server stops at the end
// of the test.
func serve(t *testing.T, service reasoningv1.ReasoningServiceServer, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	reasoningv1.RegisterReasoningServiceServer(server, service)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// dial creates a stub with Dial. Its connection is closed at the end of the test.
func dial(t *testing.T, target string, options ...grpc.DialOption) reasoningv1.ReasoningServiceClient {
	t.Helper()
	connection, err := reasoninggrpc.Dial(target, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	return reasoningv1.NewReasoningServiceClient(connection)
}

func complete(t *testing.T, client reasoningv1.ReasoningServiceClient) (*reasoningv1.CompleteResponse, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return client.Complete(ctx, reasoninggrpc.TextRequest("hi"))
}
