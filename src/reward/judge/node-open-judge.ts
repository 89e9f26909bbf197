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
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { loadModel } from "../../models/load.ts";
import { checkpointReward } from "../checkpoint-reward.ts";
import { isEnsemble } from "../ensemble/node-folder.ts";
import { type OpenRewardOptions, openReward } from "../node-open.ts";
import { parseOptions } from "../parse-options.ts";
import type { RemoteParts } from "../post.ts";
import { placeOf } from "../post.ts";
import { RewardError } from "../reward.ts";
import { number } from "../rules/rule.ts";
import type { RewardSpec } from "../spec.ts";
import { chatEndpoint, chatOptions } from "./chat-endpoint.ts";
import { type OpenedJudge, rewardJudge } from "./judge.ts";
import { languageJudge } from "./language-judge.ts";
import { localModel } from "./local-model.ts";

export type JudgeSpec = string | Readonly<Record<string, unknown>>;

export interface OpenJudgeOptions extends OpenRewardOptions {
  /** How the outside is reached; tests pass their own. */
  readonly parts?: RemoteParts & { readonly env?: Readonly<Record<string, string | undefined>> };
  /** Options of judges that are asked, over those of a specification that is a text; others are left alone. */
  readonly asking?: Readonly<Record<string, unknown>>;
}

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

/**
 * Opens a judge.
 *
 * @throws RewardError when the specification means nothing, or what it means is not there
 */
export async function openJudge(spec: JudgeSpec, options: OpenJudgeOptions = {}): Promise<OpenedJudge> {
  const given = typeof spec === "string" ? objectOf(spec.trim()) : spec;
  const { asking: over = {} } = options;
  if (typeof given.url === "string") return openEndpoint({ ...given, ...over }, options);
  const { concurrency: _, key_env: __, ...local } = over;
  if (typeof given.model === "string") return openLocal({ ...given, ...local }, options);
  if (given.reward !== undefined) {
    const { reward, preference } = parseOptions("judge", rewardKeys, given);
    return rewardJudge(await openReward(reward as RewardSpec, options), preference ? { preference } : {});
  }
  throw new RewardError(`judge: ${forms} is required, got ${JSON.stringify(spec)}`, { wrongUsage: true });
}

const forms = "world, http://host/v1#model, a model's folder, or reward:SPEC";

function objectOf(text: string): Record<string, unknown> {
  if (text === "world" || text === "world:gold") return { reward: "world:gold" };
  if (text.startsWith("reward:")) return { reward: text.slice("reward:".length) };
  if (text.startsWith("model:")) return { model: text.slice("model:".length) };
  if (!/^https?:\/\//i.test(text)) return text === "" ? {} : { model: text };
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

const templateFrom = async (path: string | undefined): Promise<{ template?: string }> =>
  path === undefined
    ? {}
    : {
        template: await readFile(path, "utf8").catch((cause: Error) => {
          throw new RewardError(`judge: the template ${path} cannot be read: ${cause.message}`, { cause });
        }),
      };

async function openEndpoint(
  given: Readonly<Record<string, unknown>>,
  { signal, parts }: OpenJudgeOptions,
): Promise<OpenedJudge> {
  const { url, template, retries, concurrency, ...chat } = parseOptions("judge", endpointKeys, given);
  if (!URL.canParse(url)) throw new RewardError(`judge ${url}: this is no URL`, { wrongUsage: true });
  const asked = chatEndpoint(url, chat, { ...parts, signal });
  const text = await templateFrom(template);
  return languageJudge(`${chat.model} at ${placeOf(url)}`, asked as never, { ...text, retries, concurrency });
}

async function openLocal(
  given: Readonly<Record<string, unknown>>,
  options: OpenJudgeOptions,
): Promise<OpenedJudge> {
  const { model: folder, template, retries, batch_size } = parseOptions("judge", modelKeys, given);
  const { engine, signal, tokenizer } = options;
  if (!engine) throw new RewardError(`judge ${folder}: a model needs an engine, none was given`);
  if (isEnsemble(folder)) return rewardJudge(await openReward({ model: folder }, options));
  const model = await loadModel(folder, signal ? { signal } : {});
  const size = batch_size === undefined ? {} : { batchSize: batch_size };
  if (model.config.numLabels !== undefined)
    return rewardJudge(
      await checkpointReward(model, { engine, ...size, ...(tokenizer && { policyTokenizer: tokenizer }) }),
    );
  const asked = await localModel(engine, model, size);
  return languageJudge(folder, asked, { ...(await templateFrom(template)), retries }, () => asked.dispose());
}
