/**
 * What `attune export` writes, in Transformers.js: the real 656k model takes the 200 greedy tokens of `transformers`.
 * Needs the environment of `npm run bench -- --peer js` (.cache/peers/js) and ../shared/data.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { saveOnnx } from "../../src/models/export/folder.ts";
import { loadModel } from "../../src/models/load.ts";

const entry = ".cache/peers/js/node_modules/@huggingface/transformers/dist/transformers.node.mjs";
const stories = "../shared/data/tinystories-656k";
const missing = [entry, stories].filter((path) => !existsSync(path));
const script = fileURLToPath(new URL("transformers-js.fixture.mjs", import.meta.url));

const title =
  "Transformers.js generates from an exported model what transformers generates from the original";
it.skipIf(missing.length > 0)(
  missing.length > 0 ? `${title} (skipped: ${missing.join(" and ")} not there)` : title,
  async () => {
    const golden = JSON.parse(readFileSync("test/parity/golden/tinystories-656k.json", "utf8"));
    const scratch = await mkdtemp(join(tmpdir(), "attune-js-"));
    try {
      const model = await loadModel(stories);
      // Once as files of their own, once with the weights beside them, as models above 2 GB have to be.
      for (const [name, options] of [
        ["whole", {}],
        ["parted", { inlineBytes: 100_000, chunkBytes: 1_000_000 }],
      ] as const) {
        const folder = join(scratch, name);
        await saveOnnx(model, folder, { int8: true, ...options });
        const input = JSON.stringify({ prompt: golden.prompt, ids: golden.ids, steps: 200 });
        const args = [script, join(process.cwd(), entry), folder];
        const out = JSON.parse(execFileSync(process.execPath, args, { input, encoding: "utf8" }));
        expect(out.tokens).toEqual(golden.ids);
        expect(out.fp32).toEqual(golden.generated);
        // In 8 bits the story takes another turn after a while.
        expect(out.q8.slice(0, 10)).toEqual(golden.generated.slice(0, 10));
        expect(out.q8).toHaveLength(200);
      }
    } finally {
      await rm(scratch, { recursive: true });
    }
  },
  60_000,
);
