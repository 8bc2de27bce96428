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
 * Sends a question to the reasoning agent, and prints how the agent works on it: the answer goes to
 * standard output, everything else to standard error.
 *
 * <p>The environment variable {@code REASONING_TARGET} is the address of the server, by default
 * 127.0.0.1:50051. {@code REASONING_TOKEN} is the bearer token; by default none is sent.
 */
public final class Ask {
  private Ask() {}

  /**
   * Runs the program.
   *
   * @param arguments the words of the question
   */
  public static void main(String[] arguments) {
    if (arguments.length == 0) {
      System.err.println("usage: Ask QUESTION");
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
    String target = environment.getOrDefault("REASONING_TARGET", "");
    return Channels.connect(
        target.isEmpty() ? "127.0.0.1:50051" : target,
        InsecureChannelCredentials.create(),
        environment.getOrDefault("REASONING_TOKEN", ""));
  }

  private static void ask(ManagedChannel channel, String question) {
    CompleteRequest.Builder request =
        Requests.text(question)
            .setRouting(RoutingOptions.newBuilder().setMode(RoutingMode.ROUTING_MODE_REASONING))
            .setInclude(IncludeOptions.newBuilder().setThoughts(true).setToolResults(true));
    EventPrinter printer = new EventPrinter();
    ReasoningServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(Duration.ofMinutes(2))
        .streamComplete(StreamCompleteRequest.newBuilder().setRequest(request).build())
        .forEachRemaining(printer::print);
  }
}
