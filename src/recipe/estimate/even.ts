/**
 * A model in the place of one that is not trained yet: all tokens are about as likely, and so many of them end a
 * response that responses become as long as those that the model will have learned from.
 *
 * With a share p of the vocabulary ending a response, its length is geometric, cut off at R tokens: E = (1 - (1-p)^R) / p.
 */

import { families } from "../../models/families/index.ts";
import { type Model, modelOf } from "../../models/load.ts";
import { initialParameters } from "../../models/model.ts";

/** What is left of embeddings and head: their products, the logits, are nearly alike. */
const faint = 1e-3;

/** The mean of a geometric length that is cut off. */
export const meanLength = (p: number, atMost: number): number => (1 - (1 - p) ** atMost) / p;

/** The chance of each token to end a response whose mean length, cut off at `atMost` tokens, is `mean`. */
export function endingChance(mean: number, atMost: number): number {
  let [low, high] = [1e-9, 1];
  for (let i = 0; i < 60; i++) {
    const p = (low + high) / 2;
    if (meanLength(p, atMost) > mean) low = p;
    else high = p;
  }
  return (low + high) / 2;
}

/** New weights in place of a model's own, under which every token is about as likely. */
export function evenModel(model: Model): Model {
  const { embedding, head } = families[model.config.family];
  const parameters = initialParameters(model.config, 1);
  for (const name of [embedding, head]) {
    const data = parameters[name]?.data;
    if (data) for (let i = 0; i < data.length; i++) data[i] = faint * (data[i] as number);
  }
  return modelOf({ ...model, parameters }, model.name);
}

/** The even model with responses of a mean length, in tokens, the one that ends them included. */
export function endingAfter(model: Model, mean: number, atMost: number): Model {
  const { config } = model;
  const share = endingChance(Math.min(mean, 0.99 * atMost), atMost);
  const count = Math.max(1, Math.round(share * config.vocabSize));
  const ends = Array.from({ length: count }, (_, i) => Math.floor((i * config.vocabSize) / count));
  const eosTokenIds = [...new Set([...config.eosTokenIds, ...ends])].slice(0, count);
  return modelOf({ ...model, config: { ...config, eosTokenIds } }, model.name);
}
