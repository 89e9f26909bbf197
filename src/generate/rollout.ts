/**
 * The loop of generation. It lives in the thread of the sessions and has only numbers to move: which rows are in
 * the batch, what each has behind it, when one ends and which prompt takes its place.
 *
 * A slot holds a prompt with its samples, which read one cache of the prompt and have caches of their own for what they
 * generate; or a single sample, which has a copy of its prompt in its own cache, and whose place is free when it ends.
 */
import {
  type Executable,
  type HostArray,
  hostArray,
  type LocalEngine,
  type Storage,
  type Tree,
  type Value,
} from "../graph/index.ts";
import { uniform } from "../graph/random.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { createTokenizer, type Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { TokenizerFiles } from "../models/tokenizer/tokenizer-files.ts";
import { KeyValueCache } from "./cache.ts";
import { GenerateError } from "./errors.ts";
import {
  type Completion,
  type Prompt,
  type PromptRow,
  promptRow,
  type Settings,
  type TokenEvent,
} from "./options.ts";
import { type FinishReason, type TextWatch, textWatch } from "./stops.ts";

export interface RolloutPayload {
  readonly step: Executable;
  /** The step for one new token a row, which may be the same. */
  readonly decode: Executable;
  /** The samples of a prompt read one cache of it. */
  readonly shared: boolean;
  /** Empty when the step has its weights inside. */
  readonly weights: Tree<Value>;
  readonly config: Pick<
    ModelConfig,
    "numLayers" | "numKeyValueHeads" | "headDim" | "maxPositions" | "vocabSize"
  >;
  readonly prompts: Iterable<Prompt> | AsyncIterable<Prompt>;
  readonly settings: Settings;
  readonly tokenizer?: Tokenizer | TokenizerFiles;
  /** Emit every token. */
  readonly stream: boolean;
}

/** Where this module can be found by an engine's thread. */
export const rolloutUrl = import.meta.url;

interface Row {
  readonly sample: number;
  readonly ids: number[];
  readonly logprobs: number[];
  readonly sampledLogprobs: number[];
  readonly watch: TextWatch | undefined;
  /** Distinct tokens so far, the prompt's included, for the repetition penalty. */
  readonly seen: Set<number> | undefined;
  finishReason: FinishReason | undefined;
}

interface Slot {
  readonly prompt: number;
  readonly row: PromptRow;
  readonly rows: readonly Row[];
  readonly budget: number;
}

/** Tokens of prompts that go through the model at once. */
const prefillTokens = 4096;

