package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Message;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.util.JsonFormat;
import io.github.reasoninggrpc.v1.CompleteResponse;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tests how {@link Folder} folds events into an answer. */
class FolderTest {
  private static final String STARTED = "{started: {}}";
  private static final String COMPLETED = "{completed: {}}";

  /** The facts about the answer come from `started`, `reasoning_finished` and `completed`. */
  @Test
  void copiesTheFactsAboutTheAnswer() throws Exception {
    CompleteResponse folded =
        fold(
            """
            {started: {responseId: "rsp_1", traceId: "t", model: "requested", routeDecision: {route: "reasoning"},
              effectiveSettings: [{field: "agent.max_steps"}]}}\
            """,
            "{reasoningFinished: {reason: REASONING_END_FINISHED, stepCount: 2}}",
            """
            {completed: {model: "answered", finishReason: FINISH_REASON_STOP, providerFinishReason: "stop",
              usage: {totalTokens: 3}, modelCalls: [{call: 1, usage: {totalTokens: 3}}], cost: {totalNanoUsd: 4},
              timings: {totalDuration: "1s"}, attempts: [{call: 1, number: 1}]}}\
            """);

    assertEquals(
        response(
            """
            {responseId: "rsp_1", traceId: "t", routeDecision: {route: "reasoning"}, model: "answered",
              message: {role: ROLE_ASSISTANT}, reasoningFinished: {reason: REASONING_END_FINISHED, stepCount: 2},
              finishReason: FINISH_REASON_STOP, providerFinishReason: "stop", usage: {totalTokens: 3},
              modelCalls: [{call: 1, usage: {totalTokens: 3}}], cost: {totalNanoUsd: 4},
              timings: {totalDuration: "1s"}, attempts: [{call: 1, number: 1}],
              effectiveSettings: [{field: "agent.max_steps"}]}\
            """),
        folded);
  }

  /** The effective settings of each `attempt_switched` follow those of `started`. */
  @Test
  void appendsTheSettingsOfSwitches() throws Exception {
    CompleteResponse folded =
        fold(
            "{started: {effectiveSettings: [{field: \"agent.max_steps\"}]}}",
            "{attemptSwitched: {effectiveSettings: [{field: \"model\", effective: \"b\"}]}}",
            "{step: 1, call: 2, attemptSwitched: {effectiveSettings: [{field: \"model\"}]}}",
            COMPLETED);

    assertEquals(
        response(
            """
            {message: {role: ROLE_ASSISTANT}, effectiveSettings: [
              {field: "agent.max_steps"}, {field: "model", effective: "b"}, {field: "model"}]}\
            """),
        folded);
  }

  /** Deltas of one kind make one part, until a delta of another kind arrives. */
  @Test
  void joinsDeltas() throws Exception {
    assertParts(
        "{reasoning: {text: \"hm, so\"}}, {text: \"Hello.\"}, {refusal: \"No.\"}, {text: \"Yes.\"}",
        "{reasoningDelta: {text: \"hm, \"}}",
        "{reasoningDelta: {text: \"so\"}}",
        "{contentDelta: {text: \"Hel\"}}",
        "{contentDelta: {text: \"lo.\"}}",
        "{contentDelta: {text: \"No.\", refusal: true}}",
        "{contentDelta: {text: \"Yes.\"}}");
  }

  /** A signature ends its part, and redacted reasoning is a part of its own. */
  @Test
  void signaturesEndParts() throws Exception {
    assertParts(
        """
        {reasoning: {text: "ab"}, signature: "s1"}, {reasoning: {text: "c"}}, {reasoning: {redacted: "AA=="}, signature: "s2"},
        {reasoning: {redacted: "AQ=="}}, {reasoning: {text: "d"}}, {text: "x", signature: "s3"}, {text: "y"}\
        """,
        "{reasoningDelta: {text: \"a\"}}",
        "{reasoningDelta: {text: \"b\", signature: \"s1\"}}",
        "{reasoningDelta: {text: \"c\"}}",
        "{reasoningDelta: {redacted: \"AA==\", signature: \"s2\"}}",
        "{reasoningDelta: {redacted: \"AQ==\"}}",
        "{reasoningDelta: {text: \"d\"}}",
        "{contentDelta: {text: \"x\", signature: \"s3\"}}",
        "{contentDelta: {text: \"y\"}}");
  }

  /** A signature without text belongs to the last part of text, also after other parts. */
  @Test
  void addsALateSignatureToTheLastText() throws Exception {
    assertParts(
        "{text: \"x\", signature: \"s\"}, {toolCall: {id: \"c\", name: \"n\"}}",
        "{contentDelta: {text: \"x\"}}",
        "{contentDelta: {}}",
        "{toolCallDelta: {callId: \"c\", name: \"n\"}}",
        "{contentDelta: {signature: \"s\"}}");
    assertParts("{text: \"\", signature: \"s\"}", "{contentDelta: {signature: \"s\"}}");
  }

