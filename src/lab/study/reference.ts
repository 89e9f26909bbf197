/**
 * Samples of the reference with the scores of every proxy and of the gold reward: the point from which all cells start,
 * and what best-of-n is computed from.
 */

import type { Model } from "../../models/load.ts";
import { spreadOf } from "../../reward/reward.ts";
import { scoreRows } from "../../reward/score-rows.ts";
import type { StudyEvents } from "./events.ts";
import { type ReferenceSamples, readLines, writeLines } from "./files.ts";
import { objectiveScores, scoredAnswers } from "./measure.ts";
import type { Measuring } from "./measuring.ts";

export interface SampleReferenceOptions {
  readonly measuring: Measuring;
  /** To each prompt. */
  readonly samples: number;
  readonly options: StudyEvents;
  readonly signal: AbortSignal;
}

/** Prompts whose samples are drawn and written together. */
const together = 16;

/** Reads what was sampled before, and samples the rest. */
export async function sampleReference(
  path: string,
  model: Model,
  { measuring, samples, options, signal }: SampleReferenceOptions,
): Promise<readonly ReferenceSamples[]> {
  const names = Object.keys(measuring.proxies);
  const before = await readLines<ReferenceSamples>(path);
  const fits = before.every(
    ({ completions, proxies }) => completions.length === samples && names.every((name) => proxies[name]),
  );
  const rows = fits ? before : [];
  const base = await measuring.options(model, "reference");
  const total = base.prompts.length;
  if (rows.length >= total) return rows.slice(0, total);
  options.onStage?.("reference", "samples");
  options.onStart?.({ totalSteps: total, step: rows.length, tokens: 0 });
  return measuring.withRewards(
    { ...measuring.proxies, "": measuring.gold },
    undefined,
    model,
    async (rewards) => {
      for (let from = rows.length; from < total && !signal.aborted; from += together) {
        const prompts = base.prompts.slice(from, from + together);
        const gold = rewards[""];
        const drawn = await scoredAnswers(model, {
          ...base,
          prompts,
          samples,
          step: 0,
          gold,
          seed: base.seed + from,
        });
        const scored = new Map<string, Awaited<ReturnType<typeof scoreRows>>>();
        for (const name of names) {
          const reward = rewards[name];
          if (reward) scored.set(name, await scoreRows(reward, drawn.inputs, { signal }));
        }
        for (let p = 0; p < prompts.length; p++) {
          const own = Array.from({ length: samples }, (_, k) => p * samples + k);
          const column = <T>(of: (row: (typeof drawn.rows)[number]) => T) =>
            own.map((i) => of(drawn.rows[i] as (typeof drawn.rows)[number]));
          const apart = names.flatMap((name) => {
            const spread = spreadOf(scored.get(name) ?? {});
            return spread ? [[name, own.map((i) => spread[i] as number)] as const] : [];
          });
          const objectives =
            base.objectives &&
            objectiveScores(base.objectives, drawn.inputs, scored.get(names[0] as string)?.parts);
          rows.push({
            prompt: drawn.rows[p * samples]?.prompt ?? "",
            completions: column(({ completion }) => completion),
            tokens: column(({ tokens }) => tokens),
            surprisals: column(({ surprisal }) => surprisal),
            terminated: column(({ terminated }) => terminated),
            ...(gold && { gold: column((row) => row.gold as number) }),
            ...(objectives && {
              objectives: Object.fromEntries(
                Object.entries(objectives).map(([name, scores]) => [
                  name,
                  own.map((i) => scores[i] as number),
                ]),
              ),
            }),
            proxies: Object.fromEntries(
              [...scored].map(([name, { scores }]) => [name, own.map((i) => scores[i] as number)]),
            ),
            ...(apart.length > 0 && { disagreement: Object.fromEntries(apart) }),
          });
        }
        await writeLines(path, rows);
        options.onStep?.({ step: rows.length, totalSteps: total, metrics: {} });
      }
      return rows;
    },
  );
}