/** Generates completions for all prompts, in their order; emits `TokenEvent`s when asked to stream. */
export async function rollout(
  engine: LocalEngine,
  payload: RolloutPayload,
  emit: (event: TokenEvent) => void,
  signal: AbortSignal,
): Promise<Completion[]> {
  const { settings, config } = payload;
  const { samples } = settings;
  const tokenizer =
    payload.tokenizer &&
    ("decode" in payload.tokenizer ? payload.tokenizer : createTokenizer(payload.tokenizer));
  const shape = { arrays: 2 * config.numLayers, groups: config.numKeyValueHeads, width: config.headDim };
  const discard = (arrays: Iterable<Storage>) => engine.discard(arrays);
  const cache = new KeyValueCache(shape, discard);
  const shared = payload.shared ? new KeyValueCache(shape, discard) : undefined;
  /** Samples of a slot, once its prompt is read. */
  const width = shared ? samples : 1;
  const capacity = Math.max(samples, settings.batchSize);
  const slots: Slot[] = [];
  const done: Completion[] = [];
  const waiting = inTurn(payload.prompts);
  let next = await waiting();
  let count = 0;

  function admit(prompt: Prompt): Slot {
    const index = count++;
    const row = promptRow(config, prompt, index);
    const stops = row.stop ?? settings.stop;
    if (stops.length > 0 && !tokenizer)
      throw new GenerateError(
        `generate: the stop strings of prompt ${index + 1} need a tokenizer; pass \`tokenizer\``,
      );
    const rows = Array.from(
      { length: samples },
      (_, sample): Row => ({
        sample,
        ids: [],
        logprobs: [],
        sampledLogprobs: [],
        watch:
          tokenizer && (stops.length > 0 || payload.stream)
            ? textWatch(tokenizer, stops, row.ids)
            : undefined,
        seen: settings.sampling.repetitionPenalty ? new Set(row.ids) : undefined,
        finishReason: undefined,
      }),
    );
    const budget = Math.min(row.maxNewTokens ?? settings.maxNewTokens, config.maxPositions - row.ids.length);
    return { prompt: index, row, rows, budget };
  }

  /** Fills free slots with waiting prompts, longest together, and draws their first tokens. */
  async function fill(): Promise<void> {
    const fresh: Slot[] = [];
    for (; next && slots.length * width + (fresh.length + 1) * samples <= capacity; next = await waiting())
      fresh.push(admit(next.prompt));
    fresh.sort((a, b) => b.row.ids.length - a.row.ids.length);
    for (let at = 0; at < fresh.length; ) {
      const longest = (fresh[at] as Slot).row.ids.length;
      const size = Math.max(1, Math.floor(prefillTokens / longest));
      const read = fresh.slice(at, at + size);
      await prefill(read);
      if (shared) slots.push(...read);
      else slots.push(...read.flatMap((slot) => slot.rows.map((row) => ({ ...slot, rows: [row] }))));
      at += size;
    }
  }

  /** Reads prompts into caches behind those in use, and draws the first tokens. */
  async function prefill(fresh: readonly Slot[]): Promise<void> {
    const length = (fresh[0] as Slot).row.ids.length;
    const [ids, positions] = [
      new BigInt64Array(fresh.length * length),
      new BigInt64Array(fresh.length * length),
    ];
    const last = new BigInt64Array(fresh.length * samples);
    for (const [i, { row }] of fresh.entries()) {
      for (let t = 0; t < length; t++) {
        ids[i * length + t] = BigInt(row.ids[t] ?? 0);
        positions[i * length + t] = BigInt(t);
      }
      last.fill(BigInt(i * length + row.ids.length - 1), i * samples, (i + 1) * samples);
    }
    const b = fresh.length;
    const nothing = new KeyValueCache(shape);
    nothing.reserve(b, 1);
    const results = await call(payload.step, fresh, {
      ids: hostArray("int64", [b, length], ids),
      positions: hostArray("int64", [b, length], positions),
      lengths: hostArray("int64", shared ? [b, 1] : [b], new BigInt64Array(b)),
      last: hostArray("int64", [b * samples], last),
      ...nothing.feeds("cache", b),
      ...(shared && nothing.feeds("shared", b)),
    });
    const rows = slots.length * width + b * samples;
    if (shared) {
      shared.reserve(slots.length + b, length);
      cache.reserve(rows, 1);
    } else cache.reserve(rows, length, length + Math.max(...fresh.map((slot) => slot.budget)));
    const copies = shared ? 1 : samples;
    for (const [i, { row }] of fresh.entries())
      for (let j = 0; j < copies; j++)
        (shared ?? cache).writePrompt(
          results.rows as HostArray,
          i,
          slots.length + i * copies + j,
          row.ids.length,
        );
    take(fresh, results);
    engine.discard([(results.rows as HostArray).data]);
  }

  /** One token for every row of the batch. */
  async function decode(): Promise<void> {
    const rows = slots.length * width;
    const [ids, positions] = [new BigInt64Array(rows), new BigInt64Array(rows)];
    const [lengths, last] = [new BigInt64Array(rows), new BigInt64Array(rows)];
    let [longest, expected] = [0, 0];
    for (const [i, slot] of slots.entries())
      for (const [j, row] of slot.rows.entries()) {
        const at = i * width + j;
        const before = slot.row.ids.length + row.ids.length - 1;
        const length = shared ? row.ids.length - 1 : before;
        ids[at] = BigInt(row.ids.at(-1) as number);
        positions[at] = BigInt(before);
        lengths[at] = BigInt(length);
        last[at] = BigInt(at);
        longest = Math.max(longest, length + 1);
        expected = Math.max(expected, length + 1 + slot.budget - row.ids.length);
      }
    cache.reserve(rows, longest, expected);
    const results = await call(payload.decode, slots, {
      ids: hostArray("int64", [rows, 1], ids),
      positions: hostArray("int64", [rows, 1], positions),
      lengths: hostArray("int64", shared ? [slots.length, samples] : [rows], lengths),
      last: hostArray("int64", [rows], last),
      ...cache.feeds("cache", rows),
      ...shared?.feeds("shared", slots.length),
    });
    cache.writeStep(results.rows as HostArray, lengths);
    take(slots, results);
    engine.discard([(results.rows as HostArray).data]);
  }

  async function call(
    step: Executable,
    of: readonly Slot[],
    inputs: Record<string, HostArray>,
  ): Promise<Tree<Value>> {
    signal.throwIfAborted();
    return engine.run(step, [payload.weights, { ...inputs, ...samplingInputs(of, settings) }]);
  }

  /** Adds the drawn tokens to their rows. */
  function take(of: readonly Slot[], results: Tree<Value>): void {
    const tokens = (results.tokens as HostArray<"int64">).data;
    const logprobs = (results.logprobs as HostArray<"float32">).data;
    const sampled = (results.sampled_logprobs as HostArray<"float32">).data;
    for (const [i, slot] of of.entries())
      for (const [j, row] of slot.rows.entries()) {
        if (row.finishReason) continue;
        const at = i * slot.rows.length + j;
        const token = Number(tokens[at]);
        row.ids.push(token);
        row.logprobs.push(logprobs[at] as number);
        row.sampledLogprobs.push(sampled[at] as number);
        row.seen?.add(token);
        let text = row.watch?.push(token);
        row.finishReason = finish(slot, row, token);
        if (row.finishReason && row.watch) text += row.watch.flush();
        if (payload.stream)
          emit({
            prompt: slot.prompt,
            sample: row.sample,
            token,
            logprob: logprobs[at] as number,
            ...(text !== undefined && { text }),
            done: row.finishReason !== undefined,
            ...(row.finishReason && { finishReason: row.finishReason }),
          });
      }
  }

  function finish(slot: Slot, row: Row, token: number): FinishReason | undefined {
    if ((slot.row.eosTokenIds ?? settings.eosTokenIds).includes(token)) return "eos";
    if (row.watch?.stopped) return "stop";
    return row.ids.length >= slot.budget ? "length" : undefined;
  }

  /** Takes finished slots out; the last slot moves into each gap. */
  function release(): void {
    for (let i = slots.length - 1; i >= 0; i--) {
      const slot = slots[i] as Slot;
      if (slot.rows.some((row) => row.finishReason === undefined)) continue;
      for (const { watch, seen: _, ...row } of slot.rows)
        done.push({ prompt: slot.prompt, ...row, ...(watch && { text: watch.text }) } as Completion);
      const final = slots.pop() as Slot;
      if (i === slots.length) continue;
      slots[i] = final;
      cache.move(slots.length * width, i * width, width);
      shared?.move(slots.length, i, 1);
    }
  }

  while (next || slots.length > 0) {
    await fill();
    release();
    if (slots.length > 0) await decode();
    release();
  }
  cache.dispose();
  shared?.dispose();
  return done.sort((a, b) => a.prompt - b.prompt || a.sample - b.sample);
}

