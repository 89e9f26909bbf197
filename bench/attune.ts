/** Attune as a contestant: the commands that its process answers, hosted by `serve.ts`. */
import { availableParallelism } from "node:os";
import { matmulPeak } from "./peak.ts";
import type { Commands } from "./peer.ts";

export const ready = `attune, Node ${process.versions.node}`;

const threads = Number(process.env.ATTUNE_BENCH_THREADS) || availableParallelism();

export const commands: Commands = {
  matmul: async () => ({ gflops: await matmulPeak(threads) }),
};
