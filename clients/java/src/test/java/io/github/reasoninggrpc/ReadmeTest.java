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

/** What README.md shows is true. */
class ReadmeTest {
  private static final Pattern BLOCK =
      Pattern.compile("^```(\\w+)\\n(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL);

  /** What stands around a piece that is not a file of its own. */
  private static final String PIECE =
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

        void piece() throws Exception {
          %s
        }
      }
      """;

  /** Every piece of Java compiles, without a warning. */
  @Test
  void javaCompiles(@TempDir Path classes) throws Exception {
    List<String> pieces = blocks("java");
    List<Source> sources = new ArrayList<>();
    for (String piece : pieces) {
      sources.add(source("Piece" + sources.size(), piece));
    }

    DiagnosticCollector<JavaFileObject> said = new DiagnosticCollector<>();
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    List<String> options =
        List.of(
            "-Xlint:all", "-d", classes.toString(), "-cp", System.getProperty("java.class.path"));
    compiler.getTask(null, null, said, options, null, sources).call();

    assertFalse(pieces.isEmpty());
    assertEquals(List.of(), said.getDiagnostics());
  }

  /** The service config is the one in effect. */
  @Test
  void showsTheServiceConfig() throws Exception {
    assertEquals(Channels.serviceConfig(), new Gson().fromJson(blocks("json").get(0), Map.class));
  }

  private static List<String> blocks(String language) throws Exception {
    String readme = Files.readString(Path.of("README.md"));
    return BLOCK
        .matcher(readme)
        .results()
        .filter(block -> block.group(1).equals(language))
        .map(block -> block.group(2))
        .collect(Collectors.toList());
  }

  private static Source source(String name, String piece) {
    MatchResult mainClass =
        Pattern.compile("public class (\\w+)").matcher(piece).results().findFirst().orElse(null);
    return mainClass == null
        ? new Source(name, PIECE.formatted(name, piece))
        : new Source(mainClass.group(1), piece);
  }

  /** A source file that is not on disk. */
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