/** The inputs of the draws: uniforms that depend on seed, prompt, sample and position alone, and settings. */
function samplingInputs(slots: readonly Slot[], settings: Settings): Record<string, HostArray> {
  const { sampling, seed } = settings;
  const rows = slots.flatMap((slot) => slot.rows.map((row) => ({ slot, row })));
  const scalar = (value: number) => hostArray("float32", [], [value]);
  const inputs: Record<string, HostArray> = {};
  if (!sampling.greedy) {
    const u = rows.map(({ slot, row }) => uniform(seed, slot.prompt, row.sample, row.ids.length));
    inputs.uniforms = hostArray(
      "float32",
      [rows.length],
      u.map((x) => Math.min(x, 1 - 2 ** -24)),
    );
  }
  if (sampling.temperature) inputs.inverse_temperature = scalar(1 / settings.temperature);
  if (sampling.topP) inputs.top_p = scalar(settings.topP);
  if (sampling.minP) inputs.log_min_p = scalar(Math.log(settings.minP));
  if (sampling.repetitionPenalty) {
    const width = Math.ceil(Math.max(...rows.map(({ row }) => (row.seen as Set<number>).size)) / 32) * 32;
    const seen = new BigInt64Array(rows.length * width);
    const counts = rows.map(({ row }, i) => {
      let at = i * width;
      for (const id of row.seen as Set<number>) seen[at++] = BigInt(id);
      return at - i * width;
    });
    inputs.penalty = scalar(settings.repetitionPenalty);
    inputs.seen = hostArray("int64", [rows.length, width], seen);
    inputs.seen_count = hostArray("int64", [rows.length], counts);
  }
  return inputs;
}

/** Reads an iterable one by one; undefined at its end. */
function inTurn<T>(items: Iterable<T> | AsyncIterable<T>): () => Promise<{ prompt: T } | undefined> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  return async () => {
    const { done, value } = await iterator.next();
    return done ? undefined : { prompt: value };
  };
}
