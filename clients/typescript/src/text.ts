import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Message, type MessageSchema, Role } from "./gen/reasoning_grpc/v1/messages_pb.js";

/** A message as requests take it: whole, such as one of an answer, or its fields alone. */
export type MessageInit = MessageInitShape<typeof MessageSchema>;

/**
 * Creates a `CompleteRequest` with one user message. If `system` is given, a system message comes first. Add further
 * fields like this: `{ ...textRequest("Hello"), model: "fast" }`.
 */
export function textRequest(text: string, { system = "" } = {}): { messages: MessageInit[] } {
  const messages = [textMessage(Role.USER, text)];
  return { messages: system ? [textMessage(Role.SYSTEM, system), ...messages] : messages };
}

/** Creates a message with one text part. */
export function textMessage(role: Role, text: string): MessageInit {
  return { role, content: [{ kind: { case: "text", value: text } }] };
}

/**
 * Returns the text of a message: it joins all text parts, and leaves out refusals, reasoning and tool calls. Returns an
 * empty string for undefined.
 */
export function textOf(message: Message | undefined): string {
  return (message?.content ?? []).map(({ kind }) => (kind.case === "text" ? kind.value : "")).join("");
}
