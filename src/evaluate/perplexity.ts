/**
 * Perplexity of a language model: exp of the mean negative log-likelihood per token.
 *
 *     ppl = exp( -1/n sum log p(token_i | the tokens before it) )
 *
 * Texts beyond the context length C are read in windows of C tokens that begin C/2 apart; every token counts once, in
 * the first window that has it, with at least C/2 tokens before it (but for those of the first window). The first
 * token of a text, which nothing predicts, does not count.
 */

import { AttuneError } from "../graph/errors.ts";
import {
  compile,
  type Engine,
  type HostArray,
  hostArray,
  reshape,
  type Tensor,
  tokenLogProbs,
  unflatten,
} from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import { hiddenStates, logitsOf, parameterSpecs, type TokenBatch, tokenSpec } from "../models/model.ts";

export class EvaluateError extends AttuneError {
  override name = "EvaluateError";
}

export interface PerplexityRow {
  /** As the tokenizer made them, with its own special tokens. */
  readonly ids: readonly number[];
  /** nll[i], in nats, of ids[i + 1] given what stands before it. */
  readonly nll: Float32Array;
}

export interface Perplexity {
  readonly perplexity: number;
  /** How many nll values there are. */
  readonly tokens: number;
  readonly rows: readonly PerplexityRow[];
}

export interface PerplexityOptions {
  readonly engine: Engine;
  /** Tokens of a window; the model's context by default. */
  readonly contextLength?: number;
  readonly signal?: AbortSignal;
  /** Told the tokens that are done, and all of them. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Tokens [begin, end) of a row, of which those from `from` on count. */
interface Window {
  readonly row: number;
  readonly begin: number;
  readonly end: number;
  readonly from: number;
}

/** Windows over a row of `length` tokens; together they count every token but the first, once. */
export function windowsOf(length: number, context: number, row = 0): Window[] {
  const stride = Math.max(1, Math.floor(context / 2));
  const windows: Window[] = [];
  for (let begin = 0, from = 1; from < length; begin += stride) {
    const end = Math.min(length, begin + context);
    windows.push({ row, begin, end, from });
    from = end;
  }
  return windows;
}

/** At most so many tokens, and so many logits, in one run. */
const tokensPerRun = 4096;
const logitsPerRun = 2 ** 27;

/**
 * The perplexity of texts, each read on its own.
 *
 * @throws EvaluateError when the model has no tokenizer, or no text has two tokens
 */
export async function perplexity(
  model: Model,
  texts: readonly string[],
  options: PerplexityOptions,
): Promise<Perplexity> {
  const { tokenizer, name } = model;
  if (!tokenizer) throw new EvaluateError(`${name}: perplexity needs a tokenizer, the model has none`);
  const rows = await tokenNll(
    model,
    texts.map((text) => tokenizer.encode(text)),
    options,
  );
  const total = rows.reduce((sum, { nll }) => nll.reduce((a, b) => a + b, sum), 0);
  const tokens = countOf(rows);
  return { perplexity: Math.exp(total / tokens), tokens, rows };
}

const countOf = (rows: readonly PerplexityRow[]) => rows.reduce((n, { nll }) => n + nll.length, 0);

/**
 * The negative log-likelihood of every token but the first, for each row of ids.
 *
 * @throws EvaluateError when no row has two tokens
 */
export async function tokenNll(
  model: Pick<Model, "config" | "parameters">,
  idRows: readonly (readonly number[])[],
  options: PerplexityOptions,
): Promise<PerplexityRow[]> {
  const { config, parameters: weights } = model;
  const { engine, signal, onProgress, contextLength: context = config.maxPositions } = options;
  if (context < 2 || context > config.maxPositions)
    throw new EvaluateError(
      `perplexity: a window of 2 to ${config.maxPositions} tokens is required, got ${context}`,
      { wrongUsage: true },
    );
  const rows = idRows.map(
    (ids): PerplexityRow => ({ ids, nll: new Float32Array(Math.max(0, ids.length - 1)) }),
  );
  const tokens = countOf(rows);
  if (tokens === 0)
    throw new EvaluateError("perplexity: a text of at least two tokens is required, there is none");
  const program = await engine.load(
    compile(
      (params, { input_ids, targets }) => {
        const batch: TokenBatch = { input_ids: input_ids as Tensor };
        const logits = logitsOf(config, params, hiddenStates(config, params, batch)); // [B T, V]
        return { logProbs: tokenLogProbs(logits, reshape(targets as Tensor, [-1])) };
      },
      [parameterSpecs(config), { input_ids: tokenSpec(), targets: tokenSpec() }] as const,
      { provider: engine.provider },
    ),
  );
  const parameters = await engine.put(unflatten(weights));
  const limit = Math.max(1, Math.min(tokensPerRun, Math.floor(logitsPerRun / config.vocabSize)));
  let done = 0;
  onProgress?.(0, tokens);
  try {
    for (const group of groups(
      rows.flatMap(({ ids }, row) => windowsOf(ids.length, context, row)),
      limit,
    )) {
      signal?.throwIfAborted();
      const batch = batchOf(rows, group);
      const { logProbs } = (await engine.run(program, [parameters, batch])) as {
        logProbs: HostArray<"float32">;
      };
      const width = batch.input_ids.shape[1] as number;
      for (const [i, { row, begin, end, from }] of group.entries()) {
        for (let at = from; at < end; at++)
          (rows[row] as PerplexityRow).nll[at - 1] = -(logProbs.data[i * width + at - 1 - begin] as number);
        done += end - from;
      }
      onProgress?.(done, tokens);
    }
  } finally {
    await engine.free(parameters);
    await engine.unload(program);
  }
  return rows;
}

/** Windows of like length together, up to `limit` tokens with padding. */
function groups(windows: readonly Window[], limit: number): Window[][] {
  const sorted = [...windows].sort(
    (a, b) => b.end - b.begin - (a.end - a.begin) || a.row - b.row || a.begin - b.begin,
  );
  const out: Window[][] = [];
  for (const window of sorted) {
    const last = out.at(-1);
    const first = last?.[0];
    if (last && first && (last.length + 1) * (first.end - first.begin) <= limit) last.push(window);
    else out.push([window]);
  }
  return out;
}

function batchOf(rows: readonly PerplexityRow[], group: readonly Window[]) {
  const [first] = group as [Window];
  const width = first.end - first.begin;
  const inputs = new BigInt64Array(group.length * width);
  const targets = new BigInt64Array(group.length * width);
  for (const [i, { row, begin, end }] of group.entries()) {
    const { ids } = rows[row] as PerplexityRow;
    for (let at = begin; at < end; at++) {
      inputs[i * width + at - begin] = BigInt(ids[at] as number);
      if (at + 1 < end) targets[i * width + at - begin] = BigInt(ids[at + 1] as number);
    }
  }
  const shape = [group.length, width];
  return { input_ids: hostArray("int64", shape, inputs), targets: hostArray("int64", shape, targets) };
}
