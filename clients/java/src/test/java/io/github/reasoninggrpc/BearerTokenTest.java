package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tests which tokens {@link BearerToken} accepts, and that it keeps them secret. */
class BearerTokenTest {
  /** A token that cannot be sent in a header is rejected, and the error does not repeat it. */
  @ParameterizedTest
  @ValueSource(strings = {"", "two words", "a-line\n", "caf\u00e9"})
  void rejectsInvalidTokens(String token) {
    IllegalArgumentException error =
        assertThrows(IllegalArgumentException.class, () -> new BearerToken(token));

    assertFalse(!token.isEmpty() && error.getMessage().contains(token));
  }

  /** Printing the credentials does not show the token. */
  @Test
  void hidesTheTokenWhenPrinted() {
    assertFalse(new BearerToken("a-secret").toString().contains("a-secret"));
  }
}
