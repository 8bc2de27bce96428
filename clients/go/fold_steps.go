package reasoninggrpc

import "github.com/reasoning-grpc/reasoning-grpc/clients/go/reasoningv1"

// stepParts collects the agent's steps from the events that belong to a step.
type stepParts struct {
	finished   []*reasoningv1.Step
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
		p.finished = append(p.finished, p.buildStep(kind.StepFinished))
	}
}

// buildStep returns the current step. Its tool executions are in the order in which
// the plan names their calls; executions that the plan does not name are left out.
func (p *stepParts) buildStep(end *reasoningv1.StepFinished) *reasoningv1.Step {
	step := &reasoningv1.Step{
		Number:     p.number,
		Thought:    p.plan.GetThought(),
		NextAction: p.plan.GetNextAction(),
		Outcome:    end.GetOutcome(),
		Usage:      end.GetUsage(),
	}
	for _, call := range p.plan.GetToolCalls() {
		if execution, finished := p.executions[call.GetCallId()]; finished {
			step.ToolExecutions = append(step.ToolExecutions, execution)
		}
	}
	return step
}
