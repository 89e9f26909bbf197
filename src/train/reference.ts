/**
 * What the reference says of the responses of pairs: log ref(response | prompt), computed once, or when a pair is first
 * needed, and kept on disk under a hash of the model and the pairs.
 */
import { createHash } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RowList } from "../data/list.ts";
import { compile, type Engine, type HostArray, hostArray, unflatten } from "../graph/index.ts";
import { readTensors } from "../models/checkpoint/checkpoint.ts";
import { encodeSafetensors } from "../models/checkpoint/safetensors.ts";
import { writePieces } from "../models/folder-write.ts";
import type { Model } from "../models/load.ts";
import { parameterSpecs } from "../models/model.ts";
import { chunks } from "./plan.ts";
import {
  collatePreferences,
  type PairIds,
  pairSize,
  preferenceSpec,
  responseLogProbs,
} from "./preference-batch.ts";

export interface ReferenceOptions {
  /** Pairs of one run. */
  readonly batchSize: number;
  /** A folder for the file that keeps them; without it they are kept in memory. */
  readonly dir?: string | undefined;
}

export interface Reference {
  /** [n, 2] in nats, chosen and rejected, of the pairs with these numbers in a list. */
  of(pairs: RowList<PairIds>, indices: readonly number[]): Promise<HostArray<"float32">>;
  /** Computes all of a list, or reads them from the file that an earlier run wrote. */
  all(pairs: RowList<PairIds>): Promise<void>;
  /** Frees the weights; what is known stays. */
  close(): Promise<void>;
}

/** A reference; once it was asked, its weights are in the engine until it is closed. */
export function openReference(
  engine: Engine,
  { config, parameters }: Model,
  { batchSize, dir }: ReferenceOptions,
): Reference {
  const load = async () => ({
    program: await engine.load(
      compile(
        (params, batch) => ({ logps: responseLogProbs(config, params, batch) }),
        [parameterSpecs(config), preferenceSpec] as const,
        { provider: engine.provider },
      ),
    ),
    weights: await engine.put(unflatten(parameters)),
  });
  let loaded: ReturnType<typeof load> | undefined; // when it is first asked, and not when a file has the answers
  const known = new Map<RowList<PairIds>, Float32Array>();
  const valuesOf = (pairs: RowList<PairIds>): Float32Array => {
    const values = known.get(pairs) ?? new Float32Array(2 * pairs.length).fill(Number.NaN);
    known.set(pairs, values);
    return values;
  };
  const compute = async (pairs: RowList<PairIds>, indices: readonly number[]) => {
    const values = valuesOf(pairs);
    loaded ??= load();
    const { program, weights } = await loaded;
    for (const part of chunks(indices, batchSize)) {
      const batch = collatePreferences(part.map((i) => pairs.at(i) as PairIds));
      const { data } = (await engine.run(program, [weights, batch])).logps as HostArray;
      for (const [k, i] of part.entries())
        for (const side of [0, 1]) values[2 * i + side] = Number(data[2 * k + side]);
    }
  };
  return {
    async of(pairs, indices) {
      const values = valuesOf(pairs);
      const missing = indices.filter((i) => Number.isNaN(values[2 * i]));
      if (missing.length > 0) await compute(pairs, missing);
      return hostArray(
        "float32",
        [indices.length, 2],
        indices.flatMap((i) => [...values.slice(2 * i, 2 * i + 2)]),
      );
    },
    async all(pairs) {
      const path = dir && join(dir, `.reference-${hashOf(parameters, pairs)}.safetensors`);
      const kept = path === undefined ? undefined : await readTensors(path).catch(() => undefined);
      if (kept?.logps?.data.length === 2 * pairs.length) {
        known.set(pairs, kept.logps.data as Float32Array);
        return;
      }
      const sizes = Array.from(pairs, pairSize);
      const byLength = sizes.map((_, i) => i).sort((a, b) => (sizes[b] as number) - (sizes[a] as number));
      await compute(pairs, byLength);
      if (path === undefined) return;
      await rm(`${path}.new`, { force: true });
      const logps = hostArray("float32", [pairs.length, 2], valuesOf(pairs));
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

/** SHA-256 of weights and pairs, the first 16 digits. */
function hashOf(parameters: Model["parameters"], pairs: RowList<PairIds>): string {
  const hash = createHash("sha256");
  for (const [name, { data }] of Object.entries(parameters))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  for (const { prompt, chosen, rejected } of pairs)
    for (const ids of [prompt, chosen, rejected])
      hash.update(`${ids.length}:`).update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
  return hash.digest("hex").slice(0, 16);
}
