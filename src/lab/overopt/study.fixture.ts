/** Studies whose outcome is planted: a proxy that is gamed, and one that is the gold reward itself. */
import { driftOf, mean } from "../../evaluate/index.ts";
import { uniform } from "../../graph/random.ts";
import type { StudyData } from "../study/files.ts";
import type { StudyResponse } from "../study/measure.ts";
import { checkStudy } from "../study/settings.ts";

const prompts = 40;
const gold = (d: number): number => 0.2 + d * (0.4 - (d === 0 ? 0 : 0.3 * Math.log(d)));
const exactly = (mean: number) => ({ mean, low: mean - 0.05, high: mean + 0.05 });

function responsesAt(seed: number, step: number, d: number): StudyResponse[] {
  return Array.from({ length: 2 * prompts }, (_, i): StudyResponse => {
    const noise = (k: number) => 2 * uniform(seed, step, i, k) - 1;
    const quality = noise(1);
    return {
      prompt_index: Math.floor(i / 2),
      prompt: `Question ${Math.floor(i / 2)}?`,
      completion: i === 3 ? "<script>alert(1)</script>" : `Answer ${i} of ${step}.`,
      tokens: 5 + step,
      terminated: true,
      surprisal: 1 / (1 + d),
      gold: gold(d) + 0.3 * quality,
      // The farther, the less the proxy has to do with what is good.
      proxy: d + (3 * quality) / (1 + d) ** 2 + noise(2) + (i === 3 ? d : 0),
      disagreement: d / 4,
    };
  });
}

/** Gold reward on a known curve, a proxy that rises and judges ever worse. */
export function planted(): StudyData {
  const study = checkStudy(
    {
      name: "planted",
      stages: { ppo: { model: "m", data: "p.jsonl", reward: "rule:length" } },
      study: { strengths: { "ppo.kl_coef": [0] }, seeds: [1, 2] },
    },
    "planted.yaml",
  );
  const reference = Array.from({ length: prompts }, (_, p) => {
    const drawn = [0, 1, 2, 3].flatMap((k) => responsesAt(100 + k, 0, 0).slice(2 * p, 2 * p + 2));
    return {
      prompt: `Question ${p}?`,
      completions: drawn.map(({ completion }) => completion),
      tokens: drawn.map(({ tokens }) => tokens),
      surprisals: drawn.map(({ surprisal }) => surprisal),
      terminated: drawn.map(() => true),
      gold: drawn.map((row) => row.gold as number),
      proxies: { proxy: drawn.map((row) => row.proxy as number) },
    };
  });
  const cells = [1, 2].map((seed) => {
    const steps = [2, 4, 6, 8, 10, 12];
    const each = steps.map((step) => ({ step, rows: responsesAt(seed, step, step / 3) }));
    return {
      name: `ppo-${seed}`,
      group: "ppo kl_coef 0",
      target: "ppo",
      trainer: "ppo",
      fields: { "ppo.kl_coef": 0 },
      seed,
      seconds: 10 + seed,
      peak_memory_bytes: 2 ** 28,
      steps: 12,
      points: each.map(({ step, rows }) => ({
        step,
        responses: rows.length,
        kl: exactly((step / 3) ** 2),
        proxy: exactly(step / 3),
        gold: exactly(gold(step / 3) + 0.01 * (seed - 1.5)),
        disagreement: step / 12,
        drift: driftOf(rows),
      })),
      responses: each.flatMap(({ step, rows }) => rows.map((row) => ({ step, ...row }))),
    };
  });
  return { dir: "runs/planted", study, reference, cells };
}

/** What is optimised is the gold reward: it rises and stays there, but for the noise of what was measured. */
export function plantedFair(): StudyData {
  const fair = (d: number) => 0.5 * (1 - Math.exp(-3 * d));
  const { cells, reference, ...rest } = planted();
  return {
    ...rest,
    reference: reference.map((row) => {
      const golds = (row.gold as readonly number[]).map((value) => value - gold(0));
      return { ...row, gold: golds, proxies: { proxy: golds } };
    }),
    cells: cells.map((cell) => {
      const responses = cell.responses.map((row) => {
        const luck = row.step === 12 ? -0.02 : 0; // less than one standard error
        const value = (row.gold as number) - gold(row.step / 3) + fair(row.step / 3) + luck;
        return { ...row, gold: value, proxy: value };
      });
      const points = cell.points.map((point) => {
        const own = responses.filter(({ step }) => step === point.step);
        const reward = exactly(mean(own.map((row) => row.gold)));
        return { ...point, gold: reward, proxy: reward };
      });
      return { ...cell, responses, points };
    }),
  };
}
