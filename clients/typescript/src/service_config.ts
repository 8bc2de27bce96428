/**
 * The service config that {@link connect} gives to the channel, in the JSON that gRPC defines: calls that fail with
 * UNAVAILABLE before the server has begun them are sent again, up to three times, at the time that the server asks for;
 * and every address of the server's name gets its share of the calls.
 *
 * It is that of `clients/service_config.json`, the same in every client.
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
