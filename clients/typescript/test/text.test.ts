import assert from "node:assert/strict";
import { test } from "node:test";
import { type MessageInitShape, create } from "@bufbuild/protobuf";
import { MessageSchema, type PartSchema, Role, textMessage, textOf, textRequest } from "@reasoning-grpc/client";

test("the text of a message is all of its parts of text, and of no message it is empty", () => {
  const content: MessageInitShape<typeof PartSchema>[] = [
    { kind: { case: "reasoning", value: { form: { case: "text", value: "I see." } } } },
    { kind: { case: "text", value: "Hel" }, signature: "1" },
    { kind: { case: "toolCall", value: { id: "1", name: "f" } } },
    { kind: { case: "text", value: "lo" } },
    { kind: { case: "refusal", value: "No." } },
    { signature: "of a kind that only later servers know" },
  ];

  assert.equal(textOf(create(MessageSchema, { content })), "Hello");
  assert.equal(textOf(create(MessageSchema)), "");
  assert.equal(textOf(undefined), "");
});

test("a request of text is its messages, the system's first", () => {
  assert.deepEqual(textRequest("hi", { system: "Be brief." }), {
    messages: [textMessage(Role.SYSTEM, "Be brief."), textMessage(Role.USER, "hi")],
  });
  assert.deepEqual(textRequest("hi").messages, [
    { role: Role.USER, content: [{ kind: { case: "text", value: "hi" } }] },
  ]);
});
