package io.github.reasoninggrpc;

import io.grpc.ChannelCredentials;
import io.grpc.ServerCredentials;
import io.grpc.TlsChannelCredentials;
import io.grpc.TlsServerCredentials;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;

/**
 * A self-signed certificate for localhost, which both the server and the client present and trust.
 */
final class TestKeys implements AutoCloseable {
  private static final String PASSWORD = "changeit";

  private final Path folder;

  private TestKeys(Path folder) {
    this.folder = folder;
  }

  static TestKeys create() throws IOException, InterruptedException {
    TestKeys keys = new TestKeys(Files.createTempDirectory("keys"));
    keys.runKeytool(
        "-genkeypair",
        "-keyalg",
        "EC",
        "-dname",
        "CN=localhost",
        "-ext",
        "san=dns:localhost",
        "-ext",
        "bc=ca:true");
    keys.runKeytool("-exportcert", "-rfc", "-file", keys.authority().toString());
    return keys;
  }

  ServerCredentials server() throws IOException, GeneralSecurityException {
    return TlsServerCredentials.newBuilder()
        .keyManager(keyManagers())
        .trustManager(authority().toFile())
        .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE)
        .build();
  }

  ChannelCredentials client() throws IOException, GeneralSecurityException {
    return TlsChannelCredentials.newBuilder()
        .keyManager(keyManagers())
        .trustManager(authority().toFile())
        .build();
  }

  private KeyManager[] keyManagers() throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance(keyStore().toFile(), PASSWORD.toCharArray());
    KeyManagerFactory factory =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    factory.init(store, PASSWORD.toCharArray());
    return factory.getKeyManagers();
  }

  private Path keyStore() {
    return folder.resolve("keys.p12");
  }

  private Path authority() {
    return folder.resolve("authority.pem");
  }

  private void runKeytool(String... arguments) throws IOException, InterruptedException {
    String tool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    List<String> command = new ArrayList<>(List.of(tool));
    command.addAll(List.of(arguments));
    command.addAll(
        List.of("-alias", "a", "-keystore", keyStore().toString(), "-storepass", PASSWORD));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes());
    if (process.waitFor() != 0) {
      throw new IOException(output);
    }
  }

  @Override
  public void close() throws IOException {
    Files.deleteIfExists(keyStore());
    Files.deleteIfExists(authority());
    Files.delete(folder);
  }
}
