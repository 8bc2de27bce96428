package io.github.reasoninggrpc;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import io.github.reasoninggrpc.v1.ErrorReason;
import io.github.reasoninggrpc.v1.Interruption;
import io.github.reasoninggrpc.v1.RouteDecision;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a failed call says, in one value.
 *
 * @param code the status code
 * @param message an English sentence for a person; its wording may change
 * @param reason a reason of {@link ErrorReason} without its prefix, such as {@code
 *     MODEL_NOT_FOUND}: what to branch on, by {@link #is}. Empty when gRPC itself ended the call
 * @param domain who gave the reason: {@code reasoning-grpc}, or empty
 * @param metadata every value that stands in the message
 * @param requestId the id of the request in the server's log; empty when gRPC itself ended the call
 * @param retryAfter when the same call may be sent again; empty when that is of no use, or would
 *     repeat what was sent
 * @param violations the fields that are wrong
 * @param interruption how far the call had come, when an upstream was reached
 * @param route the decision, when the server does not serve it
 */
public record ErrorDetails(
    Status.Code code,
    String message,
    String reason,
    String domain,
    Map<String, String> metadata,
    String requestId,
    Optional<Duration> retryAfter,
    List<FieldViolation> violations,
    Optional<Interruption> interruption,
    Optional<RouteDecision> route) {
  private static final String DOMAIN = "reasoning-grpc";
  private static final String REASON_PREFIX = "ERROR_REASON_";

  /**
   * A field of the request, and what is wrong with it.
   *
   * @param field its path, such as {@code messages[0].role}
   * @param description what is wrong
   */
  public record FieldViolation(String field, String description) {}

  /**
   * Reads what was thrown, or given to {@code onError}.
   *
   * @param thrown a {@link io.grpc.StatusRuntimeException} or {@link io.grpc.StatusException}, or
   *     what has one among its causes, such as a future's; anything else has the code {@code
   *     UNKNOWN}
   * @return what it says; never null
   */
  public static ErrorDetails of(Throwable thrown) {
    Status status = Status.fromThrowable(thrown);
    List<Any> details = details(thrown);
    ErrorInfo info = find(details, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    return new ErrorDetails(
        status.getCode(),
        Optional.ofNullable(status.getDescription()).orElse(""),
        info.getReason(),
        info.getDomain(),
        Map.copyOf(info.getMetadataMap()),
        find(details, RequestInfo.class).map(RequestInfo::getRequestId).orElse(""),
        find(details, RetryInfo.class).map(ErrorDetails::delay),
        find(details, BadRequest.class).map(ErrorDetails::violations).orElse(List.of()),
        find(details, Interruption.class),
        find(details, RouteDecision.class));
  }

  /**
   * Compares the reason with one of the enum.
   *
   * @param expected the reason to compare with
   * @return whether it is that one; a reason that is newer than this client, or of another domain,
   *     is none of them
   */
  public boolean is(ErrorReason expected) {
    return domain.equals(DOMAIN) && expected.name().equals(REASON_PREFIX + reason);
  }

  private static List<Any> details(Throwable thrown) {
    try {
      com.google.rpc.Status status = StatusProto.fromThrowable(thrown);
      return status == null ? List.of() : status.getDetailsList();
    } catch (IllegalArgumentException unreadable) {
      return List.of();
    }
  }

  private static <M extends com.google.protobuf.Message> Optional<M> find(
      List<Any> details, Class<M> kind) {
    for (Any detail : details) {
      if (detail.is(kind)) {
        try {
          return Optional.of(detail.unpack(kind));
        } catch (InvalidProtocolBufferException unreadable) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  private static Duration delay(RetryInfo info) {
    return Duration.ofSeconds(info.getRetryDelay().getSeconds(), info.getRetryDelay().getNanos());
  }

  private static List<FieldViolation> violations(BadRequest request) {
    return request.getFieldViolationsList().stream()
        .map(violation -> new FieldViolation(violation.getField(), violation.getDescription()))
        .toList();
  }
}
