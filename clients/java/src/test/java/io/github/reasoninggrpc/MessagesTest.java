package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.Reasoning;
import io.github.reasoninggrpc.v1.ToolCall;
import org.junit.jupiter.api.Test;

/** What {@link Messages} reads. */
class MessagesTest {
  /** Parts of text are joined as they are, and other parts are passed over. */
  @Test
  void textIsThatOfAllPartsOfText() {
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

  /** A message without text has an empty one. */
  @Test
  void textMayBeEmpty() {
    assertEquals("", Messages.text(Message.getDefaultInstance()));
  }
}
