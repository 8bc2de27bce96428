package reasoninggrpc

import (
	"github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"
	"google.golang.org/protobuf/proto"
)

// taskParts collects the plans, and the attempts at tasks from their events, which
// interleave.
type taskParts struct {
	plans    []*reasoningv1.PlanCreated
	finished []*reasoningv1.Task
	steps    map[int32]*stepParts
	ends     map[int32]*reasoningv1.ReasoningFinished
}

func (p *taskParts) add(event *reasoningv1.StreamCompleteResponse) {
	if p.steps == nil {
		p.steps, p.ends = map[int32]*stepParts{}, map[int32]*reasoningv1.ReasoningFinished{}
	}
	number := event.GetTask()
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_PlanCreated:
		p.plans = append(p.plans, kind.PlanCreated)
	case *reasoningv1.StreamCompleteResponse_ReasoningFinished:
		p.ends[number] = kind.ReasoningFinished
	case *reasoningv1.StreamCompleteResponse_TaskFinished:
		p.finished = append(p.finished, p.buildTask(number, kind.TaskFinished.GetTask()))
	default:
		if p.steps[number] == nil {
			p.steps[number] = &stepParts{}
		}
		p.steps[number].add(event)
	}
}

// buildTask returns the attempt with this number, with its steps and the end of its
// thinking.
func (p *taskParts) buildTask(number int32, finished *reasoningv1.Task) *reasoningv1.Task {
	task := &reasoningv1.Task{}
	if finished != nil {
		task = proto.CloneOf(finished)
	}
	if steps := p.steps[number]; steps != nil {
		task.Steps = steps.finished
	}
	task.ReasoningFinished = p.ends[number]
	return task
}
