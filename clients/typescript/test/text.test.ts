import assert from "node:assert/strict";
import { test } from "node:test";
import { type MessageInitShape, create } from "@bufbuild/protobuf";
import {
  CompleteRequestSchema,
  CompleteResponseSchema,
  MessageSchema,
  type PartSchema,
  Role,
  textMessage,
  textOf,
  textRequest,
} from "@reasoning-grpc/client";

test("textOf joins the text parts of a message, and returns an empty string without a message", () => {
  const content: MessageInitShape<typeof PartSchema>[] = [
    { kind: { case: "reasoning", value: { form: { case: "text", value: "I see." } } } },
    { kind: { case: "text", value: "Hel" }, signature: "1" },
    { kind: { case: "toolCall", value: { id: "1", name: "f" } } },
    { kind: { case: "text", value: "lo" } },
    { kind: { case: "refusal", value: "No." } },
    { signature: "a part of a kind that only newer servers know" },
  ];

  assert.equal(textOf(create(MessageSchema, { content })), "Hello");
  assert.equal(textOf(create(MessageSchema)), "");
  assert.equal(textOf(undefined), "");
});

test("textRequest puts the system message before the user message", () => {
  assert.deepEqual(textRequest("hi", { system: "Be brief." }), {
    messages: [textMessage(Role.SYSTEM, "Be brief."), textMessage(Role.USER, "hi")],
  });
  assert.deepEqual(textRequest("hi").messages, [
    { role: Role.USER, content: [{ kind: { case: "text", value: "hi" } }] },
  ]);
});

test("an answer can be added to the messages of a request", () => {
  const answer = create(CompleteResponseSchema, { message: { role: Role.ASSISTANT } });
  const conversation = [...textRequest("a").messages];

  conversation.push(answer.message!);
  conversation.push(textMessage(Role.USER, "b"));
  const { messages } = create(CompleteRequestSchema, { messages: conversation });

  assert.deepEqual(
    messages.map(({ role }) => role),
    [Role.USER, Role.ASSISTANT, Role.USER],
  );
});
