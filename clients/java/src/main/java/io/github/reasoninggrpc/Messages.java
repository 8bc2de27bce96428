package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import java.util.stream.Collectors;

/** Short ways to read a message. */
public final class Messages {
  private Messages() {}

  /**
   * The text of a message: all its parts of text, joined. Refusals and reasoning are no text.
   *
   * @param message the message, such as that of an answer
   * @return the text; empty when there is none
   */
  public static String text(Message message) {
    return message.getContentList().stream()
        .filter(Part::hasText)
        .map(Part::getText)
        .collect(Collectors.joining());
  }
}
