package io.github.reasoninggrpc.example;

import io.github.reasoninggrpc.Channels;
import io.github.reasoninggrpc.ErrorDetails;
import io.github.reasoninggrpc.Requests;
import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.IncludeOptions;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.github.reasoninggrpc.v1.RoutingMode;
import io.github.reasoninggrpc.v1.RoutingOptions;
import io.github.reasoninggrpc.v1.StreamCompleteRequest;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Map;

/**
 * Has a question thought about, and prints what happens: the answer to standard output, all else to
 * standard error.
 *
 * <p>The server is that of {@code REASONING_TARGET}, else 127.0.0.1:50051; the token, if any, that
 * of {@code REASONING_TOKEN}.
 */
public final class Reason {
  private Reason() {}

  /**
   * Asks.
   *
   * @param arguments the question, in one word or more
   */
  public static void main(String[] arguments) {
    if (arguments.length == 0) {
      System.err.println("usage: Reason QUESTION");
      System.exit(2);
    }
    ManagedChannel channel = connect(System.getenv());
    try {
      ask(channel, String.join(" ", arguments));
    } catch (StatusRuntimeException error) {
      ErrorDetails details = ErrorDetails.of(error);
      System.err.printf("%n%s %s: %s%n", details.code(), details.reason(), details.message());
      details
          .violations()
          .forEach(wrong -> System.err.println(wrong.field() + ": " + wrong.description()));
      System.exit(1);
    } finally {
      channel.shutdown();
    }
  }

  private static ManagedChannel connect(Map<String, String> environment) {
    String target = environment.getOrDefault("REASONING_TARGET", "127.0.0.1:50051");
    String token = environment.get("REASONING_TOKEN");
    return token == null
        ? Channels.connect(target)
        : Channels.connect(target, InsecureChannelCredentials.create(), token);
  }

  private static void ask(ManagedChannel channel, String question) {
    CompleteRequest.Builder request =
        Requests.text(question)
            .setRouting(RoutingOptions.newBuilder().setMode(RoutingMode.ROUTING_MODE_REASONING))
            .setInclude(IncludeOptions.newBuilder().setThoughts(true).setToolResults(true));
    EventPrinter printer = new EventPrinter();
    ReasoningServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(Duration.ofMinutes(5))
        .streamComplete(StreamCompleteRequest.newBuilder().setRequest(request).build())
        .forEachRemaining(printer::print);
  }
}
