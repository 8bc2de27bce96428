// Command ask sends a question to the reasoning agent and prints the agent's steps
// and its answer. The answer goes to standard output, everything else to standard
// error. The environment variable REASONING_TARGET sets the server's address, which
// is otherwise 127.0.0.1:50051, and REASONING_TOKEN sets the token.
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
	target := flag.String("target", defaultTarget(), "address of the server, as HOST:PORT")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: ask [-target HOST:PORT] QUESTION")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := ask(ctx, *target, flag.Arg(0)); err != nil {
		printError(err)
		os.Exit(1)
	}
}

func defaultTarget() string {
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
	defer cancel() // ends the call if this function returns early
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
		printEvent(event)
	}
}

// printEvent prints an event, and ignores an event of a kind that it does not know.
func printEvent(event *reasoningv1.StreamCompleteResponse) {
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_Started:
		decision := kind.Started.GetRouteDecision()
		printNote("route: %s with %s (%s)", decision.GetRoute(), decision.GetModel(), decision.GetReason())
	case *reasoningv1.StreamCompleteResponse_StepStarted:
		printNote("step %d of %d", event.GetStep(), kind.StepStarted.GetMaxSteps())
	case *reasoningv1.StreamCompleteResponse_StepPlanned:
		printNote("  thought: %s", kind.StepPlanned.GetThought())
	case *reasoningv1.StreamCompleteResponse_ToolStarted:
		printNote("  tool %s: %s", kind.ToolStarted.GetName(), kind.ToolStarted.GetArguments())
	case *reasoningv1.StreamCompleteResponse_ToolFinished:
		execution := kind.ToolFinished.GetExecution()
		printNote("  tool %s: %s %s%s", execution.GetName(), enumWords(execution.GetStatus(), "TOOL_STATUS_"),
			execution.GetResult(), execution.GetError())
	case *reasoningv1.StreamCompleteResponse_ReasoningFinished:
		reasoning := kind.ReasoningFinished
		printNote("thought for %.1f s, %d steps, %d tool calls: %s", reasoning.GetDuration().AsDuration().Seconds(),
			reasoning.GetStepCount(), reasoning.GetToolCallCount(), enumWords(reasoning.GetReason(), "REASONING_END_"))
	case *reasoningv1.StreamCompleteResponse_ContentDelta:
		fmt.Print(kind.ContentDelta.GetText())
	case *reasoningv1.StreamCompleteResponse_Completed:
		fmt.Println()
		usage := kind.Completed.GetUsage()
		printNote("%s: %d + %d tokens in %.1f s", enumWords(kind.Completed.GetFinishReason(), "FINISH_REASON_"),
			usage.GetInputTokens(), usage.GetOutputTokens(), kind.Completed.GetTimings().GetTotalDuration().AsDuration().Seconds())
	}
}

func printNote(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}

// enumWords returns the name of an enum value in plain words.
func enumWords(value fmt.Stringer, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(value.String(), prefix)), "_", " ")
}

func printError(err error) {
	details := reasoninggrpc.ErrorDetails(err)
	printNote("%s: %s", details.Code, details.Message)
	if details.Reason != "" {
		printNote("reason: %s (request %s)", details.Reason, details.RequestID)
	}
	for _, violation := range details.Violations {
		printNote("  %s: %s", violation.Field, violation.Description)
	}
	if details.Retryable {
		printNote("you can send the call again in %s", details.RetryAfter)
	}
}
