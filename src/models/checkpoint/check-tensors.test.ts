import { describe, expect, it } from "vitest";
import { hostArray, sizeOf } from "../../graph/array.ts";
import { checkTensors } from "./check-tensors.ts";

const filled = (shape: readonly number[], value = 1) =>
  hostArray("float32", shape, new Float32Array(sizeOf(shape)).fill(value));

const gpt2 = { "transformer.wte.weight": [5, 2], "transformer.h.0.ln_1.weight": [2] };
const llama = { "model.embed_tokens.weight": [5, 2], "model.norm.weight": [2] };

describe("checkTensors", () => {
  it("returns what fits, in the order of the model", () => {
    const got = { "model.norm.weight": filled([2]), "model.embed_tokens.weight": filled([5, 2]) };
    expect(Object.keys(checkTensors(llama, got))).toEqual(Object.keys(llama));
  });

  it("tells every missing, unexpected and misshapen tensor at once", () => {
    const got = { "model.norm.weight": filled([3]), "model.extra": filled([1]), "model.other": filled([]) };
    const attempt = () => checkTensors(llama, got, { source: "folder" });
    expect(attempt).toThrow(/^folder: the tensors do not fit/);
    expect(attempt).toThrow(/1 missing:\n {2}model.embed_tokens.weight \[5, 2\]/);
    expect(attempt).toThrow(/2 unexpected:\n {2}model.extra \[1\]\n {2}model.other \[\]/);
    expect(attempt).toThrow(/1 of another shape:\n {2}model.norm.weight is \[3\], expected \[2\]/);
  });

  it("adds and removes the prefix of a base model", () => {
    const base = { "wte.weight": filled([5, 2]), "h.0.ln_1.weight": filled([2]) };
    expect(Object.keys(checkTensors(gpt2, base))).toEqual(Object.keys(gpt2));
    const bare = { "wte.weight": [5, 2], "h.0.ln_1.weight": [2] };
    const full = { "transformer.wte.weight": filled([5, 2]), "transformer.h.0.ln_1.weight": filled([2]) };
    expect(Object.keys(checkTensors(bare, full))).toEqual(Object.keys(bare));
  });

  it("overlooks the buffers of old checkpoints, with and without prefix", () => {
    const buffers = [
      "h.0.attn.bias",
      "transformer.h.0.attn.masked_bias",
      "transformer.h.0.attn.attention.bias",
      "gpt_neox.layers.0.attention.bias",
      "gpt_neox.layers.0.attention.rotary_emb.inv_freq",
      "model.layers.0.self_attn.rotary_emb.inv_freq",
    ];
    const got = { "model.embed_tokens.weight": filled([5, 2]), "model.norm.weight": filled([2]) };
    const old = { ...got, ...Object.fromEntries(buffers.map((name) => [name, filled([1])])) };
    expect(Object.keys(checkTensors(llama, old))).toEqual(Object.keys(llama));
  });

  it("finds a tied embedding under the head's name", () => {
    const head = filled([5, 2], 3);
    const got = { "lm_head.weight": head, "model.norm.weight": filled([2]) };
    expect(checkTensors(llama, got)["model.embed_tokens.weight"]).toBe(head);
  });

  it("takes a tied embedding under both names only when the values are equal", () => {
    const got = { "model.embed_tokens.weight": filled([5, 2]), "model.norm.weight": filled([2]) };
    expect(Object.keys(checkTensors(llama, { ...got, "lm_head.weight": filled([5, 2]) }))).toHaveLength(2);
    const other = { ...got, "lm_head.weight": filled([5, 2], 2) };
    expect(() => checkTensors(llama, other)).toThrow(
      /lm_head.weight differ, but the configuration ties them/,
    );
  });

  it("an untied head must be there", () => {
    const got = { "model.embed_tokens.weight": filled([5, 2]), "model.norm.weight": filled([2]) };
    expect(() => checkTensors({ ...llama, "lm_head.weight": [5, 2] }, got)).toThrow(
      /1 missing:\n {2}lm_head.weight/,
    );
  });

  it("knows both names of GPT-NeoX's head", () => {
    const expected = { "gpt_neox.embed_in.weight": [5, 2], "embed_out.weight": [5, 2] };
    const got = { "gpt_neox.embed_in.weight": filled([5, 2]), "lm_head.weight": filled([5, 2], 2) };
    expect(checkTensors(expected, got)["embed_out.weight"]).toBe(got["lm_head.weight"]);
  });

  it("lets a reward model lack its head and leave the language model's over", () => {
    const expected = { ...llama, "lm_head.weight": [5, 2], "score.weight": [1, 2] };
    const { "lm_head.weight": _, ...reward } = expected;
    const got = {
      "model.embed_tokens.weight": filled([5, 2]),
      "model.norm.weight": filled([2]),
      "lm_head.weight": filled([5, 2], 2),
    };
    const options = { allowMissing: ["score.weight"], allowUnexpected: ["lm_head.weight"] };
    expect(Object.keys(checkTensors(reward, got, options))).toEqual(Object.keys(llama));
  });
});
