package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import java.util.stream.Collectors;

/** Reads the content of messages. */
public final class Messages {
  private Messages() {}

  /**
   * Returns the text of a message: all its parts of text, joined. Refusals and reasoning are not
   * part of the text.
   *
   * @param message the message, such as the message of an answer
   * @return the text; empty when the message has no part of text
   */
  public static String text(Message message) {
    return message.getContentList().stream()
        .filter(Part::hasText)
        .map(Part::getText)
        .collect(Collectors.joining());
  }
}
