// Command ask has the reasoning agent answer a question, and shows how it does:
// the answer goes to standard output, all else to standard error. REASONING_TARGET
// and REASONING_TOKEN give the server, else 127.0.0.1:50051, and the token.
//
//	go run ./examples/ask "What is 23 times 19?"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

func main() {
	target := flag.String("target", targetDefault(), "the server, HOST:PORT; else REASONING_TARGET")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: ask [-target HOST:PORT] QUESTION")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := ask(ctx, *target, flag.Arg(0)); err != nil {
		complain(err)
		os.Exit(1)
	}
}

func targetDefault() string {
	if target := os.Getenv("REASONING_TARGET"); target != "" {
		return target
	}
	return "127.0.0.1:50051"
}

func ask(ctx context.Context, target, question string) error {
	connection, err := reasoninggrpc.Dial(target, reasoninggrpc.WithToken(os.Getenv("REASONING_TOKEN")))
	if err != nil {
		return err
	}
	defer connection.Close()

	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel() // ends the call, should we leave before its end
	request := reasoninggrpc.TextRequest(question)
	request.Routing = &reasoningv1.RoutingOptions{Mode: reasoningv1.RoutingMode_ROUTING_MODE_REASONING}
	request.Include = &reasoningv1.IncludeOptions{Thoughts: true, ToolResults: true}
	stream, err := reasoningv1.NewReasoningServiceClient(connection).StreamComplete(
		ctx, &reasoningv1.StreamCompleteRequest{Request: request},
	)
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		show(event)
	}
}

// show prints an event; those that it does not know, it ignores.
func show(event *reasoningv1.StreamCompleteResponse) {
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_Started:
		route := kind.Started.GetRoute()
		note("route: %s with %s (%s)", route.GetRoute(), route.GetModel(), route.GetReason())
	case *reasoningv1.StreamCompleteResponse_StepStarted:
		note("step %d of %d", event.GetStep(), kind.StepStarted.GetMaxSteps())
	case *reasoningv1.StreamCompleteResponse_StepPlanned:
		note("  thought: %s", kind.StepPlanned.GetThought())
	case *reasoningv1.StreamCompleteResponse_ToolStarted:
		note("  tool %s: %s", kind.ToolStarted.GetName(), kind.ToolStarted.GetArguments())
	case *reasoningv1.StreamCompleteResponse_ToolFinished:
		ran := kind.ToolFinished.GetExecution()
		note("  tool %s: %s %s%s", ran.GetName(), word(ran.GetStatus(), "TOOL_STATUS_"), ran.GetResult(), ran.GetError())
	case *reasoningv1.StreamCompleteResponse_ReasoningFinished:
		reasoned := kind.ReasoningFinished
		note("thought for %.1f s, %d steps, %d tool calls: %s", reasoned.GetDuration().AsDuration().Seconds(),
			reasoned.GetStepCount(), reasoned.GetToolCallCount(), word(reasoned.GetReason(), "REASONING_END_"))
	case *reasoningv1.StreamCompleteResponse_ContentDelta:
		fmt.Print(kind.ContentDelta.GetText())
	case *reasoningv1.StreamCompleteResponse_Completed:
		fmt.Println()
		usage := kind.Completed.GetUsage()
		note("%s: %d + %d tokens in %.1f s", word(kind.Completed.GetFinishReason(), "FINISH_REASON_"),
			usage.GetInputTokens(), usage.GetOutputTokens(), kind.Completed.GetTimings().GetTotal().AsDuration().Seconds())
	}
}

func note(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}

// word is the value of an enum as a person would say it.
func word(value fmt.Stringer, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value.String(), prefix)), "_", " ")
}

func complain(err error) {
	details := reasoninggrpc.ErrorDetails(err)
	note("%s: %s", details.Code, details.Message)
	if details.Reason != "" {
		note("reason: %s (request %s)", details.Reason, details.RequestID)
	}
	for _, violation := range details.Violations {
		note("  %s: %s", violation.Field, violation.Description)
	}
	if details.Retryable {
		note("try again in %s", details.RetryAfter)
	}
}
