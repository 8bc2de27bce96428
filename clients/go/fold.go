package reasoninggrpc

import (
	"errors"
	"io"

	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
)

// ErrIncomplete is returned when the events to fold lack started or completed.
var ErrIncomplete = errors.New("reasoninggrpc: cannot fold a stream that lacks its started or its completed event")

// EventReader reads the events of a stream. The stream that the generated stub
// returns is an EventReader.
type EventReader interface {
	// Recv returns the next event, or io.EOF after the last one.
	Recv() (*reasoningv1.StreamCompleteResponse, error)
}

// Fold reads a stream to its end and returns the whole answer, as Complete would
// have returned it. Fold returns an error of the stream unchanged.
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

// Folder joins the events of a stream into one answer. It is for programs that
// handle each event and also need the whole answer at the end. The zero value is
// ready to use. Use a new Folder for each stream.
type Folder struct {
	started           *reasoningv1.Started
	reasoningFinished *reasoningv1.ReasoningFinished
	completed         *reasoningv1.Completed
	pausedRun         *reasoningv1.PausedRun
	routeDecision     *reasoningv1.RouteDecision
	settings          []*reasoningv1.EffectiveSetting
	tasks             taskParts
	steps             stepParts
	answer            messageParts
}

// Add records the next event. The Folder keeps parts of the event, so do not change
// the event afterwards.
func (f *Folder) Add(event *reasoningv1.StreamCompleteResponse) {
	if _, isPlan := event.GetKind().(*reasoningv1.StreamCompleteResponse_PlanCreated); isPlan || event.GetTask() > 0 {
		f.addToTasks(event)
		return
	}
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_Started:
		f.started = kind.Started
		f.routeDecision = kind.Started.GetRouteDecision()
		f.settings = append(f.settings, kind.Started.GetEffectiveSettings()...)
	case *reasoningv1.StreamCompleteResponse_AttemptSwitched:
		f.settings = append(f.settings, kind.AttemptSwitched.GetEffectiveSettings()...)
	case *reasoningv1.StreamCompleteResponse_ReasoningFinished:
		f.reasoningFinished = kind.ReasoningFinished
	case *reasoningv1.StreamCompleteResponse_RouteChanged:
		f.routeDecision = kind.RouteChanged.GetRouteDecision()
	case *reasoningv1.StreamCompleteResponse_Completed:
		f.completed = kind.Completed
	case *reasoningv1.StreamCompleteResponse_RunPaused:
		f.pausedRun = kind.RunPaused
	default:
		if event.GetStep() > 0 {
			f.steps.add(event)
		} else {
			f.answer.add(event)
		}
	}
}

// addToTasks records an event of a task, or a plan. A switch to another model is a
// setting of the whole answer.
func (f *Folder) addToTasks(event *reasoningv1.StreamCompleteResponse) {
	if kind, switched := event.GetKind().(*reasoningv1.StreamCompleteResponse_AttemptSwitched); switched {
		f.settings = append(f.settings, kind.AttemptSwitched.GetEffectiveSettings()...)
		return
	}
	f.tasks.add(event)
}

// Message returns the answer so far. After a stream has failed, it is the part of the
// answer that had arrived.
func (f *Folder) Message() *reasoningv1.Message {
	message := f.answer.buildMessage()
	if f.pausedRun != nil {
		part := &reasoningv1.Part{Kind: &reasoningv1.Part_PausedRun{PausedRun: f.pausedRun}}
		message.Content = append(message.Content, part)
	}
	return message
}

// Response returns the whole answer. It returns [ErrIncomplete] when the started or
// the completed event has not been added.
func (f *Folder) Response() (*reasoningv1.CompleteResponse, error) {
	if f.started == nil || f.completed == nil {
		return nil, ErrIncomplete
	}
	return &reasoningv1.CompleteResponse{
		ResponseId:           f.started.GetResponseId(),
		TraceId:              f.started.GetTraceId(),
		RouteDecision:        f.routeDecision,
		Model:                f.completed.GetModel(),
		Message:              f.Message(),
		Steps:                f.steps.finished,
		ReasoningFinished:    f.reasoningFinished,
		FinishReason:         f.completed.GetFinishReason(),
		ProviderFinishReason: f.completed.GetProviderFinishReason(),
		Usage:                f.completed.GetUsage(),
		ModelCalls:           f.completed.GetModelCalls(),
		Cost:                 f.completed.GetCost(),
		Timings:              f.completed.GetTimings(),
		Attempts:             f.completed.GetAttempts(),
		EffectiveSettings:    f.settings,
		Plans:                f.tasks.plans,
		Tasks:                f.tasks.finished,
	}, nil
}
