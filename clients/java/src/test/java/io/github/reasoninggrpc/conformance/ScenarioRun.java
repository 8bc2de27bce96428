package io.github.reasoninggrpc.conformance;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.reasoninggrpc.Channels;
import io.github.reasoninggrpc.ErrorDetails;
import io.github.reasoninggrpc.Folder;
import io.github.reasoninggrpc.v1.ClassifyRequest;
import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.ListModelsRequest;
import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.github.reasoninggrpc.v1.StreamCompleteRequest;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/** Runs one scenario of a plan over a connection of its own. */
final class ScenarioRun {
  private final JsonObject plan;
  private final JsonObject scenario;
  private final String rpc;

  private ScenarioRun(JsonObject plan, JsonObject scenario) {
    this.plan = plan;
    this.scenario = scenario;
    this.rpc = scenario.get("rpc").getAsString();
  }

  static ScenarioRun of(JsonObject plan, JsonObject scenario) {
    return new ScenarioRun(plan, scenario);
  }

  /** Runs the scenario, and adds what the client received to the result. */
  void run(JsonObject result) throws Exception {
    if (rpc.equals("Fold")) {
      result.add("folded", Results.toJson(Folder.fold(parsePlannedEvents())));
      return;
    }
    ManagedChannel channel = connect();
    try (Context.CancellableContext call = Context.current().withCancellation()) {
      call.call(
          () -> {
            run(ClientInterceptors.intercept(channel, addHeaders()), call, result);
            return null;
          });
    } finally {
      channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    }
  }

  private void run(Channel channel, Context.CancellableContext call, JsonObject result)
      throws Exception {
    if (rpc.equals("StreamComplete")) {
      runStream(channel, call, result);
    } else {
      runUnary(channel, call, result);
    }
  }

  private List<StreamCompleteResponse> parsePlannedEvents() throws IOException {
    List<StreamCompleteResponse> events = new ArrayList<>();
    for (JsonElement event : scenario.getAsJsonArray("events")) {
      events.add(Results.parse(StreamCompleteResponse.newBuilder(), event).build());
    }
    return events;
  }

  private ManagedChannel connect() throws IOException {
    String name = scenario.get("address").getAsString();
    String address = plan.getAsJsonObject("addresses").get(name).getAsString();
    ChannelCredentials credentials =
        name.equals("tls") ? createTlsCredentials() : InsecureChannelCredentials.create();
    return scenario.has("token")
        ? Channels.connect(address, credentials, scenario.get("token").getAsString())
        : Channels.connect(address, credentials);
  }

  private ChannelCredentials createTlsCredentials() throws IOException {
    File authority = new File(plan.get("certificate_authority").getAsString());
    return TlsChannelCredentials.newBuilder().trustManager(authority).build();
  }

