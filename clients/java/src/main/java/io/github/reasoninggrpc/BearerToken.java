package io.github.reasoninggrpc;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import java.util.concurrent.Executor;

/**
 * A bearer token that is sent with a call, in plaintext too.
 *
 * <p>{@link Channels#connect(String, io.grpc.ChannelCredentials, String)} gives one to every call
 * of a channel; {@code stub.withCallCredentials(new BearerToken(token))} to the calls of a stub.
 */
public final class BearerToken extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final String header;

  /**
   * Takes the token as it is.
   *
   * @param token the token, without {@code Bearer}
   * @throws IllegalArgumentException if it is empty or has other than visible ASCII characters
   */
  public BearerToken(String token) {
    if (token.isEmpty()
        || !token.chars().allMatch(character -> character > ' ' && character <= '~')) {
      throw new IllegalArgumentException("a token consists of visible ASCII characters");
    }
    header = "Bearer " + token;
  }

  @Override
  public void applyRequestMetadata(
      RequestInfo request, Executor executor, MetadataApplier applier) {
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, header);
    applier.apply(headers);
  }

  /** Says what it is, not the token. */
  @Override
  public String toString() {
    return "BearerToken";
  }
}
