package reasoninggrpc_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// Fold joins each kind of delta by the rules that all clients share. Events and answers are in protobuf's text format.
func TestFoldJoinsDeltas(t *testing.T) {
	for name, test := range map[string]struct {
		events  []string
		content string
	}{
		"no events": {},
		"text in several deltas": {
			events:  []string{`content_delta { text: "Hel" }`, `heartbeat {}`, `content_delta { text: "lo" }`},
			content: `content { text: "Hello" }`,
		},
		"refusal after text": {
			events:  []string{`content_delta { text: "I" }`, `content_delta { text: "No" refusal: true }`, `content_delta { text: "." refusal: true }`},
			content: `content { text: "I" } content { refusal: "No." }`,
		},
		"text after signed text": {
			events:  []string{`content_delta { text: "a" signature: "s" }`, `content_delta { text: "b" }`},
			content: `content { text: "a" signature: "s" } content { text: "b" }`,
		},
		"text that is signed after a tool call": {
			events: []string{
				`content_delta { text: "a" }`, `tool_call_delta { call_id: "1" name: "f" }`, `content_delta { signature: "s" }`,
			},
			content: `content { text: "a" signature: "s" } content { tool_call { id: "1" name: "f" } }`,
		},
		"signature without text": {
			events:  []string{`content_delta {}`, `content_delta { signature: "s" }`},
			content: `content { text: "" signature: "s" }`,
		},
		"reasoning that is signed at its end": {
			events: []string{
				`reasoning_delta { text: "th" }`, `reasoning_delta { text: "ink" signature: "s" }`, `reasoning_delta { text: "on" }`,
			},
			content: `content { reasoning { text: "think" } signature: "s" } content { reasoning { text: "on" } }`,
		},
		"redacted reasoning": {
			events: []string{
				`reasoning_delta { text: "a" }`, `reasoning_delta { redacted: "x" signature: "s" }`,
				`reasoning_delta { redacted: "y" }`, `reasoning_delta { text: "b" }`,
			},
			content: `content { reasoning { text: "a" } } content { reasoning { redacted: "x" } signature: "s" }
				content { reasoning { redacted: "y" } } content { reasoning { text: "b" } }`,
		},
		"tool calls with alternating deltas": {
			events: []string{
				`tool_call_delta { call_id: "1" name: "f" arguments: "{" }`, `tool_call_delta { call_id: "2" index: 1 }`,
				`tool_call_delta { call_id: "1" name: "ignored" arguments: "}" signature: "s" }`,
				`tool_call_delta { call_id: "2" index: 1 name: "g" arguments: "[]" }`,
			},
			content: `content { tool_call { id: "1" name: "f" arguments: "{}" } signature: "s" }
				content { tool_call { id: "2" name: "g" arguments: "[]" } }`,
		},
		"deltas that belong to a step": {
			events: []string{`step_started {}`, `step: 1 content_delta { text: "a" }`, `step: 1 reasoning_delta { text: "b" }`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			events := append(append([]string{`started {}`}, test.events...), `completed {}`)

			response, err := reasoninggrpc.Fold(parseEvents(t, events))

			if err != nil {
				t.Fatal(err)
			}
			expected := &reasoningv1.Message{}
			parseText(t, `role: ROLE_ASSISTANT `+test.content, expected)
			if !proto.Equal(response.GetMessage(), expected) {
				t.Errorf("got %v", response.GetMessage())
			}
		})
	}
}

// Fold puts the values of the other events into the fields that Complete would set.
func TestFoldFillsEveryField(t *testing.T) {
	response, err := reasoninggrpc.Fold(parseEvents(t, []string{
		`started {
			response_id: "r" trace_id: "t" route_decision { route: "reasoning" } model: "requested"
			effective_settings { field: "f" effective: "2" } effective_settings { field: "g" }
		}`,
		`step: 1 step_started { max_steps: 2 }`,
		`step: 1 step_planned {
			thought: "Look." next_action: NEXT_ACTION_USE_TOOLS tool_calls { call_id: "a" } tool_calls { call_id: "b" } tool_calls { call_id: "c" }
		}`,
		`step: 1 tool_finished { execution { call_id: "b" result: "2" } }`,
		`step: 1 tool_finished { execution { call_id: "other" } }`,
		`step: 1 tool_finished { execution { call_id: "a" result: "1" } }`,
		`step: 1 step_finished { outcome: STEP_OUTCOME_DONE usage { total_tokens: 3 } }`,
		`step: 1 call: 2 attempt_switched { to_model: "answered" effective_settings { field: "f" effective: "1" } }`,
		`step: 1 attempt_switched { to_model: "answered" }`,
		`step: 2 step_started { max_steps: 2 }`,
		`step: 2 step_finished { outcome: STEP_OUTCOME_INVALID_PLAN }`,
		`reasoning_finished { reason: REASONING_END_STEP_FAILED step_count: 2 }`,
		`content_delta { text: "42" }`,
		`completed {
			finish_reason: FINISH_REASON_STOP provider_finish_reason: "stop" model: "answered" usage { total_tokens: 9 }
			model_calls { call: 1 usage { total_tokens: 9 } } cost { total_nano_usd: 5 }
			timings { total_duration { seconds: 1 } } attempts { call: 1 }
		}`,
	}))

	if err != nil {
		t.Fatal(err)
	}
	expected := &reasoningv1.CompleteResponse{}
	parseText(t, `
		response_id: "r" trace_id: "t" route_decision { route: "reasoning" } model: "answered"
		message { role: ROLE_ASSISTANT content { text: "42" } }
		steps {
			number: 1 thought: "Look." next_action: NEXT_ACTION_USE_TOOLS outcome: STEP_OUTCOME_DONE usage { total_tokens: 3 }
			tool_executions { call_id: "a" result: "1" } tool_executions { call_id: "b" result: "2" }
		}
		steps { number: 2 outcome: STEP_OUTCOME_INVALID_PLAN }
		reasoning_finished { reason: REASONING_END_STEP_FAILED step_count: 2 }
		finish_reason: FINISH_REASON_STOP provider_finish_reason: "stop" usage { total_tokens: 9 }
		model_calls { call: 1 usage { total_tokens: 9 } } cost { total_nano_usd: 5 }
		timings { total_duration { seconds: 1 } } attempts { call: 1 }
		effective_settings { field: "f" effective: "2" } effective_settings { field: "g" }
		effective_settings { field: "f" effective: "1" }
	`, expected)
	if !proto.Equal(response, expected) {
		t.Errorf("got %v", response)
	}
}

