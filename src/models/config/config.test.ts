import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CheckpointError } from "../errors.ts";
import { configOf, type Family, knownFamilies, parseConfig, withGenerationConfig } from "./config.ts";

const golden = new URL("../../../test/parity/golden/models/", import.meta.url);
const small = {
  gpt2: { model_type: "gpt2", n_embd: 64, n_layer: 2, n_head: 4, vocab_size: 100 },
  llama: {
    model_type: "llama",
    hidden_size: 64,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 96,
    vocab_size: 100,
  },
};
const withType = (model_type: string, extra: object = {}) => ({ ...small.llama, model_type, ...extra });

describe("parseConfig", () => {
  it("an empty config has the defaults of transformers", () => {
    expect(parseConfig({ model_type: "gpt2" })).toMatchObject({
      vocabSize: 50257,
      hiddenSize: 768,
      numLayers: 12,
      numHeads: 12,
      headDim: 64,
      intermediateSize: 3072,
      maxPositions: 1024,
      activation: "gelu_new",
      tieEmbeddings: true,
      attentionBias: true,
      outputBias: true,
      bosTokenId: 50256,
      eosTokenIds: [50256],
    });
    expect(parseConfig({ model_type: "gpt2" }).rope).toBeUndefined();
    expect(parseConfig({ model_type: "mistral" })).toMatchObject({
      numKeyValueHeads: 8,
      maxPositions: 131072,
    });
    expect(parseConfig({ model_type: "qwen3" })).toMatchObject({
      headDim: 128,
      qkNorm: true,
      eosTokenIds: [],
    });
    expect(parseConfig({ model_type: "gpt_neox" })).toMatchObject({
      parallelResidual: true,
      attentionBias: true,
      rope: { rotaryDim: 24 },
    });
  });

  it("GPT-2 may be written with the common names", () => {
    const common = { model_type: "gpt2", hidden_size: 64, num_attention_heads: 4, num_hidden_layers: 2 };
    expect(parseConfig(common)).toMatchObject({ hiddenSize: 64, numHeads: 4, numLayers: 2 });
  });

  it("GPT-Neo alternates global and local layers and does not scale its scores", () => {
    const config = parseConfig({
      model_type: "gpt_neo",
      num_layers: 4,
      attention_types: [[["global", "local"], 2]],
    });
    expect(config.layerWindows).toEqual([undefined, 256, undefined, 256]);
    expect(config).toMatchObject({
      scaleAttention: false,
      attentionBias: false,
      outputBias: true,
      mlpBias: true,
    });
  });

  it("windows follow each family's own rule", () => {
    const windowsOf = (type: string, extra: object) => parseConfig(withType(type, extra)).layerWindows;
    expect(windowsOf("mistral", { sliding_window: 8 })).toEqual([8, 8, 8]);
    expect(windowsOf("mistral", { sliding_window: null })).toEqual([undefined, undefined, undefined]);
    expect(windowsOf("llama", { sliding_window: 8 })).toEqual([undefined, undefined, undefined]);
    expect(windowsOf("qwen2", { sliding_window: 8, max_window_layers: 1 })).toEqual(Array(3).fill(undefined));
    const sliding = { use_sliding_window: true, sliding_window: 8 };
    expect(windowsOf("qwen2", { ...sliding, max_window_layers: 1 })).toEqual([undefined, 8, 8]);
    const layer_types = ["sliding_attention", "full_attention", "full_attention"];
    expect(windowsOf("qwen3", { ...sliding, layer_types })).toEqual([8, undefined, undefined]);
    expect(() => windowsOf("qwen3", { layer_types })).toThrow(/needs use_sliding_window/);
  });

  it("a classifier says how many labels it has", () => {
    const architectures = ["LlamaForSequenceClassification"];
    expect(parseConfig(withType("llama", { architectures })).numLabels).toBe(2);
    expect(parseConfig(withType("llama", { architectures, num_labels: 1 })).numLabels).toBe(1);
    expect(
      parseConfig(withType("llama", { architectures, id2label: { 0: "a", 1: "b", 2: "c" } })).numLabels,
    ).toBe(3);
    expect(parseConfig(withType("llama", { num_labels: 3 })).numLabels).toBeUndefined();
  });

  it("end-of-text is a number or a list, and generation_config comes first", () => {
    expect(parseConfig(withType("llama", { eos_token_id: [5, 6] })).eosTokenIds).toEqual([5, 6]);
    const config = parseConfig(withType("llama", { eos_token_id: 5 }));
    expect(withGenerationConfig(config, { eos_token_id: [7, 5], pad_token_id: 0 })).toMatchObject({
      eosTokenIds: [7, 5],
      padTokenId: 0,
    });
    expect(withGenerationConfig(config, {}).eosTokenIds).toEqual([5]);
  });

  it("longrope ends where its short factors are right", () => {
    const rope_scaling = {
      type: "longrope",
      short_factor: Array(8).fill(1),
      long_factor: Array(8).fill(4),
      original_max_position_embeddings: 128,
    };
    expect(parseConfig(withType("llama", { rope_scaling })).maxPositions).toBe(128);
  });

  it.each([
    [
      "an unknown family",
      { model_type: "roberta" },
      /"roberta" is unknown, known families are gpt2, llama, mistral/,
    ],
    ["a missing family", {}, /model_type undefined is unknown/],
    ["another kind of JSON", [], /a JSON object is required/],
    ["a size of the wrong type", { ...small.gpt2, n_embd: "64" }, /n_embd: .*number/],
    [
      "quantised weights",
      withType("llama", { quantization_config: {} }),
      /quantization_config .*not supported/,
    ],
    [
      "attention scaled by layer",
      { ...small.gpt2, scale_attn_by_inverse_layer_idx: true },
      /scale_attn_by_inverse/,
    ],
    ["cross-attention", { ...small.gpt2, add_cross_attention: true }, /add_cross_attention/],
    [
      "a partial rotation of Llama",
      withType("llama", { partial_rotary_factor: 0.5 }),
      /partial_rotary_factor/,
    ],
    ["an unknown activation", withType("llama", { hidden_act: "mish" }), /activation mish .*known are/],
    ["heads that do not divide", withType("llama", { num_attention_heads: 5 }), /not a multiple of 5/],
    [
      "key-value heads that do not divide",
      withType("llama", { num_key_value_heads: 3 }),
      /3 key-value heads/,
    ],
    ["an unknown rope type", withType("llama", { rope_scaling: { type: "su" } }), /rope type su is unknown/],
    ["too few layer kinds", { model_type: "gpt_neo", num_layers: 3 }, /names 24 layers, num_layers is 3/],
  ])("refuses %s", (_, json, message) => {
    expect(() => parseConfig(json, "m/config.json")).toThrow(CheckpointError);
    expect(() => parseConfig(json, "m/config.json")).toThrow(message);
    expect(() => parseConfig(json, "m/config.json")).toThrow(/^m\/config\.json/);
  });

  it.each(readdirSync(golden))("reads the config.json that transformers saved for %s", (name) => {
    const json = JSON.parse(readFileSync(new URL(`${name}/config.json`, golden), "utf8"));
    const config = parseConfig(json);
    expect(config.raw).toBe(json);
    expect(config.layerWindows).toHaveLength(config.numLayers);
  });
});

