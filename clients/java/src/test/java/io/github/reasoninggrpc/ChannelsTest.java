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

/** Tests the behaviour of the channels that {@link Channels} creates. */
class ChannelsTest {
  private static final Metadata.Key<String> PUSHBACK =
      Metadata.Key.of("grpc-retry-pushback-ms", Metadata.ASCII_STRING_MARSHALLER);
  private static final Status OVERLOADED =
      Status.newBuilder().setCode(Code.UNAVAILABLE_VALUE).build();

  /** The service config equals the file that all clients share. */
  @Test
  void sharesTheServiceConfigOfAllClients() throws Exception {
    String shared = Files.readString(Path.of("../service_config.json"));

    assertEquals(new Gson().fromJson(shared, Map.class), Channels.serviceConfig());
  }

  /** A call that fails with UNAVAILABLE is sent again. */
  @Test
  void retriesUnavailableCalls() throws Exception {
    try (RunningServer server = RunningServer.of(failing(2, ""))) {
      complete(Channels.connect(server.address()));

      assertEquals(3, server.calls());
    }
  }

  /** After four attempts the caller gets the error. */
  @Test
  void givesUpAfterFourAttempts() throws Exception {
    try (RunningServer server = RunningServer.of(failing(9, "1"))) {
      assertThrows(
          StatusRuntimeException.class, () -> complete(Channels.connect(server.address())));

      assertEquals(4, server.calls());
    }
  }

  /** A negative pushback from the server stops the retries. */
  @Test
  void stopsRetriesOnNegativePushback() throws Exception {
    try (RunningServer server = RunningServer.of(failing(9, "-1"))) {
      assertThrows(
          StatusRuntimeException.class, () -> complete(Channels.connect(server.address())));

      assertEquals(1, server.calls());
    }
  }

  /** A retry waits for as long as the pushback of the server says. */
  @Test
  void waitsForThePushback() throws Exception {
    try (RunningServer server = RunningServer.of(failing(1, "700"))) {
      long began = System.nanoTime();

      complete(Channels.connect(server.address()));

      assertTrue(Duration.ofNanos(System.nanoTime() - began).toMillis() >= 700);
      assertEquals(2, server.calls());
    }
  }

  /** A call that the server has begun to answer is not sent again. */
  @Test
  void doesNotRetryACallThatHasBegun() throws Exception {
    try (RunningServer server = RunningServer.of(new BeginningService())) {
      assertThrows(
          StatusRuntimeException.class, () -> complete(Channels.connect(server.address())));

      assertEquals(1, server.calls());
    }
  }

  /** The token is sent with every call, also in plaintext. */
  @Test
  void sendsTheToken() throws Exception {
    try (RunningServer server = RunningServer.of(failing(0, ""))) {
      complete(Channels.connect(server.address(), InsecureChannelCredentials.create(), "a-token"));

      assertEquals("Bearer a-token", server.authorization());
    }
  }

  /** Without a token, or with an empty one, the call has no authorization. */
  @Test
  void sendsNoAuthorizationWithoutAToken() throws Exception {
    try (RunningServer server = RunningServer.of(failing(0, ""))) {
      complete(Channels.connect(server.address()));
      assertNull(server.authorization());

      complete(Channels.connect(server.address(), InsecureChannelCredentials.create(), ""));
      assertNull(server.authorization());
      assertEquals(2, server.calls());
    }
  }

  /** A channel accepts answers of any size. */
  @Test
  void acceptsLargeAnswers() throws Exception {
    CompleteResponse large = CompleteResponse.newBuilder().setModel("x".repeat(8_000_000)).build();
    try (RunningServer server = RunningServer.of(new AnsweringService(large))) {
      assertEquals(large, complete(Channels.connect(server.address())));
    }
  }

  /** A request over 1 MiB is sent only once, because gRPC does not keep it for a retry. */
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

  /** Over TLS, a channel trusts the given certificate authority and sends the token. */
  @Test
  void connectsOverTls() throws Exception {
    try (TestKeys keys = TestKeys.create();
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

  /** A service that always returns the same answer. */
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

  /** A service that fails after it has begun its answer. */
  private static final class BeginningService
      extends ReasoningServiceGrpc.ReasoningServiceImplBase {
    @Override
    public void complete(CompleteRequest request, StreamObserver<CompleteResponse> response) {
      response.onNext(CompleteResponse.getDefaultInstance());
      response.onError(io.grpc.Status.UNAVAILABLE.asException());
    }
  }
}
