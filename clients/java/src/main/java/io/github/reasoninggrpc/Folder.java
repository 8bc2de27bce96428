package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.CompleteResponse;
import io.github.reasoninggrpc.v1.Completed;
import io.github.reasoninggrpc.v1.EffectiveSetting;
import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.PausedRun;
import io.github.reasoninggrpc.v1.ReasoningFinished;
import io.github.reasoninggrpc.v1.RouteDecision;
import io.github.reasoninggrpc.v1.Started;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import java.util.ArrayList;
import java.util.List;

/**
 * Folds the events of a stream into the response that {@code Complete} would have returned.
 *
 * <p>Add every event when it arrives, and call {@link #response()} when the stream has ended. A
 * folder serves one stream, and may be used by one thread at a time.
 */
public final class Folder {
  private final FoldedMessage message = new FoldedMessage();
  private final FoldedSteps steps = new FoldedSteps();
  private final FoldedTasks tasks = new FoldedTasks();
  private final List<EffectiveSetting> effectiveSettings = new ArrayList<>();
  private Started started;
  private Completed completed;
  private ReasoningFinished reasoningFinished;
  private PausedRun pausedRun;
  private RouteDecision changedDecision;

  /** Creates a folder that has no events yet. */
  public Folder() {}

  /**
   * Folds a whole stream.
   *
   * @param events the events of the stream, in their order
   * @return the whole answer
   * @throws IllegalStateException if {@code started} or {@code completed} is missing
   */
  public static CompleteResponse fold(Iterable<StreamCompleteResponse> events) {
    Folder folder = new Folder();
    events.forEach(folder::add);
    return folder.response();
  }

  /**
   * Adds the next event. An event that says nothing about the answer changes nothing.
   *
   * @param event the next event of the stream
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
      case RUN_PAUSED -> pausedRun = event.getRunPaused();
      case PLAN_CREATED -> tasks.add(event);
      case ROUTE_CHANGED -> changedDecision = event.getRouteChanged().getRouteDecision();
      default -> {
        if (event.getTask() > 0) {
          tasks.add(event);
        } else if (event.getKindCase() == StreamCompleteResponse.KindCase.REASONING_FINISHED) {
          reasoningFinished = event.getReasoningFinished();
        } else if (event.getStep() > 0) {
          steps.add(event);
        } else {
          message.add(event);
        }
      }
    }
  }

  /**
   * Returns the answer as far as it is known, also after the stream has failed.
   *
   * @return the message; later events do not change it
   */
  public Message message() {
    Message folded = message.message();
    return pausedRun == null
        ? folded
        : folded.toBuilder().addContent(Part.newBuilder().setPausedRun(pausedRun)).build();
  }

  /**
   * Returns the whole answer. Call it when the stream has ended.
   *
   * @return the response that {@code Complete} would have returned
   * @throws IllegalStateException if {@code started} or {@code completed} is missing
   */
  public CompleteResponse response() {
    if (started == null || completed == null) {
      throw new IllegalStateException(
          "cannot fold a stream without `started` or without `completed`");
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
            .addAllAttempts(completed.getAttemptsList())
            .addAllPlans(tasks.plans())
            .addAllTasks(tasks.finished());
    copySetFields(response);
    return response.build();
  }

  /** Copies the fields that may be unset, and leaves those unset that the events do not set. */
  private void copySetFields(CompleteResponse.Builder response) {
    if (changedDecision != null) {
      response.setRouteDecision(changedDecision);
    } else if (started.hasRouteDecision()) {
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
