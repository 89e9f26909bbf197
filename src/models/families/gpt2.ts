/**
 * GPT-2 (Radford et al. 2019): learned positions, layer norm before each block, one projection for query,
 * key and value, weights stored [in, out].
 */
import { add, gather, layerNorm, split, type Tensor } from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import { activations, conv1d, perLayer, throughLayers, toRows } from "./layers.ts";

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
      const [q, k, v] = split(conv1d(h.at("attn.c_attn"), a), [c, c, c], -1) as [Tensor, Tensor, Tensor];
      const queries = sequence.queries(layer, sequence.asked(layer, q), numHeads);
      const [keys, values] = [sequence.heads(k, numHeads), sequence.heads(v, numHeads)];
      const found = sequence.rows(layer, sequence.attend(layer, queries, keys, values));
      const seen = add(sequence.asked(layer, x), conv1d(h.at("attn.c_proj"), found));
      const m = layerNorm(seen, h("ln_2.weight"), h("ln_2.bias"), normEps);
      return add(seen, conv1d(h.at("mlp.c_proj"), activation(conv1d(h.at("mlp.c_fc"), m))));
    });
    return layerNorm(x, w("ln_f.weight"), w("ln_f.bias"), normEps);
  },
};
