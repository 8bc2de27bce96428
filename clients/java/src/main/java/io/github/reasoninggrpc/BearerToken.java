package io.github.reasoninggrpc;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import java.util.concurrent.Executor;

/**
 * A bearer token that is sent with a call, also when the connection is in plaintext.
 *
 * <p>{@link Channels#connect(String, io.grpc.ChannelCredentials, String)} sends a token with every
 * call of a channel. {@code stub.withCallCredentials(new BearerToken(token))} sends it with the
 * calls of one stub.
 */
public final class BearerToken extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final String header;

  /**
   * Creates the credentials for a token.
   *
   * @param token the token, without the word {@code Bearer}
   * @throws IllegalArgumentException if the token is empty, or has a character that is not a
   *     visible ASCII character
   */
  public BearerToken(String token) {
    if (token.isEmpty()
        || !token.chars().allMatch(character -> character > ' ' && character <= '~')) {
      throw new IllegalArgumentException("a token must consist of visible ASCII characters");
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

  /** Returns the name of the class; the token itself stays secret. */
  @Override
  public String toString() {
    return "BearerToken";
  }
}
