/** A tiny model with a tokenizer, and a little text, for tests of training. */

import { configOf } from "../models/config/config.ts";
import { createModel, type Model } from "../models/load.ts";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";

const animals = ["cat", "dog", "hen", "fox"];
const places = ["barn", "garden", "house"];

/** Short sentences of different lengths. */
export const sentences: string[] = animals.flatMap((animal) =>
  places.flatMap((place) => [
    `The ${animal} sleeps in the ${place}.`,
    `A ${animal} runs from the ${place} to the old mill, and then it runs back to the ${place}.`,
  ]),
);

export const rows = sentences.map((text) => ({ text }));

/** Learns within some twenty steps what the sentences are. */
export function tinyModel(seed = 0): Model {
  const { tokenizer: definition, config, vocabSize } = trainBpe(sentences, { vocabSize: 300 });
  const tokenizer = createTokenizer({ tokenizer: definition, config });
  const shape = configOf("llama", {
    vocabSize,
    hiddenSize: 32,
    numLayers: 2,
    numHeads: 2,
    intermediateSize: 64,
    maxPositions: 64,
    tieEmbeddings: true,
    eosTokenId: tokenizer.eosId as number,
  });
  return createModel(shape, seed, tokenizer, "tiny");
}

/** For each sentence a prompt, its own end, and that of another sentence. */
export const preferences = sentences.map((text, i) => {
  const cut = text.indexOf(" ", 6);
  const other = sentences[(i * 7 + 5) % sentences.length] as string;
  return {
    prompt: text.slice(0, cut),
    chosen: text.slice(cut),
    rejected: other.slice(other.indexOf(" ", 12)),
  };
});
