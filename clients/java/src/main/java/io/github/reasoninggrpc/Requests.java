package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.Role;

/** Creates requests and messages of text. */
public final class Requests {
  private Requests() {}

  /**
   * Creates a request that has one message of the user, for the server's default model.
   *
   * @param text what the user says
   * @return a builder, so that you can set further fields
   */
  public static CompleteRequest.Builder text(String text) {
    return CompleteRequest.newBuilder().addMessages(message(Role.ROLE_USER, text));
  }

  /**
   * Creates a message that has one part of text.
   *
   * @param role the author of the message
   * @param text the text of the message
   * @return the message
   */
  public static Message message(Role role, String text) {
    return Message.newBuilder().setRole(role).addContent(Part.newBuilder().setText(text)).build();
  }
}
