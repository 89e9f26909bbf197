/**
 * What `transformers` 5 does to a tokenizer whose class is `LlamaTokenizer`: it keeps vocabulary, merges and
 * post-processor and replaces the rest of `tokenizer.json` by the Metaspace pipeline.
 *
 * The differences show where spaces meet the start of a text or a special token (one prefix space, and none after
 * special tokens unless `legacy`), and in vocabularies that lack byte tokens: an unknown character vanishes instead
 * of becoming `unk_token`. Byte-level files under this class, and Mistral models, are read as they stand.
 */
import type { PipelineStep, TokenizerFiles, TokenizerJson } from "./tokenizer-files.ts";

const byteLevelStep = '"ByteLevel"';

/** The tokenizer that `AutoTokenizer` would use; the same object when the class asks for no rebuilding. */
export function llamaPipeline({ tokenizer, config }: TokenizerFiles, modelType?: string): TokenizerJson {
  const isLlama =
    config.tokenizer_class === "LlamaTokenizer" || config.tokenizer_class === "LlamaTokenizerFast";
  const steps = JSON.stringify([tokenizer.pre_tokenizer, tokenizer.decoder, tokenizer.post_processor]);
  if (
    !isLlama ||
    modelType === "mistral" ||
    tokenizer.model.type !== "BPE" ||
    steps.includes(byteLevelStep)
  ) {
    return tokenizer;
  }
  const metaspace = (scheme: string) => ({
    type: "Metaspace",
    replacement: "▁",
    prepend_scheme: scheme,
    split: false,
  });
  const prefix = config.add_prefix_space !== false;
  const scheme = prefix ? (config.legacy ? "always" : "first") : "never";
  return {
    ...tokenizer,
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [metaspace(scheme), ...dropUnknown(tokenizer)] },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: { ...tokenizer.model, unk_token: null, fuse_unk: true, byte_fallback: true },
  };
}

/**
 * A step that removes the characters that the vocabulary can spell neither whole nor in bytes. The model must not
 * see them: their neighbours merge as if they had stood together.
 */
function dropUnknown({ model: { vocab } }: TokenizerJson): PipelineStep[] {
  const tokens = new Set(Array.isArray(vocab) ? vocab.map(([token]) => token) : Object.keys(vocab));
  const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  if (Array.from({ length: 256 }, (_, byte) => byteToken(byte)).every((token) => tokens.has(token)))
    return [];
  const known = [...tokens].filter((token) => [...token].length === 1).map(escapeForClass);
  return [{ type: "Replace", pattern: { Regex: `[^▁${known.join("")}]` }, content: "" }];
}

function escapeForClass(character: string): string {
  return `\\x{${(character.codePointAt(0) as number).toString(16)}}`;
}
