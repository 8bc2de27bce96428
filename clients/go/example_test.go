package reasoninggrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

func ExampleDial() {
	connection, err := reasoninggrpc.Dial("127.0.0.1:50051")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := reasoningv1.NewReasoningServiceClient(connection)
	response, err := client.Complete(ctx, reasoninggrpc.TextRequest("What is gRPC?"))
	if err != nil {
		fmt.Println(reasoninggrpc.ErrorDetails(err).Reason)
		return
	}
	fmt.Println(reasoninggrpc.Text(response.GetMessage()))
}

func ExampleDial_tls() {
	dial := func() (*grpc.ClientConn, error) {
		config, err := reasoninggrpc.TLSFiles{CertificateAuthority: "ca.pem"}.Config()
		if err != nil {
			return nil, err
		}
		return reasoninggrpc.Dial(
			"dns:///reasoning.internal:443",
			reasoninggrpc.WithTLS(config), // nil trusts the system's root certificates
			reasoninggrpc.WithToken(os.Getenv("REASONING_TOKEN")),
			grpc.WithUserAgent("my-service/1.0"),
		)
	}
	_, _ = dial()
}

func ExampleFolder() {
	answer := func(stream reasoninggrpc.EventReader) (*reasoningv1.CompleteResponse, error) {
		var folder reasoninggrpc.Folder
		for {
			event, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return folder.Response()
			}
			if err != nil {
				return nil, err
			}
			folder.Add(event)
			fmt.Print(event.GetContentDelta().GetText())
		}
	}
	_ = answer
}

func ExampleErrorDetails() {
	err := context.DeadlineExceeded // the error of a call

	switch details := reasoninggrpc.ErrorDetails(err); {
	case details.Is(reasoningv1.ErrorReason_ERROR_REASON_INVALID_FIELD):
		for _, violation := range details.Violations {
			fmt.Println(violation.Field, violation.Description)
		}
	case details.Retryable:
		fmt.Println("you may send the same call again in", details.RetryAfter)
	case details.Interruption != nil:
		fmt.Println("failed after", details.Interruption.GetUsage().GetTotalTokens(), "tokens")
	default:
		fmt.Println(details.Code, details.Reason, details.Message, details.RequestID)
	}
	// Output: DeadlineExceeded  context deadline exceeded
}

// The README also shows the bodies of the two functions below.

func completeWithDeadline(ctx context.Context, client reasoningv1.ReasoningServiceClient) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	response, err := client.Complete(ctx, reasoninggrpc.TextRequest("What is gRPC?"))
	if err != nil {
		return "", err
	}
	return reasoninggrpc.Text(response.GetMessage()), nil
}

func printEvent(event *reasoningv1.StreamCompleteResponse) {
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_Started:
		fmt.Println("route:", kind.Started.GetRouteDecision().GetRoute())
	case *reasoningv1.StreamCompleteResponse_StepPlanned:
		fmt.Println("step", event.GetStep(), kind.StepPlanned.GetThought())
	case *reasoningv1.StreamCompleteResponse_ToolFinished:
		fmt.Println("tool:", kind.ToolFinished.GetExecution().GetName())
	case *reasoningv1.StreamCompleteResponse_ContentDelta:
		fmt.Print(kind.ContentDelta.GetText())
	case *reasoningv1.StreamCompleteResponse_Completed:
		fmt.Println("tokens:", kind.Completed.GetUsage().GetTotalTokens())
	}
}

var (
	_ = completeWithDeadline
	_ = printEvent
)
