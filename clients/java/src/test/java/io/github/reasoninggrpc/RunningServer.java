package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerCredentials;
import io.grpc.ServerInterceptor;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A real server on a free port, which records the metadata of every call. */
final class RunningServer implements AutoCloseable, ServerInterceptor {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final List<Metadata> calls = new CopyOnWriteArrayList<>();
  private final Server server;

  private RunningServer(
      ServerCredentials credentials, ReasoningServiceGrpc.ReasoningServiceImplBase service)
      throws IOException {
    server =
        Grpc.newServerBuilderForPort(0, credentials)
            .addService(service)
            .intercept(this)
            .build()
            .start();
  }

  static RunningServer of(ReasoningServiceGrpc.ReasoningServiceImplBase service)
      throws IOException {
    return new RunningServer(InsecureServerCredentials.create(), service);
  }

  static RunningServer of(
      ServerCredentials credentials, ReasoningServiceGrpc.ReasoningServiceImplBase service)
      throws IOException {
    return new RunningServer(credentials, service);
  }

  int port() {
    return server.getPort();
  }

  String address() {
    return "127.0.0.1:" + port();
  }

  /** Returns the number of calls that arrived, including retries. */
  int calls() {
    return calls.size();
  }

  /** Returns the authorization of the last call, or null when it had none. */
  String authorization() {
    return calls.get(calls.size() - 1).get(AUTHORIZATION);
  }

  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    calls.add(headers);
    return next.startCall(call, headers);
  }

  @Override
  public void close() {
    server.shutdownNow();
  }
}
