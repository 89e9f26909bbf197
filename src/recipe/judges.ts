/** Judges of pairs as stages name them: the keys that say which judge, and how its place is found. */

import { z } from "zod";
import type { OpenedJudge } from "../reward/judge/judge.ts";
import { judgeDefaults } from "../reward/judge/language-judge.ts";
import { openJudge } from "../reward/judge/node-open-judge.ts";
import { type JudgeSpec, type ParsedJudge, parseJudge } from "../reward/judge/spec.ts";
import { RewardError } from "../reward/reward.ts";
import { RecipeError } from "./errors.ts";
import { count, text, whole } from "./keys.ts";
import { checkReward } from "./reward-check.ts";
import type { StageContext } from "./stage.ts";

/** A judge as it may be written; the name of an earlier stage means its model. */
export const judgeKey = z.unknown().optional().meta({
  description: "world, http://host/v1#model, a model or reward model, reward:SPEC, or an object with options",
});

/** How a judge that is a language model is asked. */
export const askingKeys = {
  judge_template: text("of a judge that is asked: a file with {prompt}, {first} and {second}"),
  judge_retries: whole("how often an answer that is neither A nor B is asked for again", {
    default: judgeDefaults.retries,
  }),
  judge_concurrency: count("questions to an endpoint that are open at the same time", {
    default: judgeDefaults.concurrency,
  }),
  judge_key_env: text("environment variable with the endpoint's key", { default: "OPENAI_API_KEY" }),
};

type Asking = z.infer<z.ZodObject<typeof askingKeys>>;

/** The keys without those that say how a judge is asked. */
export const withoutAsking = <K extends object>(keys: K): Omit<K, keyof Asking> =>
  Object.fromEntries(Object.entries(keys).filter(([key]) => !(key in askingKeys))) as never;

/**
 * Whether what a recipe says of a judge can be meant, before anything runs: its form, its options, a reward's rules.
 * Folders and servers are looked for when the judge is opened: an earlier stage may make them.
 *
 * @throws RecipeError that names the key and what is wrong
 */
export function checkJudge(specification: unknown, where: string): void {
  let parsed: ParsedJudge;
  try {
    parsed = parseJudge(specification);
  } catch (error) {
    if (!(error instanceof RewardError)) throw error;
    throw new RecipeError(`${where}: ${error.message}`, { cause: error });
  }
  if (parsed.kind === "reward") checkReward(parsed.reward, where);
}

/**
 * Opens the judge of a stage; whoever asks for it closes it.
 *
 * @throws RewardError when the specification means nothing, or what it means is not there
 */
export function judgeOf(
  specification: unknown,
  keys: Asking,
  { engine, signal, note, folder }: Pick<StageContext, "engine" | "signal" | "note" | "folder">,
): Promise<OpenedJudge> {
  const asking = Object.entries(keys).flatMap(([key, value]) =>
    key in askingKeys && value !== undefined ? [[key.slice("judge_".length), value]] : [],
  );
  return openJudge(judgeIn(specification, folder), {
    ...{ engine, signal, onWarning: note },
    asking: Object.fromEntries(asking),
  });
}

/** The specification with the folder of an earlier stage in the place of its name. */
function judgeIn(judge: unknown, folder: (reference: string) => string): JudgeSpec {
  if (typeof judge === "string") return folder(judge) === judge ? judge : { model: folder(judge) };
  if (typeof judge !== "object" || judge === null) return String(judge);
  const { model } = judge as { readonly model?: unknown };
  const isLocal = typeof model === "string" && !("url" in judge);
  return { ...judge, ...(isLocal && { model: folder(model) }) };
}
