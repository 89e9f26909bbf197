/** Opens a judge by its specification (spec.ts). */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { loadModel } from "../../models/load.ts";
import { checkpointReward } from "../checkpoint-reward.ts";
import { isEnsemble } from "../ensemble/node-folder.ts";
import { type OpenRewardOptions, openReward } from "../node-open.ts";
import type { RemoteParts } from "../post.ts";
import { placeOf } from "../post.ts";
import { RewardError } from "../reward.ts";
import { isRule } from "../rules/index.ts";
import type { RewardSpec } from "../spec.ts";
import { chatEndpoint } from "./chat-endpoint.ts";
import { type OpenedJudge, rewardJudge } from "./judge.ts";
import { languageJudge } from "./language-judge.ts";
import { localModel } from "./local-model.ts";
import { type JudgeSpec, meantAsReward, type ParsedJudge, parseJudge } from "./spec.ts";

export type { JudgeSpec };

export interface OpenJudgeOptions extends OpenRewardOptions {
  /** How the outside is reached; tests pass their own. */
  readonly parts?: RemoteParts & { readonly env?: Readonly<Record<string, string | undefined>> };
  /** Options of judges that are asked, over those of a specification that is a text; others are left alone. */
  readonly asking?: Readonly<Record<string, unknown>>;
}

/**
 * Opens a judge.
 *
 * @throws RewardError when the specification means nothing, or what it means is not there
 */
export async function openJudge(spec: JudgeSpec, options: OpenJudgeOptions = {}): Promise<OpenedJudge> {
  const parsed = parseJudge(spec, options.asking);
  if (parsed.kind === "endpoint") return openEndpoint(parsed, options);
  if (parsed.kind === "model") return openLocal(parsed, options);
  const { reward, preference } = parsed;
  return rewardJudge(await openReward(reward as RewardSpec, options), preference ? { preference } : {});
}

const templateFrom = async (path: string | undefined): Promise<{ template?: string }> =>
  path === undefined
    ? {}
    : {
        template: await readFile(path, "utf8").catch((cause: Error) => {
          throw new RewardError(`judge: the template ${path} cannot be read: ${cause.message}`, { cause });
        }),
      };

type Parsed<K extends ParsedJudge["kind"]> = Extract<ParsedJudge, { kind: K }>;

async function openEndpoint(
  { kind: _, url, template, retries, concurrency, ...chat }: Parsed<"endpoint">,
  { signal, parts }: OpenJudgeOptions,
): Promise<OpenedJudge> {
  const asked = chatEndpoint(url, chat, { ...parts, signal });
  const text = await templateFrom(template);
  return languageJudge(`${chat.model} at ${placeOf(url)}`, asked as never, { ...text, retries, concurrency });
}

async function openLocal(
  { model: folder, template, retries, batch_size }: Parsed<"model">,
  options: OpenJudgeOptions,
): Promise<OpenedJudge> {
  if (isRule(folder) && !existsSync(folder)) throw meantAsReward(folder);
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
