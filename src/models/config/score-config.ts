/** From the configuration of a language model, or of a bare encoder, to that of a classifier. */
import { type ModelConfig, parseConfig } from "./config.ts";
import { families } from "./families.ts";

/**
 * The configuration of the same model with scores instead of a vocabulary.
 *
 * @param entries of config.json, over its own
 */
export function scoreConfig(
  config: ModelConfig,
  {
    numLabels = 1,
    entries = {},
  }: { readonly numLabels?: number; readonly entries?: Readonly<Record<string, unknown>> } = {},
): ModelConfig {
  const { num_labels: _, ...raw } = config.raw;
  const names = Array.from({ length: numLabels }, (_, i) => `LABEL_${i}`);
  const { bosTokenId, eosTokenIds } = config;
  const padTokenId = paddingFor(config);
  return {
    ...parseConfig({
      ...raw,
      architectures: [families[config.family].architectures[1]],
      id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
      label2id: Object.fromEntries(names.map((name, i) => [name, i])),
      ...(padTokenId !== undefined && { pad_token_id: padTokenId }),
      ...entries,
    }),
    ...(bosTokenId !== undefined && { bosTokenId }),
    eosTokenIds,
    ...(padTokenId !== undefined && { padTokenId }),
  };
}

/**
 * transformers finds the last token of a row by this id. The end of text would hide itself, so without a token for
 * padding alone it is the start of text, which never ends a row. Where both are the same token (GPT-2), transformers reads the
 * score one token earlier than Attune, which goes by length: give such a tokenizer a token for padding.
 */
const paddingFor = ({ padTokenId, bosTokenId, eosTokenIds }: ModelConfig): number | undefined =>
  [padTokenId, bosTokenId].find((id) => id !== undefined && !eosTokenIds.includes(id)) ?? eosTokenIds[0];
