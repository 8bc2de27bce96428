package io.github.reasoninggrpc.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.MessageOrBuilder;
import com.google.protobuf.util.JsonFormat;
import io.github.reasoninggrpc.ErrorDetails;
import io.github.reasoninggrpc.v1.StreamCompleteResponse;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Converts what the runner reads and writes from and to JSON. */
final class Results {
  private Results() {}

  /** Parses a message from ProtoJSON. */
  static <B extends Message.Builder> B parse(B builder, JsonElement json)
      throws InvalidProtocolBufferException {
    JsonFormat.parser().merge(json.toString(), builder);
    return builder;
  }

  /** Converts a message to ProtoJSON. */
  static JsonElement toJson(MessageOrBuilder message) throws InvalidProtocolBufferException {
    return JsonParser.parseString(JsonFormat.printer().print(message));
  }

  /** Adds the events of a stream, and the number of events of an unknown kind, to the result. */
  static void putEvents(JsonObject result, List<StreamCompleteResponse> events)
      throws InvalidProtocolBufferException {
    JsonArray array = new JsonArray();
    int unknown = 0;
    for (StreamCompleteResponse event : events) {
      array.add(toJson(event));
      unknown += event.getKindCase() == StreamCompleteResponse.KindCase.KIND_NOT_SET ? 1 : 0;
    }
    result.add("events", array);
    result.addProperty("unknown_events", unknown);
  }

  /** Adds the details of an error to the result. */
  static void putError(JsonObject result, ErrorDetails details)
      throws InvalidProtocolBufferException {
    JsonObject error = new JsonObject();
    error.addProperty("code", details.code().name());
    error.addProperty("message", details.message());
    error.addProperty("reason", details.reason());
    error.addProperty("domain", details.domain());
    JsonObject metadata = new JsonObject();
    details.metadata().forEach(metadata::addProperty);
    error.add("metadata", metadata);
    error.addProperty("request_id", details.requestId());
    error.add(
        "retry_after_seconds",
        details.retryAfter().map(Results::toSeconds).orElse(JsonNull.INSTANCE));
    error.add("violations", toJson(details.violations()));
    error.add("interruption", toJson(details.interruption()));
    error.add("route_decision", toJson(details.routeDecision()));
    result.add("error", error);
  }

  private static JsonElement toSeconds(Duration delay) {
    return new JsonPrimitive(delay.toNanos() / 1e9);
  }

  private static JsonArray toJson(List<ErrorDetails.FieldViolation> violations) {
    JsonArray array = new JsonArray();
    for (ErrorDetails.FieldViolation violation : violations) {
      JsonObject entry = new JsonObject();
      entry.addProperty("field", violation.field());
      entry.addProperty("description", violation.description());
      array.add(entry);
    }
    return array;
  }

  private static JsonElement toJson(Optional<? extends Message> message)
      throws InvalidProtocolBufferException {
    return message.isPresent() ? toJson(message.get()) : JsonNull.INSTANCE;
  }
}
