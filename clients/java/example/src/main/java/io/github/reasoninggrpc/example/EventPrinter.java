package io.github.reasoninggrpc.example;

import com.google.protobuf.Duration;
import io.github.reasoninggrpc.v1.Completed;
import io.github.reasoninggrpc.v1.ReasoningFinished;
import io.github.reasoninggrpc.v1.StepPlanned;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import io.github.reasoninggrpc.v1.ToolExecution;
import io.github.reasoninggrpc.v1.ToolStarted;
import io.github.reasoninggrpc.v1.UsageSource;

/** Prints the events of a stream in a form that is easy to read. */
final class EventPrinter {
  /** Prints one event. It ignores kinds that have no case here, such as those of a newer server. */
  void print(StreamCompleteResponse event) {
    switch (event.getKindCase()) {
      case STARTED ->
          printAside(
              "route: %s with %s",
              event.getStarted().getRouteDecision().getRoute(), event.getStarted().getModel());
      case STEP_PLANNED -> print(event.getStep(), event.getStepPlanned());
      case TOOL_STARTED -> print(event.getToolStarted());
      case TOOL_FINISHED -> print(event.getToolFinished().getExecution());
      case REASONING_FINISHED -> print(event.getReasoningFinished());
      case CONTENT_DELTA -> printAnswer(event.getContentDelta().getText());
      case COMPLETED -> print(event.getCompleted());
      default -> {}
    }
  }

  private void print(int step, StepPlanned planned) {
    String thought = planned.getThought().strip();
    printAside(
        "step %d: %s",
        step, thought.isEmpty() ? words(planned.getNextAction(), "NEXT_ACTION_") : thought);
  }

  private void print(ToolStarted tool) {
    printAside("  %s %s", tool.getName(), tool.getArguments());
  }

  private void print(ToolExecution tool) {
    String outcome = (tool.getError() + " " + tool.getResult()).strip();
    printAside(
        "  %s %s in %d ms: %s",
        tool.getName(),
        words(tool.getStatus(), "TOOL_STATUS_"),
        milliseconds(tool.getDuration()),
        outcome);
  }

  private void print(ReasoningFinished end) {
    printAside(
        "thought for %d ms, %d steps, %d tool calls: %s",
        milliseconds(end.getDuration()),
        end.getStepCount(),
        end.getToolCallCount(),
        words(end.getReason(), "REASONING_END_"));
  }

  private void print(Completed completed) {
    printAnswer(System.lineSeparator());
    printAside(
        "done: %s, %s%d + %d tokens%s, total %d ms",
        words(completed.getFinishReason(), "FINISH_REASON_"),
        completed.getUsage().getSource() == UsageSource.USAGE_SOURCE_ESTIMATED ? "about " : "",
        completed.getUsage().getInputTokens(),
        completed.getUsage().getOutputTokens(),
        completed.hasCost()
            ? String.format(", $%.6f", completed.getCost().getTotalNanoUsd() / 1e9)
            : "",
        milliseconds(completed.getTimings().getTotalDuration()));
  }

  private static void printAnswer(String text) {
    System.out.print(text);
    System.out.flush();
  }

  private static void printAside(String format, Object... values) {
    System.err.printf(format + "%n", values);
  }

  /** Returns the name of an enum value as words, without its prefix, such as "max steps". */
  private static String words(Enum<?> value, String prefix) {
    return value.name().replace(prefix, "").replace('_', ' ').toLowerCase(java.util.Locale.ROOT);
  }

  private static long milliseconds(Duration duration) {
    return duration.getSeconds() * 1000 + duration.getNanos() / 1_000_000;
  }
}
