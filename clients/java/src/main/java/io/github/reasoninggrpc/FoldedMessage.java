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

/** Joins the deltas of an answer to the parts of a message, in the order in which parts began. */
final class FoldedMessage {
  private final List<OpenPart> parts = new ArrayList<>();
  private final Map<String, OpenPart> toolCalls = new HashMap<>();

  /** Adds one event. An event that is not a delta of the answer changes nothing. */
  void add(StreamCompleteResponse event) {
    switch (event.getKindCase()) {
      case CONTENT_DELTA -> add(event.getContentDelta());
      case REASONING_DELTA -> add(event.getReasoningDelta());
      case TOOL_CALL_DELTA -> add(event.getToolCallDelta());
      default -> {}
    }
  }

  /** Returns the answer as far as it is known. */
  Message message() {
    Message.Builder message = Message.newBuilder().setRole(Role.ROLE_ASSISTANT);
    parts.forEach(part -> message.addContent(part.build()));
    return message.build();
  }

  private void add(ContentDelta delta) {
    if (!delta.getText().isEmpty()) {
      continueOrBegin(delta.getRefusal() ? Part.KindCase.REFUSAL : Part.KindCase.TEXT)
          .append(delta.getText(), delta.getSignature());
    } else if (!delta.getSignature().isEmpty()) {
      findOrBeginText().append("", delta.getSignature());
    }
  }

  private void add(ReasoningDelta delta) {
    if (delta.getRedacted().isEmpty()) {
      continueOrBegin(Part.KindCase.REASONING).append(delta.getText(), delta.getSignature());
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
    call.append(delta.getArguments(), delta.getSignature());
  }

  private OpenPart begin(Part.KindCase kind) {
    OpenPart part = new OpenPart(kind);
    parts.add(part);
    return part;
  }

  /** Returns the last part if it has this kind and is still open; otherwise begins a new part. */
  private OpenPart continueOrBegin(Part.KindCase kind) {
    OpenPart last = parts.isEmpty() ? null : parts.get(parts.size() - 1);
    return last != null && last.kind == kind && last.isOpen() ? last : begin(kind);
  }

  /** Returns the last part of text, wherever it stands; begins an empty one if there is none. */
  private OpenPart findOrBeginText() {
    for (int index = parts.size() - 1; index >= 0; index--) {
      if (parts.get(index).kind == Part.KindCase.TEXT) {
        return parts.get(index);
      }
    }
    return begin(Part.KindCase.TEXT);
  }

  /** A part of the message, as far as it is known. */
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

    /** Returns whether the next delta of the same kind belongs to this part. */
    boolean isOpen() {
      return redacted.isEmpty() && signature.isEmpty();
    }

    void append(String delta, String deltaSignature) {
      text.append(delta);
      signature = deltaSignature.isEmpty() ? signature : deltaSignature;
    }

    Part build() {
      Part.Builder part = Part.newBuilder().setSignature(signature);
      switch (kind) {
        case REFUSAL -> part.setRefusal(text.toString());
        case REASONING -> part.setReasoning(buildReasoning());
        case TOOL_CALL ->
            part.setToolCall(
                ToolCall.newBuilder().setId(callId).setName(name).setArguments(text.toString()));
        default -> part.setText(text.toString());
      }
      return part.build();
    }

    private Reasoning.Builder buildReasoning() {
      Reasoning.Builder reasoning = Reasoning.newBuilder();
      return redacted.isEmpty()
          ? reasoning.setText(text.toString())
          : reasoning.setRedacted(redacted);
    }
  }
}
