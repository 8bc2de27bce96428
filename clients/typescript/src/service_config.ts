/**
 * The service config that {@link connect} gives to the channel, in the JSON form that gRPC defines. It spreads calls over
 * all addresses of the server. It repeats a call that failed with UNAVAILABLE before the server had begun it: at most
 * three times, and not before the time that the server asks for.
 *
 * All clients share this service config. It equals `clients/service_config.json`.
 */
export const defaultServiceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "reasoning_grpc.v1.ReasoningService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.2s",
        maxBackoff: "5s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
} as const;
