/**
 * Llama (Touvron et al. 2023) and its relatives Mistral, Qwen2 and Qwen3: RMS norm, rotary positions, grouped
 * queries, a gated MLP. They differ in biases, in norms of query and key (Qwen3) and in sliding windows.
 */
import { add, gather, mul, reshape, rmsNorm, type Tensor } from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";
import type { FamilyModel } from "./family.ts";
import { activations, linear, perLayer, throughLayers, toRows, type Weights } from "./layers.ts";
import { rotation } from "./sequence.ts";

export const llama: FamilyModel = {
  embedding: "model.embed_tokens.weight",
  head: "lm_head.weight",

  parameters: (config) => {
    const { vocabSize, hiddenSize: c, intermediateSize: m, headDim, numLayers } = config;
    const [queries, keys] = [config.numHeads * headDim, config.numKeyValueHeads * headDim];
    const bias = (name: string, size: number, present: boolean) =>
      present ? { [`${name}.bias`]: [size] } : {};
    return {
      "model.embed_tokens.weight": [vocabSize, c],
      ...perLayer("model.layers", numLayers, (l) => ({
        [`${l}.input_layernorm.weight`]: [c],
        [`${l}.self_attn.q_proj.weight`]: [queries, c],
        [`${l}.self_attn.k_proj.weight`]: [keys, c],
        [`${l}.self_attn.v_proj.weight`]: [keys, c],
        [`${l}.self_attn.o_proj.weight`]: [c, queries],
        ...bias(`${l}.self_attn.q_proj`, queries, config.attentionBias),
        ...bias(`${l}.self_attn.k_proj`, keys, config.attentionBias),
        ...bias(`${l}.self_attn.v_proj`, keys, config.attentionBias),
        ...bias(`${l}.self_attn.o_proj`, c, config.outputBias),
        ...(config.qkNorm && {
          [`${l}.self_attn.q_norm.weight`]: [headDim],
          [`${l}.self_attn.k_norm.weight`]: [headDim],
        }),
        [`${l}.post_attention_layernorm.weight`]: [c],
        [`${l}.mlp.gate_proj.weight`]: [m, c],
        [`${l}.mlp.up_proj.weight`]: [m, c],
        [`${l}.mlp.down_proj.weight`]: [c, m],
        ...bias(`${l}.mlp.gate_proj`, m, config.mlpBias),
        ...bias(`${l}.mlp.up_proj`, m, config.mlpBias),
        ...bias(`${l}.mlp.down_proj`, c, config.mlpBias),
      })),
      "model.norm.weight": [c],
    };
  },

  hidden(config, weights, sequence) {
    const w = weights.at("model");
    const { numHeads, numKeyValueHeads, normEps } = config;
    const activation = activations[config.activation];
    const turn = rotation(config, sequence);
    const embedded = toRows(gather(w("embed_tokens.weight"), sequence.ids)); // [N, C]
    const x = throughLayers(embedded, config.numLayers, (x, layer) => {
      const l = w.at(`layers.${layer}`);
      const a = rmsNorm(x, l("input_layernorm.weight"), normEps);
      const attention = l.at("self_attn");
      const normed = (name: "q" | "k", rows: Tensor) =>
        headNorm(attention, name, linear(attention.at(`${name}_proj`), rows), config);
      const q = sequence.queries(layer, normed("q", sequence.asked(layer, a)), numHeads);
      const k = sequence.heads(normed("k", a), numKeyValueHeads);
      const v = sequence.heads(linear(attention.at("v_proj"), a), numKeyValueHeads);
      const found = sequence.rows(layer, sequence.attend(layer, turn.queries(layer, q), turn.keys(k), v));
      const seen = add(sequence.asked(layer, x), linear(attention.at("o_proj"), found));
      const m = rmsNorm(seen, l("post_attention_layernorm.weight"), normEps);
      const gate = activation(linear(l.at("mlp.gate_proj"), m));
      return add(seen, linear(l.at("mlp.down_proj"), mul(gate, linear(l.at("mlp.up_proj"), m))));
    });
    return rmsNorm(x, w("norm.weight"), normEps);
  },
};

/** Qwen3 normalises every query and key head by itself. */
function headNorm(w: Weights, name: "q" | "k", x: Tensor, { qkNorm, headDim, normEps }: ModelConfig): Tensor {
  return qkNorm ? reshape(rmsNorm(reshape(x, [-1, headDim]), w(`${name}_norm.weight`), normEps), x.shape) : x;
}
