import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ropeOf } from "./rope.ts";

interface GoldenRow {
  name: string;
  family: string;
  config: Record<string, number>;
  length: number | null;
  inverse_frequencies: number[];
  attention_scaling: number;
}

const golden = JSON.parse(
  readFileSync(new URL("../../../test/parity/golden/rope.json", import.meta.url), "utf8"),
) as GoldenRow[];

const llama = { theta: "rope_theta" };
const neox = { theta: "rotary_emb_base", partial: { key: "rotary_pct", byDefault: 0.25 } };
const sizes = { headDim: 32, maxPositions: 512, keys: llama };

describe("rope", () => {
  it.each(golden.map((row) => [row.name, row] as const))("agrees with transformers: %s", (_, row) => {
    const { hidden_size = 0, num_attention_heads = 1, head_dim, max_position_embeddings = 0 } = row.config;
    const rope = ropeOf(row.config, {
      headDim: head_dim ?? hidden_size / num_attention_heads,
      maxPositions: max_position_embeddings,
      length: row.length ?? undefined,
      keys: row.family === "gpt_neox" ? neox : llama,
    });
    expect(rope.rotaryDim).toBe(2 * row.inverse_frequencies.length);
    expect(rope.attentionScaling).toBeCloseTo(row.attention_scaling, 12);
    rope.inverseFrequencies.forEach((frequency, i) => {
      const expected = row.inverse_frequencies[i] as number;
      expect(Math.abs(frequency / expected - 1), `frequency ${i}`).toBeLessThan(2.5e-7); // two float32 steps
    });
  });

  it("the first pair turns by one radian a position, the last by theta^(2/d - 1)", () => {
    const { inverseFrequencies } = ropeOf({ rope_theta: 100 }, { ...sizes, headDim: 4 });
    expect(inverseFrequencies).toEqual([1, Math.fround(0.1)]);
  });

  it("equal parameters nested by layer type are one table", () => {
    const one = { rope_type: "linear", factor: 2, rope_theta: 1e4 };
    const nested = { rope_parameters: { full_attention: one, sliding_attention: { ...one } } };
    expect(ropeOf(nested, sizes)).toEqual(ropeOf({ rope_parameters: one }, sizes));
  });

  it.each([
    [
      "an unknown type",
      { rope_scaling: { rope_type: "spiral" } },
      /spiral is unknown, known are default, linear/,
    ],
    ["a missing factor", { rope_scaling: { type: "linear" } }, /linear needs factor/],
    ["a missing llama3 factor", { rope_scaling: { type: "llama3", factor: 2 } }, /needs low_freq_factor/],
    [
      "a list of the wrong length",
      { rope_scaling: { type: "longrope", short_factor: [1] } },
      /needs 16 numbers, got 1/,
    ],
    ["an odd rotary dimension", { rope_parameters: { partial_rotary_factor: 0.1 } }, /turns 3 of 32/],
    ["a factor of the wrong type", { rope_scaling: { type: "linear", factor: "2" } }, /factor/],
    ["multimodal sections", { rope_scaling: { type: "default", mrope_section: [2, 3] } }, /multimodal/],
    [
      "parameters that differ between layers",
      {
        rope_parameters: { full_attention: { rope_theta: 1e6 }, sliding_attention: { rope_theta: 1e4 } },
      },
      /differ between full_attention and sliding_attention/,
    ],
  ])("refuses %s", (_, raw, message) => {
    expect(() => ropeOf(raw, sizes)).toThrow(message);
  });
});
