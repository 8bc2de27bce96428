package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.Reasoning;
import io.github.reasoninggrpc.v1.ToolCall;
import org.junit.jupiter.api.Test;

/** Tests how {@link Messages} reads messages. */
class MessagesTest {
  /** The parts of text are joined unchanged, and other parts are ignored. */
  @Test
  void joinsThePartsOfText() {
    Message message =
        Message.newBuilder()
            .addContent(Part.newBuilder().setReasoning(Reasoning.newBuilder().setText("hm")))
            .addContent(Part.newBuilder().setText("Hel"))
            .addContent(Part.newBuilder().setRefusal("No."))
            .addContent(Part.newBuilder().setText("lo, "))
            .addContent(Part.newBuilder().setToolCall(ToolCall.newBuilder().setName("look")))
            .addContent(Part.newBuilder().setText("you."))
            .build();

    assertEquals("Hello, you.", Messages.text(message));
  }

  /** The text of a message without parts of text is empty. */
  @Test
  void returnsEmptyTextWithoutPartsOfText() {
    assertEquals("", Messages.text(Message.getDefaultInstance()));
  }
}
