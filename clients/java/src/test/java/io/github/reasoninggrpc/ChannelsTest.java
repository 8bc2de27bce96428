package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.Gson;
import com.google.rpc.Code;
import com.google.rpc.Status;
import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.CompleteResponse;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the channels of {@link Channels} do. */
class ChannelsTest {
  private static final Metadata.Key<String> PUSHBACK =
      Metadata.Key.of("grpc-retry-pushback-ms", Metadata.ASCII_STRING_MARSHALLER);
  private static final Status OVERLOADED =
      Status.newBuilder().setCode(Code.UNAVAILABLE_VALUE).build();

  /** The service config is the one of all clients. */
  @Test
  void serviceConfigIsThatOfAllClients() throws Exception {
    String shared = Files.readString(Path.of("../service_config.json"));

    assertEquals(new Gson().fromJson(shared, Map.class), Channels.serviceConfig());
  }

  /** What is unavailable is tried again. */
  @Test
  void retriesWhatIsUnavailable() throws Exception {
    try (RunningServer server = RunningServer.of(failing(2, ""))) {
      complete(Channels.connect(server.address()));

      assertEquals(3, server.calls());
    }
  }

  /** After four attempts the error is the caller's. */
  @Test
  void givesUpAfterFourAttempts() throws Exception {
    try (RunningServer server = RunningServer.of(failing(9, "1"))) {
      assertThrows(
          StatusRuntimeException.class, () -> complete(Channels.connect(server.address())));

      assertEquals(4, server.calls());
    }
  }

  /** A server that says that a retry is of no use is not asked again. */
  @Test
  void negativePushbackStopsRetries() throws Exception {
    try (RunningServer server = RunningServer.of(failing(9, "-1"))) {
      assertThrows(
          StatusRuntimeException.class, () -> complete(Channels.connect(server.address())));

      assertEquals(1, server.calls());
    }
  }

  /** A retry waits for as long as the server says. */
  @Test
  void pushbackIsTheDelay() throws Exception {
    try (RunningServer server = RunningServer.of(failing(1, "700"))) {
      long began = System.nanoTime();

      complete(Channels.connect(server.address()));

      assertTrue(Duration.ofNanos(System.nanoTime() - began).toMillis() >= 700);
      assertEquals(2, server.calls());
    }
  }

  /** What the server has begun is not sent again. */
  @Test
  void sendsNothingAgainThatHasBegun() throws Exception {
    try (RunningServer server = RunningServer.of(new BeginningService())) {
      assertThrows(
          StatusRuntimeException.class, () -> complete(Channels.connect(server.address())));

      assertEquals(1, server.calls());
    }
  }

  /** A token goes with every call, in plaintext too. */
  @Test
  void sendsTheToken() throws Exception {
    try (RunningServer server = RunningServer.of(failing(0, ""))) {
      complete(Channels.connect(server.address(), InsecureChannelCredentials.create(), "a-token"));

      assertEquals("Bearer a-token", server.authorization());
    }
  }

  /** Without a token, and with an empty one, none is sent. */
  @Test
  void sendsNoTokenWithoutOne() throws Exception {
    try (RunningServer server = RunningServer.of(failing(0, ""))) {
      complete(Channels.connect(server.address()));
      assertNull(server.authorization());

      complete(Channels.connect(server.address(), InsecureChannelCredentials.create(), ""));
      assertNull(server.authorization());
      assertEquals(2, server.calls());
    }
  }

  /** Answers may be of any size. */
  @Test
  void takesLargeAnswers() throws Exception {
    CompleteResponse large = CompleteResponse.newBuilder().setModel("x".repeat(8_000_000)).build();
    try (RunningServer server = RunningServer.of(new AnsweringService(large))) {
      assertEquals(large, complete(Channels.connect(server.address())));
    }
  }

  /** What is over 1 MiB gRPC does not keep, and so sends once. */
  @ParameterizedTest
  @CsvSource({"1000000,2", "1100000,1"})
  void sendsLargeRequestsOnce(int characters, int calls) throws Exception {
    CompleteRequest request = Requests.text("x".repeat(characters)).build();
    try (RunningServer server = RunningServer.of(failing(1, "1"))) {
      try {
        complete(Channels.connect(server.address()), request);
      } catch (StatusRuntimeException sentOnce) {
        assertEquals(io.grpc.Status.Code.UNAVAILABLE, sentOnce.getStatus().getCode());
      }

      assertEquals(calls, server.calls());
    }
  }

  /** Over TLS a server is trusted by the authority given, and takes the token too. */
  @Test
  void connectsOverTls() throws Exception {
    try (TestKeys keys = TestKeys.make();
        RunningServer server = RunningServer.of(keys.server(), failing(0, ""))) {
      complete(Channels.connect("localhost:" + server.port(), keys.client(), "a-token"));

      assertEquals("Bearer a-token", server.authorization());
    }
  }

  private static FailingService failing(int failures, String pushback) {
    Metadata trailers = new Metadata();
    if (!pushback.isEmpty()) {
      trailers.put(PUSHBACK, pushback);
    }
    return new FailingService(failures, OVERLOADED, trailers);
  }

  private static CompleteResponse complete(ManagedChannel channel) {
    return complete(channel, CompleteRequest.getDefaultInstance());
  }

  private static CompleteResponse complete(ManagedChannel channel, CompleteRequest request) {
    try {
      return ReasoningServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(Duration.ofMinutes(1))
          .complete(request);
    } finally {
      channel.shutdownNow();
    }
  }

  /** A service that always gives the same answer. */
  private static final class AnsweringService
      extends ReasoningServiceGrpc.ReasoningServiceImplBase {
    private final CompleteResponse answer;

    AnsweringService(CompleteResponse answer) {
      this.answer = answer;
    }

    @Override
    public void complete(CompleteRequest request, StreamObserver<CompleteResponse> response) {
      response.onNext(answer);
      response.onCompleted();
    }
  }

  /** A service that begins every answer, and then fails. */
  private static final class BeginningService
      extends ReasoningServiceGrpc.ReasoningServiceImplBase {
    @Override
    public void complete(CompleteRequest request, StreamObserver<CompleteResponse> response) {
      response.onNext(CompleteResponse.getDefaultInstance());
      response.onError(io.grpc.Status.UNAVAILABLE.asException());
    }
  }
}