  /** Deltas of several tool calls are joined by call id, in whatever order they arrive. */
  @Test
  void joinsToolCalls() throws Exception {
    assertParts(
        """
        {toolCall: {id: "a", name: "f", arguments: "{\\"x\\":1}"}, signature: "s2"},
        {toolCall: {id: "b", name: "g", arguments: "{}"}}\
        """,
        "{toolCallDelta: {callId: \"a\", arguments: \"{\\\"x\\\"\"}}",
        "{toolCallDelta: {callId: \"b\", index: 1, name: \"g\", arguments: \"{}\"}}",
        "{toolCallDelta: {callId: \"a\", name: \"f\", arguments: \":1}\", signature: \"s1\"}}",
        "{toolCallDelta: {callId: \"a\", name: \"ignored\", signature: \"s2\"}}");
  }

  /**
   * A step lists its tool executions in the order of the plan, and its deltas are not part of the
   * answer.
   */
  @Test
  void buildsSteps() throws Exception {
    CompleteResponse folded =
        fold(
            STARTED,
            "{step: 1, stepStarted: {maxSteps: 3}}",
            "{step: 1, reasoningDelta: {text: \"not the answer's\"}}",
            """
            {step: 1, stepPlanned: {thought: "look", nextAction: NEXT_ACTION_USE_TOOLS,
              toolCalls: [{callId: "a"}, {callId: "b"}, {callId: "never run"}]}}\
            """,
            "{step: 1, toolFinished: {execution: {callId: \"b\", result: \"2\"}}}",
            "{step: 1, toolFinished: {execution: {callId: \"not planned\"}}}",
            "{step: 1, toolFinished: {execution: {callId: \"a\", result: \"1\"}}}",
            "{step: 1, stepFinished: {outcome: STEP_OUTCOME_DONE, usage: {totalTokens: 5}}}",
            "{step: 2, stepStarted: {maxSteps: 3}}",
            "{step: 2, stepFinished: {outcome: STEP_OUTCOME_INVALID_PLAN}}",
            COMPLETED);

    assertEquals(
        response(
            """
            {message: {role: ROLE_ASSISTANT}, steps: [
              {number: 1, thought: "look", nextAction: NEXT_ACTION_USE_TOOLS, outcome: STEP_OUTCOME_DONE,
                usage: {totalTokens: 5}, toolExecutions: [{callId: "a", result: "1"}, {callId: "b", result: "2"}]},
              {number: 2, outcome: STEP_OUTCOME_INVALID_PLAN}]}\
            """),
        folded);
  }

  /** Events that say nothing about the answer, or that only newer servers send, change nothing. */
  @Test
  void ignoresOtherEvents() throws Exception {
    UnknownFieldSet.Field field = UnknownFieldSet.Field.newBuilder().addVarint(1).build();
    UnknownFieldSet fields = UnknownFieldSet.newBuilder().addField(900, field).build();
    StreamCompleteResponse unknown =
        StreamCompleteResponse.newBuilder().setUnknownFields(fields).build();

    CompleteResponse folded =
        Folder.fold(List.of(event(STARTED), unknown, event("{heartbeat: {}}"), event(COMPLETED)));

    assertEquals(response("{message: {role: ROLE_ASSISTANT}}"), folded);
  }

  /** The answer so far can be read before the end, and later events do not change it. */
  @Test
  void returnsTheAnswerSoFar() throws Exception {
    Folder folder = new Folder();
    folder.add(event("{contentDelta: {text: \"Hel\"}}"));
    io.github.reasoninggrpc.v1.Message before = folder.message();
    folder.add(event("{contentDelta: {text: \"lo\"}}"));

    assertEquals("Hel", Messages.text(before));
    assertEquals("Hello", Messages.text(folder.message()));
  }

  /** A stream that lacks its beginning or its end cannot be folded. */
  @ParameterizedTest
  @ValueSource(strings = {STARTED, COMPLETED})
  void failsWithoutBeginningOrEnd(String only) {
    assertThrows(IllegalStateException.class, () -> fold(only));
  }

  private static void assertParts(String parts, String... deltas) throws Exception {
    List<String> events = new ArrayList<>(List.of(deltas));
    events.add(0, STARTED);
    events.add(COMPLETED);
    String message = "{message: {role: ROLE_ASSISTANT, content: [" + parts + "]}}";
    assertEquals(response(message), fold(events.toArray(String[]::new)));
  }

  private static CompleteResponse fold(String... json) throws Exception {
    List<StreamCompleteResponse> events = new ArrayList<>();
    for (String event : json) {
      events.add(event(event));
    }
    return Folder.fold(events);
  }

  private static StreamCompleteResponse event(String json) throws Exception {
    return parse(StreamCompleteResponse.newBuilder(), json).build();
  }

  private static CompleteResponse response(String json) throws Exception {
    return parse(CompleteResponse.newBuilder(), json).build();
  }

  private static <B extends Message.Builder> B parse(B builder, String json) throws Exception {
    JsonFormat.parser().merge(json, builder);
    return builder;
  }
}
