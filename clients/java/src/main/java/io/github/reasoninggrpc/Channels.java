package io.github.reasoninggrpc;

import static java.util.Map.entry;

import io.github.reasoninggrpc.v1.ReasoningServiceGrpc;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Creates channels to a reasoning-grpc server, with defaults that suit it.
 *
 * <p>Such a channel distributes its calls over all addresses of the target, repeats calls that the
 * server allows to be sent again, detects a dead connection while a call is active, and accepts
 * messages of any size. A channel connects when it is first used. The code that created it must
 * shut it down.
 */
public final class Channels {
  private static final long KEEP_ALIVE_SECONDS = 30;
  private static final long KEEP_ALIVE_TIMEOUT_SECONDS = 10;

  private static final Map<String, ?> RETRY_POLICY =
      Map.ofEntries(
          entry("maxAttempts", 4.0),
          entry("initialBackoff", "0.2s"),
          entry("maxBackoff", "5s"),
          entry("backoffMultiplier", 2.0),
          entry("retryableStatusCodes", List.of("UNAVAILABLE")));

  private static final Map<String, ?> METHODS =
      Map.ofEntries(
          entry("name", List.of(Map.of("service", ReasoningServiceGrpc.SERVICE_NAME))),
          entry("retryPolicy", RETRY_POLICY));

  /** The content of the file service_config.json, which all clients share. */
  private static final Map<String, ?> SERVICE_CONFIG =
      Map.ofEntries(
          entry("loadBalancingConfig", List.of(Map.of("round_robin", Map.of()))),
          entry("methodConfig", List.of(METHODS)));

  private Channels() {}

  /**
   * Creates a channel in plaintext, for loopback and trusted networks.
   *
   * @param target the server to connect to, such as {@code 127.0.0.1:50051} or {@code
   *     dns:///reasoning:50051}
   * @return the channel, to be shut down by the caller
   */
  public static ManagedChannel connect(String target) {
    return connect(target, InsecureChannelCredentials.create());
  }

  /**
   * Creates a channel with credentials of your choice.
   *
   * @param target the server to connect to
   * @param credentials {@link io.grpc.TlsChannelCredentials} for TLS, {@link
   *     InsecureChannelCredentials} for plaintext
   * @return the channel, to be shut down by the caller
   */
  public static ManagedChannel connect(String target, ChannelCredentials credentials) {
    return newBuilder(target, credentials).build();
  }

  /**
   * Creates a channel that sends a bearer token with every call.
   *
   * @param target the server to connect to
   * @param credentials {@link io.grpc.TlsChannelCredentials} for TLS, {@link
   *     InsecureChannelCredentials} for plaintext, in which everyone on the network path can read
   *     the token
   * @param token the token, without the word {@code Bearer}; empty means that no token is sent
   * @return the channel, to be shut down by the caller
   * @throws IllegalArgumentException if the token has a character that is not a visible ASCII
   *     character
   */
  public static ManagedChannel connect(
      String target, ChannelCredentials credentials, String token) {
    return token.isEmpty()
        ? connect(target, credentials)
        : connect(target, CompositeChannelCredentials.create(credentials, new BearerToken(token)));
  }

  /**
   * Creates a builder that has the defaults, for channels with options of your own.
   *
   * @param target the server to connect to
   * @param credentials the credentials, as for {@link #connect(String, ChannelCredentials)}. To add
   *     a token, pass {@code CompositeChannelCredentials.create(credentials, new
   *     BearerToken(token))}
   * @return the builder
   */
  public static ManagedChannelBuilder<?> newBuilder(String target, ChannelCredentials credentials) {
    return Grpc.newChannelBuilder(target, credentials)
        .defaultServiceConfig(SERVICE_CONFIG)
        .enableRetry()
        .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
        .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(false)
        .maxInboundMessageSize(Integer.MAX_VALUE);
  }

  /**
   * Returns the default service config, in the form that {@link
   * ManagedChannelBuilder#defaultServiceConfig} accepts.
   *
   * @return an immutable map
   */
  public static Map<String, ?> serviceConfig() {
    return SERVICE_CONFIG;
  }
}