// Fold ignores an event of a kind that this client does not know.
func TestFoldIgnoresUnknownKind(t *testing.T) {
	events := parseEvents(t, []string{`started {}`, `content_delta { text: "a" }`, `sequence: 2`, `completed {}`})
	future := protowire.AppendTag(nil, 1000, protowire.BytesType)
	events.events[2].ProtoReflect().SetUnknown(protowire.AppendBytes(future, nil))

	response, err := reasoninggrpc.Fold(events)

	if err != nil || len(response.GetMessage().GetContent()) != 1 {
		t.Errorf("got %v, %v", response, err)
	}
}

// Fold returns ErrIncomplete when the started or the completed event is missing.
func TestFoldRejectsIncompleteStream(t *testing.T) {
	for name, events := range map[string][]string{
		"no events":         nil,
		"without started":   {`content_delta { text: "a" }`, `completed {}`},
		"without completed": {`started {}`, `content_delta { text: "a" }`},
	} {
		t.Run(name, func(t *testing.T) {
			if response, err := reasoninggrpc.Fold(parseEvents(t, events)); !errors.Is(err, reasoninggrpc.ErrIncomplete) {
				t.Errorf("got %v, %v", response, err)
			}
		})
	}
}

// Message returns the answer so far, and later events do not change the message that it returned.
func TestMessageBeforeTheEnd(t *testing.T) {
	var folder reasoninggrpc.Folder
	events := parseEvents(t, []string{`content_delta { text: "Hel" }`, `content_delta { text: "lo" }`}).events
	folder.Add(events[0])
	before := folder.Message()
	folder.Add(events[1])

	if first, then := reasoninggrpc.Text(before), reasoninggrpc.Text(folder.Message()); first != "Hel" || then != "Hello" {
		t.Errorf("got %q and then %q", first, then)
	}
}

// Fold returns the error of a failed stream unchanged.
func TestFoldReturnsStreamError(t *testing.T) {
	events := parseEvents(t, []string{`started {}`, `content_delta { text: "a" }`})
	events.end = status.Error(codes.Unavailable, "The upstream went silent.")

	if _, err := reasoninggrpc.Fold(events); !errors.Is(err, events.end) {
		t.Errorf("the error is %v", err)
	}
}

// Fold accepts the stream that the generated stub returns.
func TestFoldReadsStubStream(t *testing.T) {
	client := dial(t, serve(t, streamService{events: parseEvents(t, []string{`started {}`, `content_delta { text: "a" }`, `completed {}`}).events}))
	stream, err := client.StreamComplete(t.Context(), &reasoningv1.StreamCompleteRequest{})
	if err != nil {
		t.Fatal(err)
	}

	response, err := reasoninggrpc.Fold(stream)

	if err != nil || reasoninggrpc.Text(response.GetMessage()) != "a" {
		t.Errorf("got %v, %v", response, err)
	}
}

// Cancelling the context of a stream ends the stream.
func TestCancelledContextEndsStream(t *testing.T) {
	client := dial(t, serve(t, streamService{events: parseEvents(t, []string{`started {}`}).events, endless: true}))
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.StreamComplete(ctx, &reasoningv1.StreamCompleteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}

	cancel()

	if _, err := reasoninggrpc.Fold(stream); reasoninggrpc.ErrorDetails(err).Code != codes.Canceled {
		t.Errorf("the error is %v", err)
	}
}

// streamService sends its events. When it is endless, it then waits until the caller cancels the call.
type streamService struct {
	reasoningv1.UnimplementedReasoningServiceServer
	events  []*reasoningv1.StreamCompleteResponse
	endless bool
}

func (s streamService) StreamComplete(
	_ *reasoningv1.StreamCompleteRequest, stream reasoningv1.ReasoningService_StreamCompleteServer,
) error {
	for _, event := range s.events {
		if err := stream.Send(event); err != nil {
			return err
		}
	}
	if s.endless {
		<-stream.Context().Done()
	}
	return nil
}

// recordedStream is a stream that returns prepared events.
type recordedStream struct {
	events []*reasoningv1.StreamCompleteResponse
	end    error
}

// parseEvents returns a stream of the events, which are given in protobuf's text format.
func parseEvents(t *testing.T, texts []string) *recordedStream {
	t.Helper()
	stream := &recordedStream{end: io.EOF}
	for _, text := range texts {
		event := &reasoningv1.StreamCompleteResponse{}
		parseText(t, text, event)
		stream.events = append(stream.events, event)
	}
	return stream
}

func (s *recordedStream) Recv() (*reasoningv1.StreamCompleteResponse, error) {
	if len(s.events) == 0 {
		return nil, s.end
	}
	event := s.events[0]
	s.events = s.events[1:]
	return event, nil
}

// parseText fills a message from protobuf's text format.
func parseText(t *testing.T, text string, message proto.Message) {
	t.Helper()
	if err := prototext.Unmarshal([]byte(text), message); err != nil {
		t.Fatal(err)
	}
}
