package reasoninggrpc

import (
	"errors"
	"io"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// ErrIncomplete is the error of folding events without a started or without a
// completed among them.
var ErrIncomplete = errors.New("reasoninggrpc: a stream without started or without completed cannot be folded")

// EventReader is what a stream of events is read from; the stream of the
// generated stub is one.
type EventReader interface {
	// Recv returns the next event, or io.EOF after the last.
	Recv() (*reasoningv1.StreamCompleteResponse, error)
}

// Fold reads a stream to its end and returns the whole answer: what Complete would
// have returned. An error of the stream is returned as it is.
func Fold(stream EventReader) (*reasoningv1.CompleteResponse, error) {
	var folder Folder
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return folder.Response()
		}
		if err != nil {
			return nil, err
		}
		folder.Add(event)
	}
}

// Folder joins the events of a stream to the whole answer, for programs that look
// at the events themselves and want the answer at the end as well. The zero value
// is ready; each answer needs one of its own.
type Folder struct {
	responseID string
	started    *reasoningv1.Started
	reasoned   *reasoningv1.ReasoningFinished
	completed  *reasoningv1.Completed
	steps      stepParts
	answer     messageParts
}

// Add takes the next event. It keeps parts of the event, which must not be changed
// afterwards.
func (f *Folder) Add(event *reasoningv1.StreamCompleteResponse) {
	f.responseID = event.GetResponseId()
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_Started:
		f.started = kind.Started
	case *reasoningv1.StreamCompleteResponse_ReasoningFinished:
		f.reasoned = kind.ReasoningFinished
	case *reasoningv1.StreamCompleteResponse_Completed:
		f.completed = kind.Completed
	default:
		if event.GetStep() > 0 {
			f.steps.add(event)
		} else {
			f.answer.add(event)
		}
	}
}

// Message returns the answer so far: also what a stream that failed had said.
func (f *Folder) Message() *reasoningv1.Message {
	return f.answer.message()
}

// Response returns the whole answer, or [ErrIncomplete] when the stream has not
// come to its end.
func (f *Folder) Response() (*reasoningv1.CompleteResponse, error) {
	if f.started == nil || f.completed == nil {
		return nil, ErrIncomplete
	}
	return &reasoningv1.CompleteResponse{
		ResponseId:           f.responseID,
		TraceId:              f.started.GetTraceId(),
		Route:                f.started.GetRoute(),
		Model:                f.completed.GetModel(),
		Message:              f.Message(),
		Steps:                f.steps.ended,
		ReasoningFinished:    f.reasoned,
		FinishReason:         f.completed.GetFinishReason(),
		ProviderFinishReason: f.completed.GetProviderFinishReason(),
		Usage:                f.completed.GetUsage(),
		Cost:                 f.completed.GetCost(),
		Timings:              f.completed.GetTimings(),
		Attempts:             f.completed.GetAttempts(),
		EffectiveSettings:    f.started.GetEffectiveSettings(),
	}, nil
}
