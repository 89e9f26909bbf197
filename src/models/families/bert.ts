/**
 * BERT (Devlin et al. 2019): an encoder with learned positions, layer norm behind each block, and a pooler before the
 * head of a classifier. Every token is of the first type: rows are one text.
 */
import { add, gather, layerNorm, slice, type Tensor, tanh } from "../../graph/index.ts";
import type { FamilyModel } from "./family.ts";
import { activations, linear, perLayer, throughLayers, toRows, type Weights } from "./layers.ts";

export const bert: FamilyModel = {
  embedding: "bert.embeddings.word_embeddings.weight",
  head: "cls.predictions.decoder.weight",
  encoder: true,

  parameters: ({ vocabSize, maxPositions, hiddenSize: c, intermediateSize: m, numLayers, raw }) => {
    const norm = (name: string) => ({ [`${name}.weight`]: [c], [`${name}.bias`]: [c] });
    const dense = (name: string, inputs: number, outputs: number) => ({
      [`${name}.weight`]: [outputs, inputs],
      [`${name}.bias`]: [outputs],
    });
    return {
      "bert.embeddings.word_embeddings.weight": [vocabSize, c],
      "bert.embeddings.position_embeddings.weight": [maxPositions, c],
      "bert.embeddings.token_type_embeddings.weight": [Number(raw.type_vocab_size ?? 2), c],
      ...norm("bert.embeddings.LayerNorm"),
      ...perLayer("bert.encoder.layer", numLayers, (l) => ({
        ...dense(`${l}.attention.self.query`, c, c),
        ...dense(`${l}.attention.self.key`, c, c),
        ...dense(`${l}.attention.self.value`, c, c),
        ...dense(`${l}.attention.output.dense`, c, c),
        ...norm(`${l}.attention.output.LayerNorm`),
        ...dense(`${l}.intermediate.dense`, c, m),
        ...dense(`${l}.output.dense`, m, c),
        ...norm(`${l}.output.LayerNorm`),
      })),
      ...dense("bert.pooler.dense", c, c),
    };
  },

  hidden(config, weights, sequence) {
    const w = weights.at("bert");
    const activation = activations[config.activation];
    const norm = (part: Weights, x: Tensor) => layerNorm(x, part("weight"), part("bias"), config.normEps);
    const embeddings = w.at("embeddings");
    const firstType = slice(embeddings("token_type_embeddings.weight"), 0, 0, 1); // [1, C]
    const position = add(gather(embeddings("position_embeddings.weight"), sequence.positions), firstType);
    const tokens = gather(embeddings("word_embeddings.weight"), sequence.ids); // [B, T, C]
    const embedded = norm(embeddings.at("LayerNorm"), toRows(add(tokens, position))); // [N, C]
    return throughLayers(embedded, config.numLayers, (x, layer) => {
      const l = w.at(`encoder.layer.${layer}`);
      const heads = (name: string) =>
        sequence.heads(linear(l.at(`attention.self.${name}`), x), config.numHeads);
      const seen = sequence.rows(layer, sequence.attend(layer, heads("query"), heads("key"), heads("value")));
      const y = norm(
        l.at("attention.output.LayerNorm"),
        add(x, linear(l.at("attention.output.dense"), seen)),
      );
      const up = activation(linear(l.at("intermediate.dense"), y));
      return norm(l.at("output.LayerNorm"), add(y, linear(l.at("output.dense"), up)));
    });
  },

  scoreHead: {
    parameters: ({ hiddenSize }, numLabels) => ({
      "classifier.weight": [numLabels, hiddenSize],
      "classifier.bias": [numLabels],
    }),
    pooler: ["bert.pooler.dense.weight", "bert.pooler.dense.bias"],
    scores: (w, pooled) => linear(w.at("classifier"), tanh(linear(w.at("bert.pooler.dense"), pooled))),
  },
};