  private io.grpc.ClientInterceptor addHeaders() {
    Metadata headers = new Metadata();
    if (scenario.has("metadata")) {
      for (Map.Entry<String, JsonElement> entry : scenario.getAsJsonObject("metadata").entrySet()) {
        headers.put(
            Metadata.Key.of(entry.getKey(), Metadata.ASCII_STRING_MARSHALLER),
            entry.getValue().getAsString());
      }
    }
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  private void runStream(Channel channel, Context.CancellableContext call, JsonObject result)
      throws IOException {
    int cancelAfter = cancelAfter();
    List<StreamCompleteResponse> events = new ArrayList<>();
    try {
      Iterator<StreamCompleteResponse> stream = startStream(channel);
      cancelWhen(cancelAfter == 0, call);
      while (stream.hasNext()) {
        StreamCompleteResponse event = stream.next();
        if (cancelAfter < 0 || events.size() < cancelAfter) {
          events.add(event);
          cancelWhen(events.size() == cancelAfter, call);
        }
      }
      result.add("folded", Results.toJson(Folder.fold(events)));
    } catch (StatusRuntimeException error) {
      Results.putError(result, ErrorDetails.of(error));
    }
    Results.putEvents(result, events);
  }

  private void runUnary(Channel channel, Context.CancellableContext call, JsonObject result)
      throws Exception {
    ListenableFuture<? extends Message> response = startUnary(channel);
    cancelWhen(cancelAfter() == 0, call);
    try {
      result.add("response", Results.toJson(response.get()));
    } catch (ExecutionException error) {
      Results.putError(result, ErrorDetails.of(error));
    }
  }

  /** Returns the number of events after which to cancel, or -1 when the call is not cancelled. */
  private int cancelAfter() {
    return scenario.has("cancel_after_events")
        ? scenario.get("cancel_after_events").getAsInt()
        : -1;
  }

  private static void cancelWhen(boolean now, Context.CancellableContext call) {
    if (now) {
      call.cancel(null);
    }
  }

  private Iterator<StreamCompleteResponse> startStream(Channel channel) throws IOException {
    if (isRaw()) {
      return ClientCalls.blockingServerStreamingCall(
          channel,
          acceptBytes(ReasoningServiceGrpc.getStreamCompleteMethod()),
          options(),
          rawRequest());
    }
    StreamCompleteRequest request =
        Results.parse(StreamCompleteRequest.newBuilder(), scenario.get("request")).build();
    return withOptions(ReasoningServiceGrpc.newBlockingStub(channel)).streamComplete(request);
  }

  private ListenableFuture<? extends Message> startUnary(Channel channel) throws IOException {
    if (isRaw()) {
      return startRawUnary(channel);
    }
    ReasoningServiceGrpc.ReasoningServiceFutureStub stub =
        withOptions(ReasoningServiceGrpc.newFutureStub(channel));
    JsonElement request = scenario.get("request");
    return switch (rpc) {
      case "Complete" ->
          stub.complete(Results.parse(CompleteRequest.newBuilder(), request).build());
      case "Classify" ->
          stub.classify(Results.parse(ClassifyRequest.newBuilder(), request).build());
      case "ListModels" ->
          stub.listModels(Results.parse(ListModelsRequest.newBuilder(), request).build());
      default -> throw new IllegalArgumentException("no such rpc: " + rpc);
    };
  }

  private ListenableFuture<? extends Message> startRawUnary(Channel channel) {
    return switch (rpc) {
      case "Complete" -> startRawUnary(channel, ReasoningServiceGrpc.getCompleteMethod());
      case "Classify" -> startRawUnary(channel, ReasoningServiceGrpc.getClassifyMethod());
      case "ListModels" -> startRawUnary(channel, ReasoningServiceGrpc.getListModelsMethod());
      default -> throw new IllegalArgumentException("no such rpc: " + rpc);
    };
  }

  private <R extends Message> ListenableFuture<R> startRawUnary(
      Channel channel, MethodDescriptor<?, R> method) {
    return ClientCalls.futureUnaryCall(
        channel.newCall(acceptBytes(method), options()), rawRequest());
  }

  /** Returns whether the scenario gives the bytes of the request instead of its fields. */
  private boolean isRaw() {
    return scenario.has("request_base64");
  }

  private byte[] rawRequest() {
    return Base64.getDecoder().decode(scenario.get("request_base64").getAsString());
  }

  private <S extends AbstractStub<S>> S withOptions(S stub) {
    S timed = stub.withDeadlineAfter(timeoutMilliseconds(), TimeUnit.MILLISECONDS);
    return scenario.has("compression")
        ? timed.withCompression(scenario.get("compression").getAsString())
        : timed;
  }

  private CallOptions options() {
    CallOptions timed =
        CallOptions.DEFAULT.withDeadlineAfter(timeoutMilliseconds(), TimeUnit.MILLISECONDS);
    return scenario.has("compression")
        ? timed.withCompression(scenario.get("compression").getAsString())
        : timed;
  }

  private long timeoutMilliseconds() {
    return Math.round(scenario.get("timeout_seconds").getAsDouble() * 1000);
  }

  /** Returns the method with a marshaller that sends the bytes of the request unchanged. */
  private static <R> MethodDescriptor<byte[], R> acceptBytes(MethodDescriptor<?, R> method) {
    return method.toBuilder(new Bytes(), method.getResponseMarshaller()).build();
  }

  /** Marshals bytes unchanged. */
  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }
}
