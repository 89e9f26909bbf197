/**
 * A model as one value: configuration, weights, tokenizer and templates, from a folder or a hub id and back.
 *
 *     const model = await loadModel("HuggingFaceTB/SmolLM-135M-Instruct");
 *     await model.save("copy/");
 *
 * A model never changes: training returns another one with other parameters (`withParameters`).
 */
import type { HostArray } from "../graph/array.ts";
import { isAdapterFolder, readAdapter, writeAdapter } from "./adapters/folder.ts";
import { type Adapter, checkAdapter, mergeLora } from "./adapters/lora.ts";
import { defaultTemplates, isDefaultTemplateName, withDefaultTemplate } from "./chat/default-templates.ts";
import { checkTensors, readCheckpoint, type WriteOptions, writeCheckpoint } from "./checkpoint/checkpoint.ts";
import { type ResolveModelOptions, resolveModel } from "./checkpoint/hub.ts";
import { type ModelConfig, withGenerationConfig } from "./config/config.ts";
import { scoreConfig } from "./config/score-config.ts";
import { CheckpointError } from "./errors.ts";
import { families } from "./families/index.ts";
import { folderOfModel } from "./folder.ts";
import { initialParameters, parameterShapes, scoreHeadOf } from "./model.ts";
import type { NewToken } from "./tokenizer/added-tokens.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer/tokenizer.ts";

type Json = Readonly<Record<string, unknown>>;

/** Weights by their Hugging Face names. */
export type Parameters = Readonly<Record<string, HostArray>>;

/** What a model is made of. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly parameters: Parameters;
  readonly tokenizer?: Tokenizer;
  /** Jinja source. */
  readonly chatTemplate?: string;
  readonly generationConfig?: Json;
}

export interface Model extends ModelParts {
  /** Where it came from, for messages. */
  readonly name: string;
  /** What of `parameters` is an adapter's doing; they have it merged in. */
  readonly adapter?: Adapter;
  /**
   * Writes a folder in the Hugging Face layout, atomically; of a model with an adapter the adapter alone.
   *
   * @throws CheckpointError when the folder holds something else than a model, or the disk is full
   */
  save(dir: string, options?: WriteOptions): Promise<void>;
}

export interface LoadModelOptions extends Omit<ResolveModelOptions, "onProgress"> {
  /** For an adapter: the model to adapt, instead of the one that it names. */
  readonly base?: string;
  /** Told the bytes that are here, and all of them; downloading comes before reading. */
  readonly onProgress?: (done: number, total: number, what: string) => void;
}

