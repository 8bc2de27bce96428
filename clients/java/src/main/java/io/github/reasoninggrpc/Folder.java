package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.CompleteResponse;
import io.github.reasoninggrpc.v1.Completed;
import io.github.reasoninggrpc.v1.EffectiveSetting;
import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.ReasoningFinished;
import io.github.reasoninggrpc.v1.Started;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import java.util.ArrayList;
import java.util.List;

/**
 * Folds the events of a stream to the answer that {@code Complete} would have given.
 *
 * <p>Give it every event as it comes, and ask for the response when the stream has ended. For one
 * stream, and one thread at a time.
 */
public final class Folder {
  private final FoldedMessage message = new FoldedMessage();
  private final FoldedSteps steps = new FoldedSteps();
  private final List<EffectiveSetting> effectiveSettings = new ArrayList<>();
  private Started started;
  private Completed completed;
  private ReasoningFinished reasoningFinished;

  /** Begins without events. */
  public Folder() {}

  /**
   * Folds a whole stream.
   *
   * @param events its events, in their order
   * @return the answer
   * @throws IllegalStateException if {@code started} or {@code completed} is missing
   */
  public static CompleteResponse fold(Iterable<StreamCompleteResponse> events) {
    Folder folder = new Folder();
    events.forEach(folder::add);
    return folder.response();
  }

  /**
   * Takes the next event; one that is no part of the answer changes nothing.
   *
   * @param event the event
   */
  public void add(StreamCompleteResponse event) {
    switch (event.getKindCase()) {
      case STARTED -> {
        started = event.getStarted();
        effectiveSettings.addAll(started.getEffectiveSettingsList());
      }
      case ATTEMPT_SWITCHED ->
          effectiveSettings.addAll(event.getAttemptSwitched().getEffectiveSettingsList());
      case COMPLETED -> completed = event.getCompleted();
      case REASONING_FINISHED -> reasoningFinished = event.getReasoningFinished();
      default -> {
        if (event.getStep() > 0) {
          steps.add(event);
        } else {
          message.add(event);
        }
      }
    }
  }

  /**
   * The answer so far: also what a stream that failed had said.
   *
   * @return the message, which later events do not change
   */
  public Message message() {
    return message.message();
  }

  /**
   * The whole answer, when the stream has ended.
   *
   * @return the answer
   * @throws IllegalStateException if {@code started} or {@code completed} is missing
   */
  public CompleteResponse response() {
    if (started == null || completed == null) {
      throw new IllegalStateException(
          "a stream without `started` or without `completed` cannot be folded");
    }
    CompleteResponse.Builder response =
        CompleteResponse.newBuilder()
            .setResponseId(started.getResponseId())
            .setTraceId(started.getTraceId())
            .addAllEffectiveSettings(effectiveSettings)
            .setMessage(message())
            .addAllSteps(steps.finished())
            .setModel(completed.getModel())
            .setFinishReasonValue(completed.getFinishReasonValue())
            .setProviderFinishReason(completed.getProviderFinishReason())
            .addAllModelCalls(completed.getModelCallsList())
            .addAllAttempts(completed.getAttemptsList());
    putMessages(response);
    return response.build();
  }

  /** Sets the fields that are set in the events, and leaves the others unset. */
  private void putMessages(CompleteResponse.Builder response) {
    if (started.hasRouteDecision()) {
      response.setRouteDecision(started.getRouteDecision());
    }
    if (reasoningFinished != null) {
      response.setReasoningFinished(reasoningFinished);
    }
    if (completed.hasUsage()) {
      response.setUsage(completed.getUsage());
    }
    if (completed.hasCost()) {
      response.setCost(completed.getCost());
    }
    if (completed.hasTimings()) {
      response.setTimings(completed.getTimings());
    }
  }
}
