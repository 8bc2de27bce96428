package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;
import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.CompleteResponse;
import io.github.reasoninggrpc.v1.ErrorReason;
import io.github.reasoninggrpc.v1.Interruption;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.github.reasoninggrpc.v1.RouteDecision;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tests how {@link ErrorDetails} reads errors. */
class ErrorDetailsTest {
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);
  private static final Interruption INTERRUPTION =
      Interruption.newBuilder().setModelCallCount(2).build();
  private static final RouteDecision ROUTE_DECISION =
      RouteDecision.newBuilder().setRoute("orchestration").build();

  /** Every detail of a status that a server sent is read. */
  @Test
  void readsEveryDetail() throws Exception {
    ErrorDetails details = ErrorDetails.of(callFailingWith(status(allDetails())));

    assertEquals(Status.Code.RESOURCE_EXHAUSTED, details.code());
    assertEquals("Too much.", details.message());
    assertEquals("CALLER_LIMIT", details.reason());
    assertEquals("reasoning-grpc", details.domain());
    assertEquals(Map.of("limit", "3"), details.metadata());
    assertEquals("req_1", details.requestId());
    assertEquals(Optional.of(Duration.ofMillis(1500)), details.retryAfter());
    assertEquals(
        List.of(new ErrorDetails.FieldViolation("messages", "At least one.")),
        details.violations());
    assertEquals(Optional.of(INTERRUPTION), details.interruption());
    assertEquals(Optional.of(ROUTE_DECISION), details.routeDecision());
  }

  /** An error that gRPC itself reports has a code and a message, and nothing else. */
  @Test
  void readsStatusWithoutDetails() {
    Exception error = Status.DEADLINE_EXCEEDED.withDescription("too late").asException();

    assertEquals(withoutDetails(Status.Code.DEADLINE_EXCEEDED, "too late"), ErrorDetails.of(error));
  }

  /** The error of a future is read from the cause of its exception. */
  @Test
  void readsTheCause() throws Exception {
    StatusException error = Status.CANCELLED.asException();

    assertEquals(
        withoutDetails(Status.Code.CANCELLED, ""), ErrorDetails.of(new ExecutionException(error)));
  }

  /** An exception that does not come from gRPC has the code UNKNOWN. */
  @Test
  void readsOtherExceptionsAsUnknown() {
    assertEquals(
        withoutDetails(Status.Code.UNKNOWN, ""),
        ErrorDetails.of(new IllegalStateException("other")));
  }

  /** A status whose details cannot be parsed has no details. */
  @Test
  void ignoresUnreadableDetails() {
    Metadata trailers = new Metadata();
    trailers.put(DETAILS, new byte[] {-1, -1});

    assertEquals(
        withoutDetails(Status.Code.INTERNAL, ""),
        ErrorDetails.of(Status.INTERNAL.asException(trailers)));
  }

  /** A detail that cannot be parsed does not hide the other details. */
  @Test
  void readsTheOtherDetailsBesideABrokenOne() throws Exception {
    Any broken =
        Any.pack(RetryInfo.getDefaultInstance()).toBuilder()
            .setValue(ByteString.fromHex("ffff"))
            .build();
    Any request = Any.pack(RequestInfo.newBuilder().setRequestId("req_1").build());

    ErrorDetails details = ErrorDetails.of(callFailingWith(status(List.of(broken, request))));

    assertTrue(details.retryAfter().isEmpty());
    assertEquals("req_1", details.requestId());
  }

  /** A reason equals exactly one value of the enum. */
  @Test
  void equalsOneValueOfTheEnum() {
    assertEquals(
        List.of(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND),
        matchingReasons("MODEL_NOT_FOUND", "reasoning-grpc"));
  }

  /**
   * An empty reason, one of a newer server, or one of another domain equals no value of the enum.
   */
  @ParameterizedTest
  @CsvSource({
    "'',''",
    "A_NEWER_ONE,reasoning-grpc",
    "UNRECOGNIZED,reasoning-grpc",
    "INTERNAL,else"
  })
  void equalsNoValueOfTheEnum(String reason, String domain) {
    assertEquals(List.of(), matchingReasons(reason, domain));
  }

  /** Returns the values of the enum that the reason equals. */
  private static List<ErrorReason> matchingReasons(String reason, String domain) {
    ErrorInfo info = ErrorInfo.newBuilder().setReason(reason).setDomain(domain).build();
    ErrorDetails details =
        ErrorDetails.of(StatusProto.toStatusException(status(List.of(Any.pack(info)))));
    return Arrays.stream(ErrorReason.values()).filter(details::is).toList();
  }

  private static ErrorDetails withoutDetails(Status.Code code, String message) {
    return new ErrorDetails(
        code,
        message,
        "",
        "",
        Map.of(),
        "",
        Optional.empty(),
        List.of(),
        Optional.empty(),
        Optional.empty());
  }

  private static com.google.rpc.Status status(List<Any> details) {
    return com.google.rpc.Status.newBuilder()
        .setCode(Code.RESOURCE_EXHAUSTED_VALUE)
        .setMessage("Too much.")
        .addAllDetails(details)
        .build();
  }

  private static List<Any> allDetails() {
    com.google.protobuf.Duration delay =
        com.google.protobuf.Duration.newBuilder().setSeconds(1).setNanos(500_000_000).build();
    List<Message> details =
        List.of(
            ErrorInfo.newBuilder()
                .setReason("CALLER_LIMIT")
                .setDomain("reasoning-grpc")
                .putMetadata("limit", "3")
                .build(),
            RequestInfo.newBuilder().setRequestId("req_1").build(),
            RetryInfo.newBuilder().setRetryDelay(delay).build(),
            BadRequest.newBuilder()
                .addFieldViolations(
                    BadRequest.FieldViolation.newBuilder()
                        .setField("messages")
                        .setDescription("At least one."))
                .build(),
            INTERRUPTION,
            ROUTE_DECISION);
    return details.stream().map(Any::pack).toList();
  }

  /** Returns the exception that a caller gets when the server fails with this status. */
  private static StatusRuntimeException callFailingWith(com.google.rpc.Status status)
      throws Exception {
    FailingService service = new FailingService(1, status, new Metadata());
    try (RunningServer server = RunningServer.of(service)) {
      ManagedChannel channel = Channels.connect(server.address());
      try {
        return assertThrows(StatusRuntimeException.class, () -> complete(channel));
      } finally {
        channel.shutdownNow();
      }
    }
  }

  private static CompleteResponse complete(ManagedChannel channel) {
    return ReasoningServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(Duration.ofMinutes(1))
        .complete(CompleteRequest.getDefaultInstance());
  }
}
