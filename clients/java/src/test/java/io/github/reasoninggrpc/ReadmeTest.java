package io.github.reasoninggrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.google.gson.Gson;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tests that the code in README.md is valid and current. */
class ReadmeTest {
  private static final Pattern BLOCK =
      Pattern.compile("^```(\\w+)\\n(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL);

  /** The class that surrounds a block that is not a whole file. */
  private static final String SURROUNDING_CLASS =
      """
      import io.github.reasoninggrpc.*;
      import io.github.reasoninggrpc.v1.*;
      import io.grpc.*;
      import io.grpc.stub.*;
      import java.io.File;
      import java.time.Duration;
      import java.util.*;
      import java.util.concurrent.TimeUnit;

      class %s {
        ManagedChannel channel;
        ReasoningServiceGrpc.ReasoningServiceBlockingStub stub;
        StreamCompleteRequest request;
        String token;

        void block() throws Exception {
          %s
        }
      }
      """;

  /** Every Java block compiles without warnings. */
  @Test
  void javaCompiles(@TempDir Path classes) throws Exception {
    List<String> blocks = readBlocks("java");
    List<Source> sources = new ArrayList<>();
    for (String block : blocks) {
      sources.add(toSource("Block" + sources.size(), block));
    }

    DiagnosticCollector<JavaFileObject> diagnostics = new DiagnosticCollector<>();
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    List<String> options =
        List.of(
            "-Xlint:all", "-d", classes.toString(), "-cp", System.getProperty("java.class.path"));
    compiler.getTask(null, null, diagnostics, options, null, sources).call();

    assertFalse(blocks.isEmpty());
    assertEquals(List.of(), diagnostics.getDiagnostics());
  }

  /** The service config in the README equals the one that channels use. */
  @Test
  void showsTheServiceConfig() throws Exception {
    assertEquals(
        Channels.serviceConfig(), new Gson().fromJson(readBlocks("json").get(0), Map.class));
  }

  private static List<String> readBlocks(String language) throws Exception {
    String readme = Files.readString(Path.of("README.md"));
    return BLOCK
        .matcher(readme)
        .results()
        .filter(block -> block.group(1).equals(language))
        .map(block -> block.group(2))
        .collect(Collectors.toList());
  }

  private static Source toSource(String name, String block) {
    MatchResult mainClass =
        Pattern.compile("public class (\\w+)").matcher(block).results().findFirst().orElse(null);
    return mainClass == null
        ? new Source(name, SURROUNDING_CLASS.formatted(name, block))
        : new Source(mainClass.group(1), block);
  }

  /** A source file that exists only in memory. */
  private static final class Source extends SimpleJavaFileObject {
    private final String code;

    Source(String name, String code) {
      super(URI.create("string:///" + name + ".java"), Kind.SOURCE);
      this.code = code;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) {
      return code;
    }
  }
}
