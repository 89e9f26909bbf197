/**
 * GPT-NeoX (Black et al. 2022), the family of Pythia: rotary positions on a part of each head, attention and
 * MLP side by side unless `use_parallel_residual` is false, query, key and value interleaved head by head.
 */
import {
  add,
  concat,
  gather,
  layerNorm,
  reshape,
  rotary,
  split,
  type Tensor,
  transpose,
} from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import {
  activations,
  joinHeads,
  linear,
  perLayer,
  rotaryAngles,
  throughLayers,
  toRows,
  type Weights,
} from "./layers.ts";

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
    const [cosine, sine] = rotaryAngles(config, sequence.positions);
    const turned = config.rope?.rotaryDim ?? headDim;
    const partly = (x: Tensor): Tensor => {
      if (turned === headDim) return rotary(x, cosine, sine);
      const [first, rest] = split(x, [turned, headDim - turned], -1) as [Tensor, Tensor];
      return concat([rotary(first, cosine, sine), rest], -1);
    };
    const norm = (part: Weights, x: Tensor) => layerNorm(x, part("weight"), part("bias"), normEps);

    const embedded = toRows(gather(w("embed_in.weight"), sequence.ids)); // [N, C]
    const x = throughLayers(embedded, config.numLayers, (x, layer) => {
      const l = w.at(`layers.${layer}`);
      const qkv = linear(l.at("attention.query_key_value"), norm(l.at("input_layernorm"), x));
      const heads = transpose(reshape(qkv, [...sequence.ids.shape, numHeads, 3 * headDim]), [0, 2, 1, 3]);
      const [q, k, v] = split(heads, [headDim, headDim, headDim], -1) as [Tensor, Tensor, Tensor];
      const a = linear(l.at("attention.dense"), joinHeads(sequence.attend(layer, partly(q), partly(k), v)));
      const between = parallelResidual ? x : add(x, a);
      const up = activation(
        linear(l.at("mlp.dense_h_to_4h"), norm(l.at("post_attention_layernorm"), between)),
      );
      const m = linear(l.at("mlp.dense_4h_to_h"), up);
      return parallelResidual ? add(add(x, a), m) : add(between, m);
    });
    return norm(w.at("final_layer_norm"), x);
  },
};
