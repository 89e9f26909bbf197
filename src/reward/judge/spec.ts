/**
 * How a judge is written down, in a recipe or on the command line:
 *
 *     world                              the built-in world's gold scorer
 *     http://host:8000/v1#model-name     a model behind an OpenAI-compatible chat endpoint
 *     model:runs/sft, runs/sft           a language model in this process; a reward model judges by its scores
 *     reward:SPEC                        any reward: what has the higher score is preferred
 *
 * In a recipe it may be an object with the options beside: `{url: http://..., model: name, key_env: MY_KEY, retries: 2}`,
 * `{model: runs/sft, template: file.txt}`, `{reward: ...}`.
 */
import { z } from "zod";
import { parseOptions } from "../parse-options.ts";
import { placeOf } from "../post.ts";
import { RewardError } from "../reward.ts";
import { isRule } from "../rules/index.ts";
import { number } from "../rules/rule.ts";
import { parseReward } from "../spec.ts";
import { chatOptions } from "./chat-endpoint.ts";

export type JudgeSpec = string | Readonly<Record<string, unknown>>;

const asking = {
  /** A file with {prompt}, {first} and {second}. */
  template: z.string().optional(),
  /** How often a question is asked again whose answer is neither A nor B. */
  retries: number().optional(),
};
const endpointKeys = chatOptions.extend({ ...asking, url: z.string(), concurrency: number().optional() });
const modelKeys = z.strictObject({ ...asking, model: z.string(), batch_size: number().optional() });
const rewardKeys = z.strictObject({
  reward: z.unknown(),
  preference: z.enum(["hard", "bradley_terry"]).optional(),
});

/** What was meant. */
export type ParsedJudge =
  | ({ readonly kind: "endpoint" } & z.infer<typeof endpointKeys>)
  | ({ readonly kind: "model" } & z.infer<typeof modelKeys>)
  | ({ readonly kind: "reward" } & z.infer<typeof rewardKeys>);

/**
 * Reads a specification. Folders and servers are looked for when it is opened; what no judge could be is refused here.
 *
 * @param over options of judges that are asked, over those of the specification; others are left alone
 * @throws RewardError that says what is required
 */
export function parseJudge(spec: unknown, over: Readonly<Record<string, unknown>> = {}): ParsedJudge {
  const given = typeof spec === "string" ? objectOf(spec.trim()) : { ...(spec as object) };
  const { url, model, reward } = given as Readonly<Record<string, unknown>>;
  if (typeof url === "string") {
    if (!URL.canParse(url)) throw new RewardError(`judge ${url}: this is no URL`, { wrongUsage: true });
    return { kind: "endpoint", ...parseOptions("judge", endpointKeys, { ...given, ...over }) };
  }
  if (typeof model === "string") {
    const { concurrency: _, key_env: __, ...local } = over;
    return { kind: "model", ...parseOptions("judge", modelKeys, { ...given, ...local }) };
  }
  if (reward !== undefined) return { kind: "reward", ...parseOptions("judge", rewardKeys, given) };
  throw new RewardError(
    `judge: world, http://host/v1#model, a model's folder, or reward:SPEC is required, got ${JSON.stringify(spec) ?? "nothing"}`,
    { wrongUsage: true },
  );
}

/** A reward that is written in the place of a judge. */
export const meantAsReward = (text: string): RewardError =>
  new RewardError(`judge ${text}: this is a reward; to judge by its scores write reward:${text}`, {
    wrongUsage: true,
  });

function objectOf(text: string): Readonly<Record<string, unknown>> {
  if (text === "world" || text === "world:gold") return { reward: "world:gold" };
  if (text.startsWith("reward:")) return { reward: text.slice("reward:".length) };
  if (text.startsWith("model:")) return { model: text.slice("model:".length) };
  if (!/^https?:\/\//i.test(text)) return text === "" ? {} : { model: folderIn(text) };
  if (!URL.canParse(text)) throw new RewardError(`judge ${text}: this is no URL`, { wrongUsage: true });
  const { hash } = new URL(text);
  if (hash.length < 2)
    throw new RewardError(
      `judge ${placeOf(text)}: a model's name is required behind a #, as in ${placeOf(text)}#name`,
      {
        wrongUsage: true,
      },
    );
  return { url: text.slice(0, text.indexOf("#")), model: decodeURIComponent(hash.slice(1)) };
}

/** The text, unless only a reward is written so; a rule's bare name may be a folder's too. */
function folderIn(text: string): string {
  if (!isRule(text) && parseReward(text).kind !== "model") throw meantAsReward(text);
  return text;
}
