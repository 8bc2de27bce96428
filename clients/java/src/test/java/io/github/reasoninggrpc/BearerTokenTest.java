package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@link BearerToken} takes, and what it keeps to itself. */
class BearerTokenTest {
  /** What cannot stand in a header is no token, and is not repeated. */
  @ParameterizedTest
  @ValueSource(strings = {"", "two words", "a-line\n", "caf\u00e9"})
  void refusesWhatIsNoToken(String token) {
    IllegalArgumentException error =
        assertThrows(IllegalArgumentException.class, () -> new BearerToken(token));

    assertFalse(!token.isEmpty() && error.getMessage().contains(token));
  }

  /** The token is not shown where a value is printed. */
  @Test
  void isNotPrinted() {
    assertFalse(new BearerToken("a-secret").toString().contains("a-secret"));
  }
}
