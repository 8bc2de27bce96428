/**
 * What a Java program wants beside the generated stubs of reasoning-grpc: channels with good
 * defaults, answers folded from their events, the text of a message, and what an error says.
 *
 * <p>The messages and stubs are in {@link io.github.reasoninggrpc.v1}; nothing here hides them.
 */
package io.github.reasoninggrpc;