describe("configOf", () => {
  const sizes = { vocabSize: 96, hiddenSize: 64, numLayers: 3, numHeads: 4, maxPositions: 128 };
  const withEnd = { ...sizes, eosTokenId: 2 };

  it.each(knownFamilies)("a new %s reads back as it was made", (family: Family) => {
    const config = configOf(family, withEnd);
    expect(config).toMatchObject({ ...sizes, family, eosTokenIds: [2], intermediateSize: 256 });
    expect(config.bosTokenId).toBeUndefined();
    expect(parseConfig(JSON.parse(JSON.stringify(config.raw)))).toEqual(config);
  });

  it("takes key-value heads, a head size and the family's own keys", () => {
    const config = configOf("qwen3", { ...sizes, numKeyValueHeads: 2, headDim: 32 }, { rope_theta: 1e6 });
    expect(config).toMatchObject({ numKeyValueHeads: 2, headDim: 32 });
    expect(config.rope?.inverseFrequencies[1]).toBeCloseTo(1e6 ** (-2 / 32), 6);
    expect(() => configOf("gpt2", { ...sizes, numKeyValueHeads: 2 })).toThrow(/neither key-value heads/);
  });

  it("a classifier has its labels in the JSON", () => {
    const { numLabels, raw } = configOf("llama", { ...sizes, numLabels: 1 });
    expect(numLabels).toBe(1);
    expect(raw).toMatchObject({
      architectures: ["LlamaForSequenceClassification"],
      id2label: { 0: "LABEL_0" },
    });
  });
});
