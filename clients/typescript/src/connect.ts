import * as grpc from "@grpc/grpc-js";
import { type Client, createClient } from "./client.js";
import { ReasoningService } from "./gen/reasoning_grpc/v1/reasoning_service_pb.js";
import { type MetadataInit, asMetadata, withDefaults } from "./metadata.js";
import { defaultServiceConfig } from "./service_config.js";

/** How to connect. */
export interface ConnectOptions {
  /** The caller's token, of visible ASCII; each call sends it as metadata `authorization: Bearer TOKEN`. Empty means none. */
  token?: string | undefined;
  /** TLS: `true` trusts the roots that Node.js trusts, an object says more. Without it the connection is in plaintext. */
  tls?: boolean | TlsOptions | undefined;
  /** Credentials of grpc-js, for whatever `tls` cannot say; goes before it. */
  credentials?: grpc.ChannelCredentials | undefined;
  /** Metadata that each call sends unless it has its own of the same key. */
  metadata?: MetadataInit | undefined;
  /** Further options of the client of grpc-js: channel options, interceptors. They go before the defaults. */
  grpcOptions?: grpc.ClientOptions | undefined;
}

/** Whom to trust and how to identify oneself: PEM texts, named as in `node:tls`. */
export interface TlsOptions {
  /** The only authorities to trust. Unset means those that Node.js trusts. */
  ca?: string | Uint8Array | undefined;
  /** The client's own certificate chain. Requires `key`. */
  cert?: string | Uint8Array | undefined;
  /** The private key of `cert`. */
  key?: string | Uint8Array | undefined;
}

/** Calls a server. */
export type ReasoningClient = Client<typeof ReasoningService> & {
  /** The client of grpc-js that makes the calls, with this client's metadata. */
  readonly grpc: grpc.Client;
  /** Closes the connection; calls under way go on to their end. */
  close(): void;
};

/** Connects to a server, such as "127.0.0.1:50051" or "dns:///models.internal:443"; no later than with the first call. */
export function connect(address: string, options: ConnectOptions = {}): ReasoningClient {
  const client = new grpc.Client(address, channelCredentials(options), clientOptions(options));
  return { ...createClient(ReasoningService, client), grpc: client, close: () => client.close() };
}

/** The credentials of grpc-js that {@link connect} uses, for a client of one's own. */
export function channelCredentials({ tls, credentials }: ConnectOptions = {}): grpc.ChannelCredentials {
  if (credentials) return credentials;
  if (!tls) return grpc.credentials.createInsecure();
  const { ca, cert, key } = tls === true ? {} : tls;
  return grpc.credentials.createSsl(pem(ca), pem(key), pem(cert));
}

/** The options of a client of grpc-js that {@link connect} uses, for a client of one's own. */
export function clientOptions({ token, metadata, grpcOptions = {} }: ConnectOptions = {}): grpc.ClientOptions {
  const defaults = asMetadata(metadata).clone();
  if (token) defaults.set("authorization", bearer(token));
  const transformed = grpcOptions.callInvocationTransformer ?? ((call) => call);
  return {
    "grpc.service_config": JSON.stringify(defaultServiceConfig),
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.max_receive_message_length": -1,
    ...grpcOptions,
    // Not an interceptor: those of a call would take its place.
    callInvocationTransformer: (call) => transformed({ ...call, metadata: withDefaults(call.metadata, defaults) }),
  };
}

/** Throws by itself where grpc-js would, whose message repeats the token. */
function bearer(token: string): string {
  if (!/^[!-~]+$/.test(token)) throw new TypeError("a token consists of visible ASCII characters");
  return `Bearer ${token}`;
}

function pem(text: string | Uint8Array | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}
