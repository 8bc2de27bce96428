package reasoninggrpc

import "github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"

// stepParts joins the events of steps to steps.
type stepParts struct {
	ended      []*reasoningv1.Step
	number     int32
	plan       *reasoningv1.StepPlanned
	executions map[string]*reasoningv1.ToolExecution
}

func (p *stepParts) add(event *reasoningv1.StreamCompleteResponse) {
	switch kind := event.GetKind().(type) {
	case *reasoningv1.StreamCompleteResponse_StepStarted:
		p.number, p.plan, p.executions = event.GetStep(), nil, map[string]*reasoningv1.ToolExecution{}
	case *reasoningv1.StreamCompleteResponse_StepPlanned:
		p.plan = kind.StepPlanned
	case *reasoningv1.StreamCompleteResponse_ToolFinished:
		if execution := kind.ToolFinished.GetExecution(); p.executions != nil {
			p.executions[execution.GetCallId()] = execution
		}
	case *reasoningv1.StreamCompleteResponse_StepFinished:
		p.ended = append(p.ended, p.step(kind.StepFinished))
	}
}

func (p *stepParts) step(end *reasoningv1.StepFinished) *reasoningv1.Step {
	step := &reasoningv1.Step{
		Number:     p.number,
		Thought:    p.plan.GetThought(),
		NextAction: p.plan.GetNextAction(),
		Outcome:    end.GetOutcome(),
		Usage:      end.GetUsage(),
	}
	for _, call := range p.plan.GetToolCalls() {
		if execution, ran := p.executions[call.GetCallId()]; ran {
			step.ToolExecutions = append(step.ToolExecutions, execution)
		}
	}
	return step
}