/** A model from its parts. */
export function modelOf(parts: ModelParts, name = "model"): Model {
  const { config, parameters, tokenizer, chatTemplate, generationConfig } = parts;
  if (tokenizer) checkVocabulary(tokenizer, config, name);
  return {
    config,
    parameters,
    ...(tokenizer && { tokenizer }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    ...(generationConfig && { generationConfig }),
    name,
    save: (dir, options) => writeCheckpoint(dir, { config, tensors: parameters, ...textsOf(parts) }, options),
  };
}

/** The parts of a checkpoint that are text. */
export function textsOf({
  tokenizer,
  chatTemplate,
  generationConfig,
}: Omit<ModelParts, "config" | "parameters">) {
  const files = tokenizer?.toJSON();
  return {
    ...(files && { tokenizerJson: { ...files.tokenizer }, tokenizerConfig: { ...files.config } }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    ...(generationConfig && { generationConfig }),
  };
}

/**
 * The base with an adapter. Its parameters, which have the adapter merged in, are computed when they are first asked
 * for; `save` writes an adapter folder, which names the base as it was loaded. `merged` makes a model of its own of it.
 *
 * @throws AttuneError when the adapter belongs to another model
 */
export function withAdapter(base: Model, adapter: Adapter, name = base.name): Model {
  checkAdapter(base.config, adapter, name);
  let parameters: Parameters | undefined;
  return {
    ...modelOf(base, name),
    get parameters() {
      parameters ??= mergeLora(base.config, base.parameters, adapter);
      return parameters;
    },
    adapter,
    save: (dir, options) =>
      writeAdapter(dir, { adapter, config: base.config, base: base.name, ...textsOf(base) }, options),
  };
}

/** The model as a whole one: it is saved with all its parameters, also when it came from an adapter. */
export const merged = (model: Model): Model => modelOf(model, model.name);

/** The same model with other weights. */
export const withParameters = (model: Model, parameters: Parameters): Model =>
  modelOf({ ...model, parameters }, model.name);

/**
 * Reads a model from a folder, from the folder of a run (its best or last model), or from the Hugging Face hub. An
 * adapter brings the base that it names.
 *
 * @param name folder, or `org/name[@revision]`
 * @throws CheckpointError for everything that does not fit: files, shapes, a tokenizer larger than the vocabulary
 */
export async function loadModel(name: string, options: LoadModelOptions = {}): Promise<Model> {
  const { onProgress, base: _, ...hub } = options;
  const dir = await folderOfModel(
    await resolveModel(name, {
      ...hub,
      ...(onProgress && { onProgress: (p) => onProgress(p.received, p.total, p.file) }),
    }),
  );
  if (await isAdapterFolder(dir)) return loadAdapted(name, dir, options);
  const read = await readCheckpoint(dir, {
    ...(onProgress && { onProgress: (done: number, total: number) => onProgress(done, total, "weights") }),
  });
  const { config, tensors, tokenizerJson, tokenizerConfig = {}, chatTemplate, generationConfig } = read;
  const tokenizer = tokenizerJson && tokenizerFrom(tokenizerJson, tokenizerConfig, config);
  return modelOf(
    {
      config,
      parameters: checkTensors(parameterShapes(config), tensors, {
        source: dir,
        ...(config.numLabels === undefined && { allowMissing: scoreHeadOf(config).pooler ?? [] }),
      }),
      ...(tokenizer && { tokenizer }),
      ...(chatTemplate !== undefined && { chatTemplate }),
      ...(generationConfig && { generationConfig }),
    },
    name,
  );
}

const tokenizerFrom = (tokenizer: Json, config: Json, { family }: ModelConfig): Tokenizer =>
  createTokenizer({ tokenizer: tokenizer as never, config }, { modelType: family });

async function loadAdapted(name: string, dir: string, options: LoadModelOptions): Promise<Model> {
  const read = await readAdapter(dir);
  const { adapter, tokenizerJson, tokenizerConfig = {}, chatTemplate, generationConfig } = read;
  const base = options.base ?? read.base;
  if (base === undefined)
    throw new CheckpointError(`${dir}: adapter_config.json names no base: set base_model_name_or_path`);
  const whole = await loadModel(base, { ...options, revision: undefined, base: undefined }).catch((cause) => {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new CheckpointError(
      `${name}: the base of this adapter cannot be loaded: ${cause.message}; ` +
        `correct base_model_name_or_path in ${dir}/adapter_config.json, or merge it into another copy ` +
        `with attune merge --adapter ${name} --model BASE (in code: loadModel(name, { base }))`,
      { cause },
    );
  });
  const model = grownTo(withScoresOf(adapter.parameters, whole), adapter.parameters);
  const own = {
    ...model,
    ...(generationConfig && {
      config: withGenerationConfig(model.config, generationConfig),
      generationConfig,
    }),
    ...(tokenizerJson && { tokenizer: tokenizerFrom(tokenizerJson, tokenizerConfig, model.config) }),
    ...(chatTemplate !== undefined && { chatTemplate }),
  };
  return withAdapter(modelOf(own, base), adapter, name);
}

/** The model with the score head of an adapter that was trained on a language model's backbone. */
function withScoresOf(adapter: Parameters, model: Model): Model {
  const head = adapter["score.weight"] ?? adapter["classifier.weight"];
  if (!head || model.config.numLabels !== undefined) return model;
  const config = scoreConfig(model.config, { numLabels: head.shape[0] as number });
  const all = { ...model.parameters, ...adapter };
  const parameters = checkTensors(parameterShapes(config), all, {
    source: model.name,
    allowUnexpected: Object.keys(all),
  });
  return modelOf({ ...model, config, parameters }, model.name);
}

/** The model with the vocabulary of an adapter that brings larger embeddings of its own. */
function grownTo(model: Model, adapter: Parameters): Model {
  const rows = adapter[families[model.config.family].embedding]?.shape[0] ?? 0;
  return rows > model.config.vocabSize ? withVocabulary(model, rows) : model;
}

/** A new model with random weights, drawn as transformers draws them. */
export const createModel = (
  config: ModelConfig,
  seed = 0,
  tokenizer?: Tokenizer,
  name = "new model",
): Model =>
  modelOf({ config, parameters: initialParameters(config, seed), ...(tokenizer && { tokenizer }) }, name);

function checkVocabulary({ vocabSize }: Tokenizer, config: ModelConfig, name: string): void {
  if (vocabSize > config.vocabSize)
    throw new CheckpointError(
      `${name}: the tokenizer has ${vocabSize} tokens, the model's vocabulary ${config.vocabSize}: ` +
        "take the tokenizer that belongs to the model, or add its tokens with addTokens, which resizes the embeddings",
    );
}

/**
 * The model with new tokens in its tokenizer; see `withTokenizer`.
 *
 * @throws CheckpointError when the model has no tokenizer
 */
export const addTokens = (model: Model, tokens: readonly NewToken[]): Model =>
  withTokenizer(model, tokenizerOf(model).addTokens(tokens).tokenizer);

/**
 * The model with another tokenizer, whose ids continue those of the old one. Embeddings grow when the new ids do not
 * fit; new rows are the mean of the old ones, so that at first a new token is as likely as an average one.
 */
export function withTokenizer(model: Model, tokenizer: Tokenizer): Model {
  const { vocabSize } = tokenizer;
  const grown = vocabSize > model.config.vocabSize ? withVocabulary(model, vocabSize) : model;
  return modelOf({ ...grown, tokenizer }, model.name);
}

function withVocabulary(model: Model, vocabSize: number): Model {
  const { config, name } = model;
  const { embedding, head } = families[config.family];
  const parameters = Object.fromEntries(
    Object.entries(model.parameters).map(([key, array]) => [
      key,
      key === embedding || key === head ? withRows(array, vocabSize) : array,
    ]),
  );
  const raw = { ...config.raw, vocab_size: vocabSize };
  return modelOf({ ...model, config: { ...config, vocabSize, raw }, parameters }, name);
}

/**
 * The model with a chat template: one of Attune's by name (with the tokens that it needs, and its end of turn among
 * the ids that end generation), or Jinja source.
 *
 * @throws CheckpointError when the model has no tokenizer
 */
export function withChatTemplate(model: Model, template: string): Model {
  if (!isDefaultTemplateName(template)) return modelOf({ ...model, chatTemplate: template }, model.name);
  const { tokenizer } = withDefaultTemplate(tokenizerOf(model), template);
  const grown = withTokenizer(model, tokenizer);
  const ends = [...new Set([tokenizer.eosId, ...model.config.eosTokenIds])].filter((id) => id !== undefined);
  return modelOf(
    {
      ...grown,
      config: { ...grown.config, eosTokenIds: ends },
      chatTemplate: defaultTemplates[template].template,
      generationConfig: { ...model.generationConfig, eos_token_id: ends.length === 1 ? ends[0] : ends },
    },
    model.name,
  );
}

function tokenizerOf({ tokenizer, name }: Model): Tokenizer {
  if (!tokenizer) throw new CheckpointError(`${name}: a tokenizer is required, the model has none`);
  return tokenizer;
}

/** [V, C] with rows added up to `rows`, each the mean of those that were there. */
function withRows({ shape, data }: HostArray, rows: number): HostArray {
  const [before, width] = shape as [number, number];
  const mean = new Float64Array(width);
  for (let i = 0; i < data.length; i++)
    mean[i % width] = (mean[i % width] as number) + Number(data[i]) / before;
  const out = new Float32Array(rows * width);
  out.set(data as Float32Array);
  for (let row = before; row < rows; row++) out.set(mean, row * width);
  return { dtype: "float32", shape: [rows, width], data: out };
}
