package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.Step;
import io.github.reasoninggrpc.v1.StepFinished;
import io.github.reasoninggrpc.v1.StepPlanned;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import io.github.reasoninggrpc.v1.ToolCallPlan;
import io.github.reasoninggrpc.v1.ToolExecution;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Joins the events of the agent's steps to {@link Step} messages. */
final class FoldedSteps {
  private final List<Step> finished = new ArrayList<>();
  private final Map<String, ToolExecution> executions = new HashMap<>();
  private StepPlanned plan = StepPlanned.getDefaultInstance();
  private int number;

  /** Adds one event of a step. An event that says nothing about the step changes nothing. */
  void add(StreamCompleteResponse event) {
    switch (event.getKindCase()) {
      case STEP_STARTED -> begin(event.getStep());
      case STEP_PLANNED -> plan = event.getStepPlanned();
      case TOOL_FINISHED -> {
        ToolExecution execution = event.getToolFinished().getExecution();
        executions.put(execution.getCallId(), execution);
      }
      case STEP_FINISHED -> finished.add(buildStep(event.getStepFinished()));
      default -> {}
    }
  }

  /** Returns the steps that have ended, in the order in which they ended. */
  List<Step> finished() {
    return finished;
  }

  private void begin(int step) {
    number = step;
    plan = StepPlanned.getDefaultInstance();
    executions.clear();
  }

  private Step buildStep(StepFinished end) {
    Step.Builder step =
        Step.newBuilder()
            .setNumber(number)
            .setThought(plan.getThought())
            .setNextActionValue(plan.getNextActionValue())
            .setOutcomeValue(end.getOutcomeValue());
    for (ToolCallPlan call : plan.getToolCallsList()) {
      if (executions.containsKey(call.getCallId())) {
        step.addToolExecutions(executions.get(call.getCallId()));
      }
    }
    if (end.hasUsage()) {
      step.setUsage(end.getUsage());
    }
    return step.build();
  }
}
