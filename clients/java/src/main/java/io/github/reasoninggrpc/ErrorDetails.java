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
 * Everything that the error of a failed call says, in one value.
 *
 * @param code the status code
 * @param message an English sentence for a person; its wording may change
 * @param reason the name of a value of {@link ErrorReason} without its prefix, such as {@code
 *     MODEL_NOT_FOUND}. Programs compare it by {@link #is}. Empty when gRPC itself ended the call
 * @param domain the system that gave the reason: {@code reasoning-grpc}, or empty without a reason
 * @param metadata every value that the message contains, by its name
 * @param requestId the id of the request in the server's log; empty when gRPC itself ended the call
 * @param retryAfter the time to wait before the same call may be sent again; empty when another
 *     attempt would not help, or when a part of the answer has already been sent
 * @param violations the invalid fields of the request
 * @param interruption how far the call had come; empty when no upstream was reached
 * @param routeDecision the route decision; empty unless the server does not serve the route that it
 *     chose
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
    Optional<RouteDecision> routeDecision) {
  private static final String DOMAIN = "reasoning-grpc";
  private static final String REASON_PREFIX = "ERROR_REASON_";

  /**
   * An invalid field of the request.
   *
   * @param field the path of the field, such as {@code messages[0].role}
   * @param description what is wrong with the field
   */
  public record FieldViolation(String field, String description) {}

  /**
   * Reads the error of a failed call, as a stub throws it or passes it to {@code onError}.
   *
   * @param thrown a {@link io.grpc.StatusRuntimeException} or {@link io.grpc.StatusException}, or
   *     an exception that has one of these among its causes, such as that of a future. The details
   *     of any other exception have the code {@code UNKNOWN} and nothing else
   * @return the details; never null
   */
  public static ErrorDetails of(Throwable thrown) {
    Status status = Status.fromThrowable(thrown);
    List<Any> details = readDetails(thrown);
    ErrorInfo info = find(details, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    return new ErrorDetails(
        status.getCode(),
        Optional.ofNullable(status.getDescription()).orElse(""),
        info.getReason(),
        info.getDomain(),
        Map.copyOf(info.getMetadataMap()),
        find(details, RequestInfo.class).map(RequestInfo::getRequestId).orElse(""),
        find(details, RetryInfo.class).map(ErrorDetails::readDelay),
        find(details, BadRequest.class).map(ErrorDetails::readViolations).orElse(List.of()),
        find(details, Interruption.class),
        find(details, RouteDecision.class));
  }

  /**
   * Compares the reason with a value of the enum.
   *
   * @param expected the value to compare with
   * @return whether the reason is this value. A reason that is newer than this client, or that
   *     comes from another domain, equals no value
   */
  public boolean is(ErrorReason expected) {
    return domain.equals(DOMAIN) && expected.name().equals(REASON_PREFIX + reason);
  }

  private static List<Any> readDetails(Throwable thrown) {
    try {
      com.google.rpc.Status status = StatusProto.fromThrowable(thrown);
      return status == null ? List.of() : status.getDetailsList();
    } catch (IllegalArgumentException unreadable) {
      return List.of(); // the status itself can still be read
    }
  }

  private static <M extends com.google.protobuf.Message> Optional<M> find(
      List<Any> details, Class<M> kind) {
    for (Any detail : details) {
      if (detail.is(kind)) {
        try {
          return Optional.of(detail.unpack(kind));
        } catch (InvalidProtocolBufferException unreadable) {
          return Optional.empty(); // the other details can still be read
        }
      }
    }
    return Optional.empty();
  }

  private static Duration readDelay(RetryInfo info) {
    return Duration.ofSeconds(info.getRetryDelay().getSeconds(), info.getRetryDelay().getNanos());
  }

  private static List<FieldViolation> readViolations(BadRequest request) {
    return request.getFieldViolationsList().stream()
        .map(violation -> new FieldViolation(violation.getField(), violation.getDescription()))
        .toList();
  }
}
