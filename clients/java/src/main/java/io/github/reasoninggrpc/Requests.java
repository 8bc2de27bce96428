package io.github.reasoninggrpc;

import io.github.reasoninggrpc.v1.CompleteRequest;
import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.Role;

/** Short ways to say what most requests consist of. */
public final class Requests {
  private Requests() {}

  /**
   * A request of one user message, for the server's default model.
   *
   * @param text what the user says
   * @return a builder, to be completed as you like
   */
  public static CompleteRequest.Builder text(String text) {
    return CompleteRequest.newBuilder().addMessages(message(Role.ROLE_USER, text));
  }

  /**
   * A message of one part of text.
   *
   * @param role who speaks
   * @param text what is said
   * @return the message
   */
  public static Message message(Role role, String text) {
    return Message.newBuilder().setRole(role).addContent(Part.newBuilder().setText(text)).build();
  }
}
