package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.PlanCreated;
import io.github.reasoninggrpc.v1.ReasoningFinished;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import io.github.reasoninggrpc.v1.Task;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Joins plans, and the events of attempts at tasks, which interleave, to {@link Task} messages. */
final class FoldedTasks {
  private final List<PlanCreated> plans = new ArrayList<>();
  private final List<Task> finished = new ArrayList<>();
  private final Map<Integer, FoldedSteps> steps = new HashMap<>();
  private final Map<Integer, ReasoningFinished> ends = new HashMap<>();

  /** Adds a plan, or one event of an attempt at a task. */
  void add(StreamCompleteResponse event) {
    int number = event.getTask();
    switch (event.getKindCase()) {
      case PLAN_CREATED -> plans.add(event.getPlanCreated());
      case REASONING_FINISHED -> ends.put(number, event.getReasoningFinished());
      case TASK_FINISHED -> finished.add(buildTask(number, event.getTaskFinished().getTask()));
      default -> steps.computeIfAbsent(number, key -> new FoldedSteps()).add(event);
    }
  }

  /** Returns the plans, in their order. */
  List<PlanCreated> plans() {
    return plans;
  }

  /** Returns the attempts that have ended, in the order in which they ended. */
  List<Task> finished() {
    return finished;
  }

  private Task buildTask(int number, Task end) {
    Task.Builder task = end.toBuilder();
    if (steps.containsKey(number)) {
      task.addAllSteps(steps.get(number).finished());
    }
    if (ends.containsKey(number)) {
      task.setReasoningFinished(ends.get(number));
    }
    return task.build();
  }
}
