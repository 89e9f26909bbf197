/**
 * GPT-2 (Radford et al. 2019): learned positions, layer norm before each block, one projection for query,
 * key and value, weights stored [in, out].
 */
import { add, gather, layerNorm, reshape, transpose, unstack } from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import { activations, conv1d, joinHeads, perLayer, throughLayers, toRows } from "./layers.ts";

export const gpt2: FamilyModel = {
  embedding: "transformer.wte.weight",
  head: "lm_head.weight",
  inputsFirst: true,

  parameters: ({ vocabSize, maxPositions, hiddenSize: c, intermediateSize: m, numLayers }) => ({
    "transformer.wte.weight": [vocabSize, c],
    "transformer.wpe.weight": [maxPositions, c],
    ...perLayer("transformer.h", numLayers, (h) => ({
      [`${h}.ln_1.weight`]: [c],
      [`${h}.ln_1.bias`]: [c],
      [`${h}.attn.c_attn.weight`]: [c, 3 * c],
      [`${h}.attn.c_attn.bias`]: [3 * c],
      [`${h}.attn.c_proj.weight`]: [c, c],
      [`${h}.attn.c_proj.bias`]: [c],
      [`${h}.ln_2.weight`]: [c],
      [`${h}.ln_2.bias`]: [c],
      [`${h}.mlp.c_fc.weight`]: [c, m],
      [`${h}.mlp.c_fc.bias`]: [m],
      [`${h}.mlp.c_proj.weight`]: [m, c],
      [`${h}.mlp.c_proj.bias`]: [c],
    })),
    "transformer.ln_f.weight": [c],
    "transformer.ln_f.bias": [c],
  }),

  hidden(config, weights, sequence) {
    const w = weights.at("transformer");
    const { numHeads, hiddenSize: c, normEps, numLayers } = config;
    const activation = activations[config.activation];
    const position = gather(w("wpe.weight"), sequence.positions);
    const embedded = toRows(add(gather(w("wte.weight"), sequence.ids), position)); // [N, C]
    const x = throughLayers(embedded, numLayers, (x, layer) => {
      const h = w.at(`h.${layer}`);
      const a = layerNorm(x, h("ln_1.weight"), h("ln_1.bias"), normEps);
      const qkv = reshape(conv1d(h.at("attn.c_attn"), a), [...sequence.ids.shape, 3, numHeads, c / numHeads]);
      const [q, k, v] = unstack(transpose(qkv, [2, 0, 3, 1, 4])) as [typeof a, typeof a, typeof a]; // [B, H, T, D]
      const seen = add(x, conv1d(h.at("attn.c_proj"), joinHeads(sequence.attend(layer, q, k, v))));
      const m = layerNorm(seen, h("ln_2.weight"), h("ln_2.bias"), normEps);
      return add(seen, conv1d(h.at("mlp.c_proj"), activation(conv1d(h.at("mlp.c_fc"), m))));
    });
    return layerNorm(x, w("ln_f.weight"), w("ln_f.bias"), normEps);
  },
};
