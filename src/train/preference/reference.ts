/**
 * What the reference says of the responses of pairs: log ref(response | prompt), computed once and kept on disk under a
 * hash of the model and the pairs, or computed whenever a batch is made.
 */
import { createHash } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RowList } from "../../data/list.ts";
import { compile, type Engine, type HostArray, hostArray, unflatten } from "../../graph/index.ts";
import { readTensors } from "../../models/checkpoint/checkpoint.ts";
import { encodeSafetensors } from "../../models/checkpoint/safetensors.ts";
import { writePieces } from "../../models/folder-write.ts";
import type { Model } from "../../models/load.ts";
import { parameterSpecs } from "../../models/model.ts";
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
  { config, parameters }: Model,
  { runOf, batchSize, dir, ...batches }: ReferenceOptions<Row>,
): Reference<Row> {
  const columns = batches.columns ?? 2;
  const load = async () => ({
    program: await engine.load(
      compile(
        (params, batch) => ({ logps: responseLogProbs(config, params, batch) }),
        [parameterSpecs(config), runSpec(batches)] as const,
        { provider: engine.provider },
      ),
    ),
    weights: await engine.put(unflatten(parameters)),
  });
  let loaded: ReturnType<typeof load> | undefined; // when it is first asked, and not when a file has the answers
  const known = new Map<RowList<Row>, Float32Array>();
  const ask = async (rows: RowList<Row>, indices: readonly number[]): Promise<ArrayLike<number>> => {
    loaded ??= load();
    const { program, weights } = await loaded;
    const batch = collateRuns(
      indices.map((i) => runOf(rows.at(i) as Row)),
      batches,
    );
    return ((await engine.run(program, [weights, batch])).logps as HostArray<"float32">).data;
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
      const path = dir && join(dir, `.reference-${hashOf(parameters, rows, runOf, batches)}.safetensors`);
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
      const { program, weights } = await loaded;
      loaded = undefined;
      await engine.free(weights);
      await engine.unload(program);
    },
  };
}

/** SHA-256 of weights, rows and what their tokens count, the first 16 digits. */
function hashOf<Row>(
  parameters: Model["parameters"],
  rows: RowList<Row>,
  runOf: (row: Row) => Run,
  { ldAlpha }: BatchOptions,
): string {
  const hash = createHash("sha256").update(ldAlpha === undefined ? "" : `ld_alpha ${ldAlpha}`);
  for (const [name, { data }] of Object.entries(parameters))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  for (const row of rows) {
    const { prompt, responses } = runOf(row);
    for (const ids of [prompt, ...responses])
      hash.update(`${ids.length}:`).update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  }
  return hash.digest("hex").slice(0, 16);
}
