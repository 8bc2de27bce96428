package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc.ReasoningServiceBlockingStub;
import io.github.reasoninggrpc.v1.StreamCompleteRequest;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tests that a call whose deadline is over is not sent. */
class DeadlineTest {
  private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
  private RunningServer server;
  private ManagedChannel channel;
  private ReasoningServiceBlockingStub stub;

  @BeforeEach
  void connect() throws Exception {
    server = RunningServer.of(new FailingService(0, com.google.rpc.Status.getDefaultInstance(), new Metadata()));
    channel = Channels.connect(server.address());
    stub = ReasoningServiceGrpc.newBlockingStub(channel);
    stub.complete(CompleteRequest.getDefaultInstance()); // opens the connection
  }

  @AfterEach
  void disconnect() {
    timer.shutdownNow();
    channel.shutdownNow();
    server.close();
  }

  /** The deadline of the stub. */
  @ParameterizedTest
  @ValueSource(longs = {0, -1, -3600})
  void sendsNothingAfterTheDeadlineOfTheStub(long seconds) {
    for (int attempt = 0; attempt < 50; attempt++) {
      assertTooLate(() -> complete(stub.withDeadlineAfter(seconds, TimeUnit.SECONDS)));
      assertTooLate(() -> stream(stub.withDeadlineAfter(seconds, TimeUnit.SECONDS)));
    }

    assertEquals(1, server.calls());
  }

  /** The deadline of the context, which a server passes on to the calls that it makes. */
  @ParameterizedTest
  @ValueSource(longs = {0, -1, -3600})
  void sendsNothingAfterTheDeadlineOfTheContext(long seconds) {
    Context context = Context.current().withDeadlineAfter(seconds, TimeUnit.SECONDS, timer);
    for (int attempt = 0; attempt < 50; attempt++) {
      assertTooLate(() -> context.run(() -> complete(stub)));
      assertTooLate(() -> context.run(() -> stream(stub)));
    }

    assertEquals(1, server.calls());
  }

  private static void assertTooLate(Executable call) {
    var failure = assertThrows(StatusRuntimeException.class, call);
    assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.getStatus().getCode());
  }

  private static void complete(ReasoningServiceBlockingStub stub) {
    stub.complete(CompleteRequest.getDefaultInstance());
  }

  private static void stream(ReasoningServiceBlockingStub stub) {
    stub.streamComplete(StreamCompleteRequest.getDefaultInstance()).hasNext();
  }
}
