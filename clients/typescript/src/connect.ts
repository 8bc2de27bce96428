import * as grpc from "@grpc/grpc-js";
import { type Client, createClient } from "./client.js";
import { ReasoningService } from "./gen/reasoning_grpc/v1/reasoning_service_pb.js";
import { type MetadataInit, toMetadata, addDefaults } from "./metadata.js";
import { defaultServiceConfig } from "./service_config.js";

/** The options of {@link connect}. */
export interface ConnectOptions {
  /**
   * The caller's token, in visible ASCII characters. Each call sends it as the metadata `authorization: Bearer TOKEN`.
   * Empty means that no token is sent.
   */
  token?: string | undefined;
  /**
   * Turns TLS on. `true` trusts the root certificates that Node.js trusts; an object holds your own certificates. Unset
   * means a plaintext connection.
   */
  tls?: boolean | TlsOptions | undefined;
  /** Credentials of grpc-js, for everything that `tls` cannot express. They replace `tls`. */
  credentials?: grpc.ChannelCredentials | undefined;
  /** Metadata that each call sends, unless the call has its own value for the same key. */
  metadata?: MetadataInit | undefined;
  /** Further options of the client of grpc-js, such as channel options and interceptors. They override the defaults. */
  grpcOptions?: grpc.ClientOptions | undefined;
}

/** The TLS certificates, as PEM text. The names are those of `node:tls`. */
export interface TlsOptions {
  /** The root certificates to trust. Unset means the root certificates that Node.js trusts. */
  ca?: string | Uint8Array | undefined;
  /** The client's own certificate chain. Requires `key`. */
  cert?: string | Uint8Array | undefined;
  /** The private key that belongs to `cert`. */
  key?: string | Uint8Array | undefined;
}

/** A typed client of one server. */
export type ReasoningClient = Client<typeof ReasoningService> & {
  /** The client of grpc-js that makes the calls. Its calls also send this client's metadata. */
  readonly grpc: grpc.Client;
  /** Closes the connection. Calls in progress continue to their end. */
  close(): void;
};

/**
 * Creates a client of the server at an address, such as "127.0.0.1:50051" or "dns:///models.internal:443". It does not
 * wait: the connection is opened by the first call at the latest.
 */
export function connect(address: string, options: ConnectOptions = {}): ReasoningClient {
  const client = new grpc.Client(address, channelCredentials(options), clientOptions(options));
  return { ...createClient(ReasoningService, client), grpc: client, close: () => client.close() };
}

/** Returns the credentials of grpc-js that {@link connect} uses. They are for your own client of grpc-js. */
export function channelCredentials({ tls, credentials }: ConnectOptions = {}): grpc.ChannelCredentials {
  if (credentials) return credentials;
  if (!tls) return grpc.credentials.createInsecure();
  const { ca, cert, key } = tls === true ? {} : tls;
  return grpc.credentials.createSsl(toBuffer(ca), toBuffer(key), toBuffer(cert));
}

/** Returns the options that {@link connect} gives to its client of grpc-js. They are for your own client of grpc-js. */
export function clientOptions({ token, metadata, grpcOptions = {} }: ConnectOptions = {}): grpc.ClientOptions {
  const defaults = toMetadata(metadata).clone();
  if (token) defaults.set("authorization", bearerValue(token));
  const transform = grpcOptions.callInvocationTransformer ?? ((call) => call);
  return {
    "grpc.service_config": JSON.stringify(defaultServiceConfig),
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.max_receive_message_length": -1,
    ...grpcOptions,
    // This is not an interceptor, because the interceptors of a call would replace it.
    callInvocationTransformer: (call) => transform({ ...call, metadata: addDefaults(call.metadata, defaults) }),
  };
}

/** Returns the value of the authorization header. It checks the token, because the error of grpc-js would reveal it. */
function bearerValue(token: string): string {
  if (!/^[!-~]+$/.test(token)) throw new TypeError("the token must consist of visible ASCII characters");
  return `Bearer ${token}`;
}

function toBuffer(text: string | Uint8Array | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}
