package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.Role;
import org.junit.jupiter.api.Test;

/** Tests the requests that {@link Requests} creates. */
class RequestsTest {
  /** A request of text has one message of the user. */
  @Test
  void createsOneUserMessage() {
    CompleteRequest request = Requests.text("hi").setModel("a-model").build();

    Part part = Part.newBuilder().setText("hi").build();
    Message message = Message.newBuilder().setRole(Role.ROLE_USER).addContent(part).build();
    assertEquals(
        CompleteRequest.newBuilder().setModel("a-model").addMessages(message).build(), request);
  }
}
