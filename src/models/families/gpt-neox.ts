/**
 * GPT-NeoX (Black et al. 2022), the family of Pythia: rotary positions on a part of each head, attention and
 * MLP side by side unless `use_parallel_residual` is false, query, key and value interleaved head by head.
 */
import { add, gather, layerNorm, reshape, split, type Tensor } from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import { activations, linear, perLayer, throughLayers, toRows, type Weights } from "./layers.ts";
import { rotation } from "./sequence.ts";

export const gptNeoX: FamilyModel = {
  embedding: "gpt_neox.embed_in.weight",
  head: "embed_out.weight",

  parameters: ({ vocabSize, hiddenSize: c, intermediateSize: m, numLayers, attentionBias }) => ({
    "gpt_neox.embed_in.weight": [vocabSize, c],
    ...perLayer("gpt_neox.layers", numLayers, (l) => ({
      [`${l}.input_layernorm.weight`]: [c],
      [`${l}.input_layernorm.bias`]: [c],
      [`${l}.post_attention_layernorm.weight`]: [c],
      [`${l}.post_attention_layernorm.bias`]: [c],
      [`${l}.attention.query_key_value.weight`]: [3 * c, c],
      ...(attentionBias && { [`${l}.attention.query_key_value.bias`]: [3 * c] }),
      [`${l}.attention.dense.weight`]: [c, c],
      ...(attentionBias && { [`${l}.attention.dense.bias`]: [c] }),
      [`${l}.mlp.dense_h_to_4h.weight`]: [m, c],
      [`${l}.mlp.dense_h_to_4h.bias`]: [m],
      [`${l}.mlp.dense_4h_to_h.weight`]: [c, m],
      [`${l}.mlp.dense_4h_to_h.bias`]: [c],
    })),
    "gpt_neox.final_layer_norm.weight": [c],
    "gpt_neox.final_layer_norm.bias": [c],
  }),

  hidden(config, weights, sequence) {
    const w = weights.at("gpt_neox");
    const { numHeads, headDim, normEps, parallelResidual } = config;
    const activation = activations[config.activation];
    const turn = rotation(config, sequence);
    const norm = (part: Weights, x: Tensor) => layerNorm(x, part("weight"), part("bias"), normEps);

    const embedded = toRows(gather(w("embed_in.weight"), sequence.ids)); // [N, C]
    const x = throughLayers(embedded, config.numLayers, (x, layer) => {
      const l = w.at(`layers.${layer}`);
      const qkv = linear(l.at("attention.query_key_value"), norm(l.at("input_layernorm"), x));
      const apart = split(reshape(qkv, [-1, numHeads, 3 * headDim]), [headDim, headDim, headDim], -1);
      const [q, k, v] = apart.map((part) => reshape(part, [-1, numHeads * headDim])) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const queries = turn.queries(layer, sequence.queries(layer, sequence.asked(layer, q), numHeads));
      const keys = turn.keys(sequence.heads(k, numHeads));
      const seen = sequence.attend(layer, queries, keys, sequence.heads(v, numHeads));
      const a = linear(l.at("attention.dense"), sequence.rows(layer, seen));
      const before = sequence.asked(layer, x);
      const between = parallelResidual ? before : add(before, a);
      const up = activation(
        linear(l.at("mlp.dense_h_to_4h"), norm(l.at("post_attention_layernorm"), between)),
      );
      const m = linear(l.at("mlp.dense_4h_to_h"), up);
      return parallelResidual ? add(add(before, a), m) : add(between, m);
    });
    return norm(w.at("final_layer_norm"), x);
  },
};
