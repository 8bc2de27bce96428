import { type Message, Role } from "./gen/reasoning_grpc/v1/messages_pb.js";

/**
 * A `CompleteRequest` of one user message, after a system message if one is given. Further fields go beside it:
 * `{ ...textRequest("Hello"), model: "fast" }`.
 */
export function textRequest(text: string, { system = "" } = {}) {
  const messages = [textMessage(Role.USER, text)];
  return { messages: system ? [textMessage(Role.SYSTEM, system), ...messages] : messages };
}

/** A message of one part of text. */
export function textMessage(role: Role, text: string) {
  return { role, content: [{ kind: { case: "text" as const, value: text } }] };
}

/** The text of a message: its parts of text, joined. Refusals and reasoning are none; of no message it is empty. */
export function textOf(message: Message | undefined): string {
  return (message?.content ?? []).map(({ kind }) => (kind.case === "text" ? kind.value : "")).join("");
}
