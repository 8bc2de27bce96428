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
      results.add(runOne(plan, element.getAsJsonObject()));
    }
    JsonObject document = new JsonObject();
    document.addProperty("client", "java");
    document.add("results", results);
    return document;
  }

  private static JsonObject runOne(JsonObject plan, JsonObject scenario) {
    JsonObject result = new JsonObject();
    result.add("name", scenario.get("name"));
    try {
      ScenarioRun.of(plan, scenario).run(result);
    } catch (Exception failure) {
      result.addProperty("failure", failure.toString());
    }
    return result;
  }
}
