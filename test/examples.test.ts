/** Every entry point has an `@example`; it and the README's code run as they stand. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { configOf, createModel, createTokenizer, trainBpe } from "../src/models/index.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "attune-examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rooms = readdirSync(join(root, "src"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .filter((name) => readdirSync(join(root, "src", name)).includes("index.ts"));

/** The code of a header's `@example`. */
function exampleOf(room: string): string | undefined {
  const source = readFileSync(join(root, "src", room, "index.ts"), "utf8");
  const header = /^\/\*\*([\s\S]*?)\*\//.exec(source)?.[1] ?? "";
  return /@example\n([\s\S]*)$/.exec(header)?.[1]?.replace(/^ \* ?/gm, "");
}

/** Runs code in the examples' folder, with `attune/...` pointing at the sources. */
async function run(name: string, code: string): Promise<void> {
  if (code.includes("my-model")) await saveOwnModel();
  const url = (path: string) => pathToFileURL(join(root, "src", path)).href;
  const file = join(folder, `${name}.ts`);
  const resolved = code
    .replace(/"attune\/([a-z]+)"/g, (_, name) => JSON.stringify(url(`${name}/index.ts`)))
    .replace(/"attune\/([a-z]+\/[a-z]+)"/g, (_, path) => JSON.stringify(url(`${path}.ts`)));
  writeFileSync(file, resolved);
  const loader = new URL("../scripts/register-ts.js", import.meta.url).href;
  execFileSync(process.execPath, ["--import", loader, file], { cwd: folder, stdio: "pipe" });
}

/** What an example may find in its folder: a small model under the name that stands for the reader's own. */
async function saveOwnModel(): Promise<void> {
  const { tokenizer, config } = trainBpe(["two and two is four. one and one is two."], { vocabSize: 300 });
  const built = createTokenizer({ tokenizer, config });
  const sizes = { vocabSize: built.vocabSize, hiddenSize: 16, numLayers: 1, numHeads: 2, maxPositions: 64 };
  await createModel(configOf("llama", sizes), 0, built).save(join(folder, "my-model"));
}

describe("the example of each entry point", () => {
  it.each(rooms)("attune/%s runs", async (room) => {
    const code = exampleOf(room);
    expect(code, `src/${room}/index.ts has no @example in its header`).toBeDefined();
    await run(room, code as string);
  });
});

const snippets = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/```ts\n([\s\S]*?)```/g)];

describe("the README's code", () => {
  it.each(snippets.map(([, code], i) => [i + 1, code as string] as const))(
    "snippet %i runs",
    async (i, code) => {
      await run(`readme-${i}`, code);
    },
  );
});
