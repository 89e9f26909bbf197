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
  collatePreferences,
  type PairIds,
  pairSize,
  preferenceSpecOf,
  responseLogProbs,
} from "./preference-batch.ts";

export interface ReferenceOptions extends BatchOptions {
  /** Pairs of one run. */
  readonly batchSize: number;
  /** A folder for the file that keeps them; without it they are kept in memory. */
  readonly dir?: string | undefined;
}

export interface Reference {
  /**
   * [n, 2] in nats, chosen and rejected, of the pairs with these numbers in a list. They are computed now unless `all`
   * was: the same pairs together give the same bits.
   */
  of(pairs: RowList<PairIds>, indices: readonly number[]): Promise<HostArray<"float32">>;
  /**
   * Computes all of a list, or reads them from the file that an earlier run wrote; ends early when the signal aborts.
   */
  all(pairs: RowList<PairIds>, options?: AllOptions): Promise<void>;
  /** Frees the weights; what is known stays. */
  close(): Promise<void>;
}

export interface AllOptions {
  readonly signal?: AbortSignal | undefined;
  /** After each batch: pairs that are known. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A reference; once it was asked, its weights are in the engine until it is closed. */
export function openReference(
  engine: Engine,
  { config, parameters }: Model,
  { batchSize, dir, ...batches }: ReferenceOptions,
): Reference {
  const load = async () => ({
    program: await engine.load(
      compile(
        (params, batch) => ({ logps: responseLogProbs(config, params, batch) }),
        [parameterSpecs(config), preferenceSpecOf(batches)] as const,
        { provider: engine.provider },
      ),
    ),
    weights: await engine.put(unflatten(parameters)),
  });
  let loaded: ReturnType<typeof load> | undefined; // when it is first asked, and not when a file has the answers
  const known = new Map<RowList<PairIds>, Float32Array>();
  const ask = async (pairs: RowList<PairIds>, indices: readonly number[]): Promise<ArrayLike<number>> => {
    loaded ??= load();
    const { program, weights } = await loaded;
    const batch = collatePreferences(
      indices.map((i) => pairs.at(i) as PairIds),
      batches,
    );
    return ((await engine.run(program, [weights, batch])).logps as HostArray<"float32">).data;
  };
  return {
    async of(pairs, indices) {
      const values = known.get(pairs);
      const logps = values
        ? indices.flatMap((i) => [...values.subarray(2 * i, 2 * i + 2)])
        : Array.from(await ask(pairs, indices));
      return hostArray("float32", [indices.length, 2], logps);
    },
    async all(pairs, { signal, onProgress } = {}) {
      const path = dir && join(dir, `.reference-${hashOf(parameters, pairs, batches)}.safetensors`);
      const kept = path === undefined ? undefined : await readTensors(path).catch(() => undefined);
      if (kept?.logps?.data.length === 2 * pairs.length) {
        known.set(pairs, kept.logps.data as Float32Array);
        return;
      }
      const sizes = Array.from(pairs, pairSize);
      const byLength = sizes.map((_, i) => i).sort((a, b) => (sizes[b] as number) - (sizes[a] as number));
      const values = new Float32Array(2 * pairs.length);
      let done = 0;
      for (const part of chunks(byLength, batchSize)) {
        if (signal?.aborted) return;
        const found = await ask(pairs, part);
        for (const [k, i] of part.entries())
          values.set([found[2 * k] as number, found[2 * k + 1] as number], 2 * i);
        done += part.length;
        onProgress?.(done, pairs.length);
      }
      known.set(pairs, values);
      if (path === undefined) return;
      await rm(`${path}.new`, { force: true });
      const logps = hostArray("float32", [pairs.length, 2], values);
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

/** SHA-256 of weights, pairs and what their tokens count, the first 16 digits. */
function hashOf(parameters: Model["parameters"], pairs: RowList<PairIds>, { ldAlpha }: BatchOptions): string {
  const hash = createHash("sha256").update(ldAlpha === undefined ? "" : `ld_alpha ${ldAlpha}`);
  for (const [name, { data }] of Object.entries(parameters))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  for (const { prompt, chosen, rejected } of pairs)
    for (const ids of [prompt, chosen, rejected])
      hash.update(`${ids.length}:`).update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return hash.digest("hex").slice(0, 16);
}
