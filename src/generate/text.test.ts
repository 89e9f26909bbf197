/** Where the text of a completion begins, whole and streamed, with tokenizers of several kinds. */
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTokenizer, type Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { textWatch } from "./stops.ts";
import { textAfter } from "./text.ts";

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const golden = (name: string) => createTokenizer(read(`test/parity/golden/tokenizers/${name}.json`));
const real = "../shared/data/tinystories-656k";
const tinystories = () =>
  createTokenizer({
    tokenizer: read(`${real}/tokenizer.json`),
    config: read(`${real}/tokenizer_config.json`),
  });

function watched(
  tokenizer: Tokenizer,
  prompt: readonly number[],
  ids: readonly number[],
  stops: string[] = [],
) {
  const watch = textWatch(tokenizer, stops, prompt);
  let shown = "";
  for (const id of ids) if (!watch.stopped) shown += watch.push(id);
  shown += watch.flush();
  return { shown, text: watch.text, stopped: watch.stopped };
}

const story = "Once upon a time, there was a little dog. It ran to the park.";
const kinds: [name: string, make: () => Tokenizer, hasPrefixSpace: boolean, absent: boolean][] = [
  ["byte level", () => golden("gpt2"), false, false],
  ["a prefix space and bytes", () => golden("llama2"), true, false],
  ["tinystories-656k (../shared/data)", tinystories, true, !existsSync(real)],
];

for (const [name, make, hasPrefixSpace, absent] of kinds)
  describe.skipIf(absent)(`text after a prompt: ${name}`, () => {
    const tokenizer = absent ? golden("gpt2") : make();

    it("joins with the prompt to the whole, wherever the cut is", () => {
      const ids = tokenizer.encode(story);
      for (let cut = 1; cut <= ids.length; cut++) {
        const [prompt, rest] = [ids.slice(0, cut), ids.slice(cut)];
        const before = tokenizer.decode(prompt, { skipSpecialTokens: true });
        expect(before + textAfter(tokenizer, prompt, rest)).toBe(story);
        expect(watched(tokenizer, prompt, rest)).toMatchObject({ shown: story.slice(before.length) });
      }
    });

    it("keeps the space before the first word for stop strings", () => {
      const plain = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
      const prompt = tokenizer.encode("The dog");
      // Where texts begin with a space of their own, so does this one.
      const ids = plain(hasPrefixSpace ? "was big." : " was big.");
      expect(textAfter(tokenizer, prompt, ids)).toBe(" was big.");
      expect(watched(tokenizer, prompt, ids, [" was"])).toEqual({ shown: "", text: "", stopped: true });
    });

    it("is the same whole and streamed, for ids of all kinds", () => {
      const ids = fc.array(fc.integer({ min: 0, max: tokenizer.vocabSize + 1 }), { maxLength: 30 });
      fc.assert(
        fc.property(ids, ids, (prompt, rest) => {
          const { shown, text } = watched(tokenizer, prompt, rest);
          expect(shown).toBe(textAfter(tokenizer, prompt, rest));
          expect(text).toBe(shown);
        }),
        { numRuns: 300 },
      );
    });

    it("has no space of its own after nothing but special tokens", () => {
      const special = [...tokenizer.specialIds].slice(0, 1);
      const ids = tokenizer.encode("The dog", { addSpecialTokens: false });
      expect(textAfter(tokenizer, special, ids)).toBe("The dog");
      expect(watched(tokenizer, special, ids).shown).toBe("The dog");
    });
  });

describe("characters in pieces", () => {
  it("belong to the completion that completes them", () => {
    const tokenizer = golden("gpt2");
    const ids = tokenizer.encode("a👍b");
    const cut = ids.length - 2;
    expect(tokenizer.decode(ids.slice(0, cut))).toBe("a\uFFFD");
    expect(textAfter(tokenizer, ids.slice(0, cut), ids.slice(cut))).toBe("👍b");
    expect(watched(tokenizer, ids.slice(0, cut), ids.slice(cut)).shown).toBe("👍b");
  });

  it("that stay broken belong to the prompt", () => {
    const tokenizer = golden("gpt2");
    const prompt = tokenizer.encode("a👍").slice(0, -1);
    const ids = tokenizer.encode(" b");
    expect(textAfter(tokenizer, prompt, ids)).toBe(" b");
    expect(watched(tokenizer, prompt, ids).shown).toBe(" b");
  });
});
