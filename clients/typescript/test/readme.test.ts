import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { defaultServiceConfig } from "@reasoning-grpc/client";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** Returns the README's code blocks in a language. */
function readmeBlocks(language: string): string[] {
  return [...README.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, kind, text]) =>
    kind === language ? [text!] : [],
  );
}

test("the README shows the service config that connect sets", () => {
  assert.deepEqual(
    readmeBlocks("json").map((text) => JSON.parse(text) as unknown),
    [defaultServiceConfig],
  );
});

test("the code of the README compiles", () => {
  // The quick start is a whole program. The other snippets are compiled as one file, because they share their names.
  const folder = new URL("../readme/", import.meta.url);
  const [quickStart, ...others] = readmeBlocks("ts");
  const settings = { extends: "../../tsconfig.json", compilerOptions: { noEmit: true, rootDir: "." }, include: ["."] };
  mkdirSync(folder, { recursive: true });
  writeFileSync(new URL("main.ts", folder), quickStart!);
  writeFileSync(new URL("others.ts", folder), others.join("\n"));
  writeFileSync(new URL("tsconfig.json", folder), JSON.stringify(settings));

  const compiler = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));
  const { status, stdout } = spawnSync(compiler, ["-p", fileURLToPath(folder)], { encoding: "utf8" });

  assert.equal(stdout, "");
  assert.equal(status, 0);
});
