/**
 * What the reference says of the responses of pairs: log ref(response | prompt), computed once and kept on disk under a
 * hash of the model and the pairs, or computed whenever a batch is made.
 */
import { createHash } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RowList } from "../../data/list.ts";
import { frozenWeights } from "../../generate/weights.ts";
import { compile, type Engine, type HostArray, hostArray, mapTree, type Tree } from "../../graph/index.ts";
import { readTensors } from "../../models/checkpoint/checkpoint.ts";
import { encodeSafetensors } from "../../models/checkpoint/safetensors.ts";
import { writePieces } from "../../models/folder-write.ts";
import type { Model } from "../../models/load.ts";
import { chunks } from "../loop/plan.ts";
import {
  type BatchOptions,
  collateRuns,
  type Run,
  responseLogProbs,
  runSize,
  runSpec,
} from "./preference-batch.ts";

export interface ReferenceOptions<Row> extends BatchOptions {
  readonly runOf: (row: Row) => Run;
  /** Rows that are asked about together. */
  readonly batchSize: number;
  /** A folder for the file that keeps them; without it they are kept in memory. */
  readonly dir?: string | undefined;
  /** The projections are held in 8 bits. */
  readonly int8?: boolean | undefined;
  /** Told how far 8 bits move the log-probabilities of the first rows. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

export interface Reference<Row> {
  /**
   * [n, K] in nats, a column for each response, of the rows with these numbers in a list. They are computed now unless
   * `all` was: the same rows together give the same bits.
   */
  of(rows: RowList<Row>, indices: readonly number[]): Promise<HostArray<"float32">>;
  /**
   * Computes all of a list, or reads them from the file that an earlier run wrote; ends early when the signal aborts.
   */
  all(rows: RowList<Row>, options?: AllOptions): Promise<void>;
  /** Frees the weights; what is known stays. */
  close(): Promise<void>;
}

export interface AllOptions {
  readonly signal?: AbortSignal | undefined;
  /** After each batch: rows that are known. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A reference; once it was asked, its weights are in the engine until it is closed. */
export function openReference<Row>(
  engine: Engine,
  model: Model,
  { runOf, batchSize, dir, int8 = false, onWarning, ...batches }: ReferenceOptions<Row>,
): Reference<Row> {
  const { config, parameters } = model;
  const columns = batches.columns ?? 2;
  const load = async (inInt8 = int8) => {
    const { arrays, read } = frozenWeights(model, inInt8);
    const specs = mapTree(arrays, ({ dtype, shape }) => ({ dtype, shape }));
    return {
      program: await engine.load(
        compile(
          (params, batch) => ({ logps: responseLogProbs(config, read(params), batch) }),
          [specs, runSpec(batches)] as const,
          { provider: engine.provider },
        ),
      ),
      weights: await engine.put(arrays),
    };
  };
  const logpsOf = async ({ program, weights }: Awaited<ReturnType<typeof load>>, batch: Tree<HostArray>) =>
    ((await engine.run(program, [weights, batch])).logps as HostArray<"float32">).data;
  const free = async ({ program, weights }: Awaited<ReturnType<typeof load>>) => {
    await engine.free(weights);
    await engine.unload(program);
  };
  /** How far the weights in 8 bits are from what they stand for, on some rows. */
  const tellOffset = async (batch: Tree<HostArray>, found: ArrayLike<number>) => {
    const whole = await load(false);
    const exact = await logpsOf(whole, batch);
    await free(whole);
    const offsets = Array.from(exact, (x, i) => Math.abs(x - (found[i] as number)));
    const mean = offsets.reduce((a, b) => a + b, 0) / offsets.length;
    onWarning?.(
      `a reference in 8 bits moves log-probabilities of responses by ${mean.toFixed(3)} nats on average, by up to ${Math.max(...offsets).toFixed(3)}`,
    );
  };
  let isTold = !int8;
  let loaded: ReturnType<typeof load> | undefined; // when it is first asked, and not when a file has the answers
  const known = new Map<RowList<Row>, Float32Array>();
  const ask = async (rows: RowList<Row>, indices: readonly number[]): Promise<ArrayLike<number>> => {
    loaded ??= load();
    const batch = collateRuns(
      indices.map((i) => runOf(rows.at(i) as Row)),
      batches,
    );
    const found = await logpsOf(await loaded, batch);
    if (!isTold) await tellOffset(batch, found);
    isTold = true;
    return found;
  };
  return {
    async of(rows, indices) {
      const values = known.get(rows);
      const logps = values
        ? indices.flatMap((i) => [...values.subarray(columns * i, columns * (i + 1))])
        : Array.from(await ask(rows, indices));
      return hostArray("float32", [indices.length, columns], logps);
    },
    async all(rows, { signal, onProgress } = {}) {
      const path =
        dir && join(dir, `.reference-${hashOf(parameters, rows, runOf, { ...batches, int8 })}.safetensors`);
      const kept = path === undefined ? undefined : await readTensors(path).catch(() => undefined);
      if (kept?.logps?.data.length === columns * rows.length) {
        known.set(rows, kept.logps.data as Float32Array);
        return;
      }
      const sizes = Array.from(rows, (row) => runSize(runOf(row)));
      const byLength = sizes.map((_, i) => i).sort((a, b) => (sizes[b] as number) - (sizes[a] as number));
      const values = new Float32Array(columns * rows.length);
      let done = 0;
      for (const part of chunks(byLength, batchSize)) {
        if (signal?.aborted) return;
        const found = await ask(rows, part);
        for (const [place, i] of part.entries())
          for (let k = 0; k < columns; k++) values[columns * i + k] = found[columns * place + k] as number;
        done += part.length;
        onProgress?.(done, rows.length);
      }
      known.set(rows, values);
      if (path === undefined) return;
      await rm(`${path}.new`, { force: true });
      const logps = hostArray("float32", [rows.length, columns], values);
      await writePieces(`${path}.new`, encodeSafetensors({ logps }));
      await rename(`${path}.new`, path);
    },
    async close() {
      if (!loaded) return;
      const closing = await loaded;
      loaded = undefined;
      await free(closing);
    },
  };
}

/** SHA-256 of weights, rows and what their tokens count, the first 16 digits. */
function hashOf<Row>(
  parameters: Model["parameters"],
  rows: RowList<Row>,
  runOf: (row: Row) => Run,
  { ldAlpha, int8 }: BatchOptions & { readonly int8: boolean },
): string {
  const hash = createHash("sha256")
    .update(ldAlpha === undefined ? "" : `ld_alpha ${ldAlpha}`)
    .update(int8 ? "int8" : "");
  for (const [name, { data }] of Object.entries(parameters))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  for (const row of rows) {
    const { prompt, responses } = runOf(row);
    for (const ids of [prompt, ...responses])
      hash.update(`${ids.length}:`).update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}
