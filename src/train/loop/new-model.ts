/** A new model for pre-training: random weights, and a tokenizer that is given or trained on the documents. */
import { type DataInput, sftPurpose } from "../../data/dataset.ts";
import { type LoadOptions, loadRows } from "../../data/node-load.ts";
import { showSource, type Text } from "../../data/rows.ts";
import { demonstrationOf } from "../../data/tokenize.ts";
import { configOf, type Family, type ModelSizes } from "../../models/config/config.ts";
import { createModel, type Model } from "../../models/load.ts";
import { trainBpe } from "../../models/tokenizer/bpe-trainer.ts";
import { createTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";

/** Sizes of a model that is not there yet; its vocabulary is the tokenizer's. */
export interface NewModel extends Omit<ModelSizes, "vocabSize"> {
  readonly family?: Family;
  /** By default a byte-level BPE is trained on the documents. */
  readonly tokenizer?: Tokenizer;
  /** Tokens of the tokenizer that is trained. */
  readonly vocabSize?: number;
  /** Further keys of config.json, such as `rope_theta`. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

export const newModelDefaults = { family: "llama", vocabSize: 1024, tieEmbeddings: true } as const;

/** Characters that a tokenizer is trained on, at most: more change its merges little. */
const tokenizerCharacters = 4_000_000;

/** Whether a model is still to be made. */
export const isNew = (model: Model | NewModel): model is NewModel => !("parameters" in model);

/** Makes the model, drawn from the seed. */
export async function newModel(
  { family = newModelDefaults.family, tokenizer: given, vocabSize, extra, ...sizes }: NewModel,
  data: DataInput,
  { seed = 0, ...options }: LoadOptions & { readonly seed?: number } = {},
): Promise<Model> {
  const tokenizer = given ?? (await trainedTokenizer(data, vocabSize ?? newModelDefaults.vocabSize, options));
  const { eosId } = tokenizer;
  const config = configOf(
    family,
    {
      tieEmbeddings: newModelDefaults.tieEmbeddings,
      ...(eosId !== undefined && { eosTokenId: eosId }),
      ...sizes,
      vocabSize: tokenizer.vocabSize,
    },
    extra,
  );
  return createModel(config, seed, tokenizer, "new model");
}

/** A byte-level BPE of the texts in the data. */
async function trainedTokenizer(
  data: DataInput,
  vocabSize: number,
  options: LoadOptions,
): Promise<Tokenizer> {
  const texts: string[] = [];
  let room = tokenizerCharacters;
  const take = (text: Text) => {
    for (const piece of typeof text === "string" ? [text] : text.map(({ content }) => content)) {
      if (room > 0) texts.push(piece.slice(0, room));
      room -= piece.length;
    }
  };
  await loadRows(
    data,
    sftPurpose,
    () => ({
      *each(row) {
        const shown = demonstrationOf(row);
        if (shown.kind === "text") take(shown.text);
        else if (shown.kind === "messages") take(shown.messages);
        else [shown.prompt, shown.completion].forEach(take);
        yield showSource(row.source);
      },
    }),
    { ...options, chat: true },
  );
  const { tokenizer, config } = trainBpe(texts, { vocabSize });
  return createTokenizer({ tokenizer, config });
}
