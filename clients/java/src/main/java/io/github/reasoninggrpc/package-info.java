/**
 * The helpers of the Java client of reasoning-grpc: they create channels with good defaults, fold
 * the events of a stream into an answer, return the text of a message, and read errors.
 *
 * <p>The generated messages and stubs are in {@link io.github.reasoninggrpc.v1}. Use them directly:
 * the helpers do not hide them.
 */
package io.github.reasoninggrpc;
