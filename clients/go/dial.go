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

// ServiceConfig returns the gRPC service config that [Dial] sets, as JSON text:
// calls are spread over all addresses of the target, and those that fail with
// UNAVAILABLE are sent again where the server allows it.
func ServiceConfig() string {
	return serviceConfig
}

// Dial makes a connection to a server, for the stub
// reasoningv1.NewReasoningServiceClient. It does not wait: the first call
// connects. Close the connection when it is no longer needed.
//
// The target is any that gRPC knows, such as "127.0.0.1:50051" or
// "dns:///reasoning.internal:443". Without an option that says otherwise the
// connection is in plaintext; see [WithTLS] and [WithToken].
//
// Beyond gRPC's own defaults it has the service config of [ServiceConfig],
// messages of any size are received, and while calls are active a ping every 30
// seconds finds out whether the server is still there. Options come after these
// and override them.
func Dial(target string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, append(defaults(), options...)...)
}

func defaults() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxRetryRPCBufferSize(1<<20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
}
