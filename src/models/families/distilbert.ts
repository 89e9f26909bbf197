/**
 * DistilBERT (Sanh et al. 2019): BERT with half its layers, without token types, and with a layer of its own before the
 * head of a classifier.
 */
import { add, gather, layerNorm, relu, type Tensor } from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import { activations, linear, perLayer, throughLayers, toRows, type Weights } from "./layers.ts";

export const distilbert: FamilyModel = {
  embedding: "distilbert.embeddings.word_embeddings.weight",
  head: "vocab_projector.weight",
  encoder: true,

  parameters: ({ vocabSize, maxPositions, hiddenSize: c, intermediateSize: m, numLayers }) => ({
    "distilbert.embeddings.word_embeddings.weight": [vocabSize, c],
    "distilbert.embeddings.position_embeddings.weight": [maxPositions, c],
    "distilbert.embeddings.LayerNorm.weight": [c],
    "distilbert.embeddings.LayerNorm.bias": [c],
    ...perLayer("distilbert.transformer.layer", numLayers, (l) => ({
      [`${l}.attention.q_lin.weight`]: [c, c],
      [`${l}.attention.q_lin.bias`]: [c],
      [`${l}.attention.k_lin.weight`]: [c, c],
      [`${l}.attention.k_lin.bias`]: [c],
      [`${l}.attention.v_lin.weight`]: [c, c],
      [`${l}.attention.v_lin.bias`]: [c],
      [`${l}.attention.out_lin.weight`]: [c, c],
      [`${l}.attention.out_lin.bias`]: [c],
      [`${l}.sa_layer_norm.weight`]: [c],
      [`${l}.sa_layer_norm.bias`]: [c],
      [`${l}.ffn.lin1.weight`]: [m, c],
      [`${l}.ffn.lin1.bias`]: [m],
      [`${l}.ffn.lin2.weight`]: [c, m],
      [`${l}.ffn.lin2.bias`]: [c],
      [`${l}.output_layer_norm.weight`]: [c],
      [`${l}.output_layer_norm.bias`]: [c],
    })),
  }),

  hidden(config, weights, sequence) {
    const w = weights.at("distilbert");
    const activation = activations[config.activation];
    const norm = (part: Weights, x: Tensor) => layerNorm(x, part("weight"), part("bias"), config.normEps);
    const embeddings = w.at("embeddings");
    const position = gather(embeddings("position_embeddings.weight"), sequence.positions);
    const tokens = gather(embeddings("word_embeddings.weight"), sequence.ids); // [B, T, C]
    const embedded = norm(embeddings.at("LayerNorm"), toRows(add(tokens, position))); // [N, C]
    return throughLayers(embedded, config.numLayers, (x, layer) => {
      const l = w.at(`transformer.layer.${layer}`);
      const heads = (name: string) =>
        sequence.heads(linear(l.at(`attention.${name}_lin`), x), config.numHeads);
      const seen = sequence.rows(layer, sequence.attend(layer, heads("q"), heads("k"), heads("v")));
      const y = norm(l.at("sa_layer_norm"), add(x, linear(l.at("attention.out_lin"), seen)));
      const m = linear(l.at("ffn.lin2"), activation(linear(l.at("ffn.lin1"), y)));
      return norm(l.at("output_layer_norm"), add(y, m));
    });
  },

  scoreHead: {
    parameters: ({ hiddenSize: c }, numLabels) => ({
      "pre_classifier.weight": [c, c],
      "pre_classifier.bias": [c],
      "classifier.weight": [numLabels, c],
      "classifier.bias": [numLabels],
    }),
    scores: (w, pooled) => linear(w.at("classifier"), relu(linear(w.at("pre_classifier"), pooled))),
  },
};
