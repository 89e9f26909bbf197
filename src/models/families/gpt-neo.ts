/**
 * GPT-Neo (Black et al. 2021), the family of the larger TinyStories models: GPT-2 with weights stored
 * [out, in], scores that are not scaled, and attention that is local in every other layer.
 */
import { add, gather, layerNorm, type Tensor } from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import { activations, linear, perLayer, throughLayers, toRows, type Weights } from "./layers.ts";

export const gptNeo: FamilyModel = {
  embedding: "transformer.wte.weight",
  head: "lm_head.weight",

  parameters: ({ vocabSize, maxPositions, hiddenSize: c, intermediateSize: m, numLayers }) => ({
    "transformer.wte.weight": [vocabSize, c],
    "transformer.wpe.weight": [maxPositions, c],
    ...perLayer("transformer.h", numLayers, (h) => ({
      [`${h}.ln_1.weight`]: [c],
      [`${h}.ln_1.bias`]: [c],
      [`${h}.attn.attention.k_proj.weight`]: [c, c],
      [`${h}.attn.attention.v_proj.weight`]: [c, c],
      [`${h}.attn.attention.q_proj.weight`]: [c, c],
      [`${h}.attn.attention.out_proj.weight`]: [c, c],
      [`${h}.attn.attention.out_proj.bias`]: [c],
      [`${h}.ln_2.weight`]: [c],
      [`${h}.ln_2.bias`]: [c],
      [`${h}.mlp.c_fc.weight`]: [m, c],
      [`${h}.mlp.c_fc.bias`]: [m],
      [`${h}.mlp.c_proj.weight`]: [c, m],
      [`${h}.mlp.c_proj.bias`]: [c],
    })),
    "transformer.ln_f.weight": [c],
    "transformer.ln_f.bias": [c],
  }),

  hidden(config, weights, sequence) {
    const w = weights.at("transformer");
    const activation = activations[config.activation];
    const norm = (part: Weights, x: Tensor) => layerNorm(x, part("weight"), part("bias"), config.normEps);
    const position = gather(w("wpe.weight"), sequence.positions);
    const embedded = toRows(add(gather(w("wte.weight"), sequence.ids), position)); // [N, C]
    const x = throughLayers(embedded, config.numLayers, (x, layer) => {
      const h = w.at(`h.${layer}`);
      const attention = h.at("attn.attention");
      const a = norm(h.at("ln_1"), x);
      const heads = (name: string) => sequence.heads(linear(attention.at(name), a), config.numHeads);
      const q = linear(attention.at("q_proj"), sequence.asked(layer, a));
      const queries = sequence.queries(layer, q, config.numHeads);
      const seen = sequence.attend(layer, queries, heads("k_proj"), heads("v_proj"));
      const found = linear(attention.at("out_proj"), sequence.rows(layer, seen));
      const y = add(sequence.asked(layer, x), found);
      const up = activation(linear(h.at("mlp.c_fc"), norm(h.at("ln_2"), y)));
      return add(y, linear(h.at("mlp.c_proj"), up));
    });
    return norm(w.at("ln_f"), x);
  },
};
