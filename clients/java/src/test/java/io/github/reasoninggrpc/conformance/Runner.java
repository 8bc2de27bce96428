package io.github.reasoninggrpc.conformance;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The conformance runner: makes the calls of a plan, and writes what the Java client received. */
public final class Runner {
  private Runner() {}

  /**
   * Runs the plan.
   *
   * @param arguments the paths of the plan and of the results
   * @throws IOException if the plan cannot be read or the results cannot be written
   */
  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 2) {
      System.err.println("usage: conformance.sh PLAN RESULTS");
      System.exit(2);
    }
    JsonObject plan =
        JsonParser.parseString(Files.readString(Path.of(arguments[0]))).getAsJsonObject();
    Files.writeString(
        Path.of(arguments[1]), new GsonBuilder().serializeNulls().create().toJson(runAll(plan)));
  }

  private static JsonObject runAll(JsonObject plan) {
    JsonArray results = new JsonArray();
    for (JsonElement element : plan.getAsJsonArray("scenarios")) {
      results.add(runOne(plan, element.getAsJsonObject(), results));
    }
    JsonObject document = new JsonObject();
    document.addProperty("client", "java");
    document.add("results", results);
    return document;
  }

  private static JsonObject runOne(JsonObject plan, JsonObject scenario, JsonArray earlier) {
    JsonObject result = new JsonObject();
    result.add("name", scenario.get("name"));
    try {
      ScenarioRun.of(plan, insertAnswer(scenario, earlier)).run(result);
    } catch (Exception failure) {
      result.addProperty("failure", failure.toString());
    }
    return result;
  }

  /** Returns the scenario with the answer of an earlier one in its request, if it names one. */
  private static JsonObject insertAnswer(JsonObject scenario, JsonArray earlier) {
    if (!scenario.has("answer_of")) {
      return scenario;
    }
    JsonObject changed = scenario.deepCopy();
    JsonObject request = changed.getAsJsonObject("request");
    if (request.has("request")) {
      request = request.getAsJsonObject("request");
    }
    JsonArray messages = request.getAsJsonArray("messages");
    JsonElement last = messages.remove(messages.size() - 1);
    messages.add(findAnswer(scenario.get("answer_of"), earlier).get("message"));
    messages.add(last);
    return changed;
  }

  private static JsonObject findAnswer(JsonElement name, JsonArray earlier) {
    for (JsonElement element : earlier) {
      JsonObject result = element.getAsJsonObject();
      if (result.get("name").equals(name)) {
        return result.getAsJsonObject(result.has("response") ? "response" : "folded");
      }
    }
    throw new IllegalArgumentException("no earlier scenario has the name " + name);
  }
}
