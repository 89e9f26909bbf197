/** Real files, where they are at hand: what is in them is counted, and never shown. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { formats, type Purpose } from "./formats/index.ts";
import { loadRows } from "./node-load.ts";
import { loadPreferences } from "./preferences.ts";

const shared = fileURLToPath(new URL("../../../shared/data/", import.meta.url));
const isThere = existsSync(shared);
const everything: Purpose = { name: "rows", kinds: [...new Set(formats.map(({ kind }) => kind))] };

/** All rows of a file, untokenised; bad ones are skipped. */
const read = (file: string, chat = false) =>
  loadRows(`${shared}${file}`, everything, () => ({ each: (row) => [row] }), { chat, onBadRow: "skip" });

describe.skipIf(!isThere)(
  `published data sets${isThere ? "" : " (skipped: ../shared/data is not here)"}`,
  () => {
    it.each([
      ["helpful-train_gt", 10, 2],
      ["helpful-train_w2s", 9, 6],
      ["harmless-train_gt", 6, 4],
      ["harmless-train_w2s", 7, 5],
    ])(
      "HH %s: rows whose prompts differ or that have no response are told, the others read",
      async (name, differ, empty) => {
        const { items, skipped } = await read(`hh-single-turn/${name}.jsonl.gz`);
        const count = (reason: RegExp) => skipped.filter((line) => reason.test(line)).length;
        expect([
          count(/: the prompts of chosen and rejected differ$/),
          count(/: (chosen|rejected): is empty$/),
        ]).toEqual([differ, empty]);
        expect(items.length).toBe(4000 - differ - empty);
      },
    );

    it("HH rows that cannot be used are an error unless they are skipped; equal pairs are among them", async () => {
      const json = (name: string) => JSON.parse(readFileSync(`${shared}tinystories-656k/${name}`, "utf8"));
      const tokenizer = createTokenizer({
        tokenizer: json("tokenizer.json"),
        config: json("tokenizer_config.json"),
      });
      const rows = readFileRows(await read("hh-single-turn/helpful-train_gt.jsonl.gz")).slice(2600, 2700);
      await expect(loadPreferences(rows, tokenizer, { maxLength: 256 })).rejects.toThrow(
        /^row:\d+: chosen and rejected are the same; correct it, or leave such rows out/,
      );
      const { pairs, skipped } = await loadPreferences(rows, tokenizer, { maxLength: 256, onBadRow: "skip" });
      expect([pairs.length, skipped.length]).toEqual([99, 1]);
      for (const { prompt, chosen, rejected } of pairs)
        expect(prompt.length + Math.max(chosen.length, rejected.length)).toBeLessThanOrEqual(256);
    }, 60_000);

    it.each([
      ["llamafactory-demo/dpo_en_demo.jsonl.gz", "sharegpt-preference", 300, 0],
      ["llamafactory-demo/kto_en_demo.jsonl.gz", "label-messages", 300, 0],
      ["llamafactory-demo/alpaca_en_demo.jsonl.gz", "alpaca", 999, 0],
      ["llamafactory-demo/glaive_toolcall_en_demo.jsonl.gz", "sharegpt", 300, 0],
      ["pandalm/testset-v1.jsonl.gz", "pandalm", 938, 61],
      ["open-assistant/en_100_tree.jsonl.gz", "oasst-tree", 99, 1],
      ["self-instruct/seed_tasks.jsonl.gz", "self-instruct", 175, 0],
      ["gsm8k/train.jsonl.gz", "question-answer", 7473, 0],
      ["scitldr/SciTLDR-A-dev.jsonl.gz", "scitldr", 619, 0],
      ["xstest/xstest_prompts.csv", "prompt", 450, 0],
    ])("%s is recognised as %s and read whole", async (file, format, examples, skipped) => {
      for (const chat of [false, true]) {
        const found = await read(file, chat);
        expect(Object.keys(found.formats)).toEqual([format]);
        expect([found.items.length, found.skipped.length]).toEqual([examples, skipped]);
      }
    });

    it("votes of PandaLM's annotators are counted: the majority is chosen, no majority is a tie", async () => {
      const { items } = await read("pandalm/testset-v1.jsonl.gz");
      let ties = 0;
      for (const row of items) {
        if (row.kind !== "preference") continue;
        const votes = [1, 2, 3].map((i) => row.row[`annotator${i}`]);
        const winner = [1, 2].find((side) => votes.filter((vote) => vote === side).length > 1);
        if (winner === undefined) ties += Number(row.tie);
        else expect(row.chosen).toBe((row.row[`response${winner}`] as string).trim());
      }
      expect(ties).toBeGreaterThan(50);
    });
  },
);

const readFileRows = ({ items }: Awaited<ReturnType<typeof read>>) => [...items].map(({ row }) => row);
