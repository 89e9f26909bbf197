/** Generation for callers: a model in an engine, completions of prompts, or their tokens as they come. */
import {
  type Engine,
  type Executable,
  flatten,
  type HostArray,
  LocalEngine,
  type Resident,
  type Tree,
  unflatten,
  type Value,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { requireLanguageModel } from "../models/model.ts";
import { GenerateError } from "./errors.ts";
import {
  type Completion,
  type GenerateOptions,
  type Prompt,
  type Settings,
  settingsOf,
  type TokenEvent,
} from "./options.ts";
import { cachedLayers, compileStep } from "./program.ts";
import { type RolloutPayload, rollout, rolloutUrl } from "./rollout.ts";
import { textAfter } from "./text.ts";
import { quantizeWeights } from "./weights.ts";

export interface GeneratorOptions {
  /** Projections in 8 bits: faster, other tokens than in single precision. Needs weights on the host. */
  readonly int8?: boolean;
  /** Tokens of a prompt from which on its samples read one cache of it; below, a copy each costs less. Default 64. */
  readonly sharedFrom?: number;
  /** Weights of a second model of the same shape: draws from p^(1-coefficient) q^coefficient, q the second's. */
  readonly mixture?: { readonly weights: Tree<HostArray> | Tree<Resident>; readonly coefficient: number };
}

/** A model that is ready to generate. */
export interface Generator {
  /** Completions of all prompts, in their order, those of one prompt together. */
  generate(
    prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
    options?: GenerateOptions,
  ): Promise<Completion[]>;
  /** Every token as it is drawn; ending the iteration early stops the work. */
  stream(
    prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
    options?: GenerateOptions,
  ): AsyncIterableIterator<TokenEvent>;
  /** Releases the sessions. */
  dispose(): Promise<void>;
}

/** Bytes of weights up to which two sessions may have them inside. */
const twiceAtMost = 64 * 2 ** 20;

const bytesOf = (weights: Tree<HostArray>): number =>
  Object.values(flatten(weights)).reduce((n, { data }) => n + data.byteLength, 0);

const isResident = (weights: Tree<HostArray> | Tree<Resident>): weights is Tree<Resident> =>
  Object.values(flatten<HostArray | Resident>(weights)).some((value) => "resident" in value);

/**
 * Prepares a model for generation.
 *
 * Host arrays become part of the compiled graph, which is fastest and right for weights that stay; residents are
 * read at every call, so that a policy under training generates with its present weights.
 *
 * @throws GenerateError when weights in the engine are asked for in 8 bits
 */
export function createGenerator(
  engine: Engine,
  config: ModelConfig,
  weights: Tree<HostArray> | Tree<Resident>,
  { int8 = false, sharedFrom = 64, mixture }: GeneratorOptions = {},
): Generator {
  requireLanguageModel(config);
  const resident = isResident(weights);
  if (resident && int8)
    throw new GenerateError(
      "createGenerator: int8 needs the weights as host arrays; fetch them with engine.get",
    );
  if (mixture && (int8 || isResident(mixture.weights) !== resident))
    throw new GenerateError(
      "createGenerator: a mixture needs the weights of both models in one place, and not in 8 bits",
    );
  const both = <L>(own: Tree<L>): Tree<L> =>
    mixture ? { own, other: mixture.weights as unknown as Tree<L> } : own;
  const frozen = resident
    ? undefined
    : both(
        unflatten(
          int8
            ? quantizeWeights(config, flatten(weights as Tree<HostArray>))
            : flatten(weights as Tree<HostArray>),
        ),
      );
  const steps = new Map<string, Executable>();

  /** For prompts, and for the tokens behind them. */
  async function stepsFor({ sampling }: Settings, shared: boolean): Promise<[Executable, Executable]> {
    const shape = { sampling, shared, int8, mixture: mixture?.coefficient };
    const key = JSON.stringify(shape);
    // A session with weights inside is as large as the model: one is kept, or two small ones.
    if (frozen && !steps.has(`${key} for prompts`)) await unload();
    const load = async (name: string, single: boolean): Promise<Executable> => {
      const known = steps.get(`${key} ${name}`);
      if (known) return known;
      const program = compileStep(
        config,
        { ...shape, single },
        { provider: engine.provider, ...(frozen && { frozen }) },
      );
      const step = await engine.load(program);
      steps.set(`${key} ${name}`, step);
      return step;
    };
    const step = await load("for prompts", false);
    return [step, frozen && bytesOf(frozen) > twiceAtMost ? step : await load("for tokens", true)];
  }

  async function unload(): Promise<void> {
    const loaded = [...steps.values()];
    steps.clear();
    for (const step of loaded) await engine.unload(step);
  }

  async function run(
    prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
    options: GenerateOptions,
    onToken?: (event: TokenEvent) => void,
  ): Promise<Completion[]> {
    const { tokenizer, signal = new AbortController().signal } = options;
    const settings = settingsOf(config, options);
    if (settings.stop.length > 0 && !tokenizer)
      throw new GenerateError(
        "generate: stop needs a tokenizer, which makes text of tokens; pass `tokenizer`",
      );
    const { first, all } = await peeked(prompts);
    const shared = settings.samples > 1 && lengthOf(first) >= sharedFrom;
    const [step, decode] = await stepsFor(settings, shared);
    const { numKeyValueHeads, headDim, maxPositions, vocabSize } = config;
    const numLayers = cachedLayers(config, mixture?.coefficient);
    const taken: (readonly number[])[] = [];
    const payload: RolloutPayload = {
      step,
      decode,
      shared,
      weights: resident ? both(weights as Tree<Value>) : {},
      config: { numLayers, numKeyValueHeads, headDim, maxPositions, vocabSize },
      prompts: tokenizer ? noted(all, taken) : all,
      settings,
      stream: onToken !== undefined,
    };
    const emit = (event: unknown) => onToken?.(event as TokenEvent);
    const completions = await inThread(engine, payload, tokenizer, emit, signal);
    if (!tokenizer) return completions;
    return completions.map((c) => ({
      ...c,
      text: c.text ?? textAfter(tokenizer, taken[c.prompt] as readonly number[], c.ids),
    }));
  }

  return {
    generate: (prompts, options = {}) => run(prompts, options),
    stream: (prompts, options = {}) =>
      streamed((emit, signal) => run(prompts, { ...options, signal }, emit), options.signal),
    dispose: unload,
  };
}

/** The first of the prompts, and all of them. */
async function peeked(
  prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
): Promise<{ first: Prompt | undefined; all: Iterable<Prompt> | AsyncIterable<Prompt> }> {
  if (Array.isArray(prompts)) return { first: prompts[0], all: prompts };
  const iterator =
    Symbol.asyncIterator in prompts ? prompts[Symbol.asyncIterator]() : prompts[Symbol.iterator]();
  const first = await iterator.next();
  async function* all(): AsyncGenerator<Prompt, void, undefined> {
    try {
      for (let next = first; !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { first: first.done ? undefined : first.value, all: all() };
}

const lengthOf = (prompt: Prompt | undefined): number =>
  prompt === undefined ? 0 : ("ids" in prompt ? prompt.ids : prompt).length;

/** The prompts, one by one as they are asked for; their ids are kept in `taken`. */
async function* noted(
  prompts: Iterable<Prompt> | AsyncIterable<Prompt>,
  taken: (readonly number[])[],
): AsyncGenerator<Prompt, void, undefined> {
  for await (const prompt of prompts) {
    taken.push("ids" in prompt ? prompt.ids : prompt);
    yield prompt;
  }
}

/** Runs the loop beside the sessions: here, or in the engine's thread, where only data can go. */
async function inThread(
  engine: Engine,
  payload: RolloutPayload,
  tokenizer: GenerateOptions["tokenizer"],
  emit: (event: unknown) => void,
  signal: AbortSignal,
): Promise<Completion[]> {
  if (engine instanceof LocalEngine)
    return rollout(engine, { ...payload, ...(tokenizer && { tokenizer }) }, emit, signal);
  const prompts: Prompt[] = [];
  for await (const prompt of payload.prompts) {
    signal.throwIfAborted();
    prompts.push(prompt);
  }
  const needed = payload.stream || payload.settings.stop.length > 0 || prompts.some((p) => "stop" in p);
  // As it is applied: the file and its configuration may ask for the model's type to be read right.
  const files = needed && tokenizer && { tokenizer: { tokenizer: tokenizer.definition, config: {} } };
  return engine.call(rolloutUrl, "rollout", { ...payload, prompts, ...files }, emit, signal);
}

/** Turns emitted events into an iterator; leaving it aborts the work. */
async function* streamed(
  start: (emit: (event: TokenEvent) => void, signal: AbortSignal) => Promise<unknown>,
  outer?: AbortSignal,
): AsyncGenerator<TokenEvent, void, undefined> {
  const left = new AbortController();
  const signal = outer ? AbortSignal.any([outer, left.signal]) : left.signal;
  const queue: TokenEvent[] = [];
  let wake = () => {};
  let ended = false;
  const work = start((event) => {
    queue.push(event);
    wake();
  }, signal).finally(() => {
    ended = true;
    wake();
  });
  work.catch(() => {}); // reported below
  try {
    while (true) {
      while (queue.length > 0) yield queue.shift() as TokenEvent;
      if (ended) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await work;
  } finally {
    left.abort(new DOMException("the iteration ended", "AbortError"));
    await work.catch(() => {});
  }
}
