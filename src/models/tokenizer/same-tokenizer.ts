/** Whether two tokenizers are one, so that models that have them mean the same by an id. */
import type { Tokenizer } from "./tokenizer.ts";

/** Do both give the same ids to the same text? */
export function sameTokenizer(a: Tokenizer, b: Tokenizer): boolean {
  if (a === b) return true;
  if (a.vocabSize !== b.vocabSize) return false;
  const facts = ({
    model,
    added_tokens,
    normalizer,
    pre_tokenizer,
    post_processor,
  }: Tokenizer["definition"]) =>
    JSON.stringify([model, added_tokens, normalizer, pre_tokenizer, post_processor]);
  return facts(a.definition) === facts(b.definition);
}
