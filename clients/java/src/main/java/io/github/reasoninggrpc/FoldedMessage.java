package io.github.reasoninggrpc;

import com.google.protobuf.ByteString;
import io.github.reasoninggrpc.v1.ContentDelta;
import io.github.reasoninggrpc.v1.Message;
import io.github.reasoninggrpc.v1.Part;
import io.github.reasoninggrpc.v1.Reasoning;
import io.github.reasoninggrpc.v1.ReasoningDelta;
import io.github.reasoninggrpc.v1.Role;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import io.github.reasoninggrpc.v1.ToolCall;
import io.github.reasoninggrpc.v1.ToolCallDelta;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Joins the pieces of an answer to the parts of a message, in the order in which they began. */
final class FoldedMessage {
  private final List<OpenPart> parts = new ArrayList<>();
  private final Map<String, OpenPart> toolCalls = new HashMap<>();

  /** Takes one event; those that are no piece of the answer change nothing. */
  void add(StreamCompleteResponse event) {
    switch (event.getKindCase()) {
      case CONTENT_DELTA -> add(event.getContentDelta());
      case REASONING_DELTA -> add(event.getReasoningDelta());
      case TOOL_CALL_DELTA -> add(event.getToolCallDelta());
      default -> {}
    }
  }

  /** The answer so far. */
  Message message() {
    Message.Builder message = Message.newBuilder().setRole(Role.ROLE_ASSISTANT);
    parts.forEach(part -> message.addContent(part.part()));
    return message.build();
  }

  private void add(ContentDelta delta) {
    if (!delta.getText().isEmpty()) {
      open(delta.getRefusal() ? Part.KindCase.REFUSAL : Part.KindCase.TEXT)
          .add(delta.getText(), delta.getSignature());
    } else if (!delta.getSignature().isEmpty()) {
      lastText().add("", delta.getSignature());
    }
  }

  private void add(ReasoningDelta delta) {
    if (delta.getRedacted().isEmpty()) {
      open(Part.KindCase.REASONING).add(delta.getText(), delta.getSignature());
    } else {
      OpenPart part = begin(Part.KindCase.REASONING);
      part.redacted = delta.getRedacted();
      part.signature = delta.getSignature();
    }
  }

  private void add(ToolCallDelta delta) {
    OpenPart call =
        toolCalls.computeIfAbsent(delta.getCallId(), id -> begin(Part.KindCase.TOOL_CALL));
    call.callId = delta.getCallId();
    call.name = call.name.isEmpty() ? delta.getName() : call.name;
    call.add(delta.getArguments(), delta.getSignature());
  }

  private OpenPart begin(Part.KindCase kind) {
    OpenPart part = new OpenPart(kind);
    parts.add(part);
    return part;
  }

  /** The last part, if a piece of this kind goes on with it; else a new one. */
  private OpenPart open(Part.KindCase kind) {
    OpenPart last = parts.isEmpty() ? null : parts.get(parts.size() - 1);
    return last != null && last.kind == kind && last.isOpen() ? last : begin(kind);
  }

  /** The last part of text, wherever it stands; an empty one if there is none. */
  private OpenPart lastText() {
    for (int index = parts.size() - 1; index >= 0; index--) {
      if (parts.get(index).kind == Part.KindCase.TEXT) {
        return parts.get(index);
      }
    }
    return begin(Part.KindCase.TEXT);
  }

  /** A part as far as it is known. */
  private static final class OpenPart {
    final Part.KindCase kind;
    final StringBuilder text = new StringBuilder();
    ByteString redacted = ByteString.EMPTY;
    String signature = "";
    String callId = "";
    String name = "";

    OpenPart(Part.KindCase kind) {
      this.kind = kind;
    }

    /** Whether the next piece of the same kind belongs to it. */
    boolean isOpen() {
      return redacted.isEmpty() && signature.isEmpty();
    }

    void add(String piece, String itsSignature) {
      text.append(piece);
      signature = itsSignature.isEmpty() ? signature : itsSignature;
    }

    Part part() {
      Part.Builder part = Part.newBuilder().setSignature(signature);
      switch (kind) {
        case REFUSAL -> part.setRefusal(text.toString());
        case REASONING -> part.setReasoning(reasoning());
        case TOOL_CALL ->
            part.setToolCall(
                ToolCall.newBuilder().setId(callId).setName(name).setArguments(text.toString()));
        default -> part.setText(text.toString());
      }
      return part.build();
    }

    private Reasoning.Builder reasoning() {
      Reasoning.Builder reasoning = Reasoning.newBuilder();
      return redacted.isEmpty()
          ? reasoning.setText(text.toString())
          : reasoning.setRedacted(redacted);
    }
  }
}
