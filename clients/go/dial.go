package reasoninggrpc

import (
	_ "embed"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

//go:embed service_config.json
var serviceConfig string

// ServiceConfig returns the gRPC service config that [Dial] sets, as JSON text. It
// spreads calls over all addresses of the target, and repeats a call that failed
// with UNAVAILABLE when the server allows it.
func ServiceConfig() string {
	return serviceConfig
}

// Dial creates a connection to a server, for the stub
// reasoningv1.NewReasoningServiceClient. Dial does not wait: the connection is
// opened by the first call. Close it when you no longer need it.
//
// The target is any that gRPC accepts, such as "127.0.0.1:50051" or
// "dns:///reasoning.internal:443". The connection is in plaintext unless
// [WithTLS] is given. [WithToken] sends a token.
//
// Dial adds three settings to the defaults of gRPC: it sets the service config of
// [ServiceConfig], it accepts answers of any size, and while a call is active it
// sends a ping after every 30 seconds without traffic, to notice a server that has
// disappeared. Your options are applied last, so they override these settings.
func Dial(target string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, append(defaultOptions(), options...)...)
}

func defaultOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxRetryRPCBufferSize(1<<20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
}
