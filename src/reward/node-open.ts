/** Opens a reward from what was written: finds the rule, loads the module or the model, joins the parts of a sum. */
import { existsSync } from "node:fs";
import { relative, resolve } from "node:path";
import { z } from "zod";
import type { Engine } from "../graph/index.ts";
import { nearest } from "../graph/nearest.ts";
import { loadModel } from "../models/load.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { checkpointReward } from "./checkpoint-reward.ts";
import { checkCombination, combinations } from "./ensemble/combine.ts";
import { ensemble } from "./ensemble/ensemble.ts";
import { isEnsemble, readEnsemble } from "./ensemble/node-folder.ts";
import { moduleReward } from "./node-module.ts";
import { unitTestOptions, unitTestReward } from "./node-unit-test.ts";
import { parseOptions } from "./parse-options.ts";
import { aggregateNames, isProcessModel, processReward } from "./process.ts";
import { remoteReward } from "./remote.ts";
import { checked, type OpenedReward, type Reward, RewardError } from "./reward.ts";
import { ruleReward, rules } from "./rules/index.ts";
import { flag, number } from "./rules/rule.ts";
import { type ParsedReward, parseReward, type RewardSpec } from "./spec.ts";
import { scoreParts, uniqueNames } from "./sum.ts";

export interface OpenRewardOptions {
  /** Runs reward models; needed for them alone. */
  readonly engine?: Engine;
  /** The policy's: whose ids the responses have. */
  readonly tokenizer?: Tokenizer;
  /** Where paths of modules and folders begin. Default: the working directory. */
  readonly baseDir?: string;
  readonly signal?: AbortSignal;
  /** Something that a person should know, in one sentence. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

/**
 * Opens a reward. Its scores are checked: a wrong count or a number that is not finite is an error that names the row.
 *
 * @throws RewardError when the specification means nothing, or what it means is not there
 */
export const openReward = (spec: RewardSpec, options: OpenRewardOptions = {}): Promise<OpenedReward> =>
  open(parseReward(spec), options);

const modelOptions = z.strictObject({
  /** Rows that are scored together. */
  batch_size: number().optional(),
  /** Hold the projections in 8 bits. */
  int8: flag().optional(),
  /** Of an ensemble: another way than its own to combine the members' scores. */
  combine: z.enum(combinations).optional(),
  lambda: number().optional(),
  /** What a response costs for each deviation that it is further from the training responses than these are. */
  unusual_penalty: number().optional(),
  /** Of a process reward model: how the steps' probabilities become one. */
  steps: z.enum(aggregateNames).optional(),
  /** Of several objectives: what each counts, or "row": the column `weights` of each prompt. */
  weights: z.union([z.literal("row"), z.record(z.string(), z.number())]).optional(),
});

type Opener<K extends ParsedReward["kind"]> = (
  parsed: Extract<ParsedReward, { kind: K }>,
  options: OpenRewardOptions,
) => Promise<OpenedReward> | OpenedReward;

const simple = (name: string, reward: Reward): OpenedReward => ({
  name,
  score: checked(reward, name),
  dispose: async () => {},
});

const openers: { readonly [K in ParsedReward["kind"]]: Opener<K> } = {
  gold: async ({ name }) => {
    const { goldScore } = await import("../data/world/gold.ts");
    return simple(name, (batch) =>
      batch.map(({ prompt, completion }) => goldScore(prompt, completion).overall),
    );
  },
  function: ({ name, reward }) => simple(name, reward),
  rule: ({ name, rule, options }) => simple(name, ruleReward(rule, options)),
  module: async ({ name, path, exported }, { baseDir }) =>
    simple(name, await moduleReward(path, exported, baseDir)),
  unit_test: ({ name, column, options }) =>
    simple(name, unitTestReward(column, parseOptions(name, unitTestOptions, options))),
  remote: ({ name, url, options }, { signal, onWarning }) =>
    simple(name, remoteReward(url, options, { ...(signal && { signal }), onRetry: onWarning })),
  model: openModel,
  ensemble: (parsed, options) => openEnsemble(parsed, options),
  sum: openSum,
};

const open = async (parsed: ParsedReward, options: OpenRewardOptions): Promise<OpenedReward> =>
  (openers[parsed.kind] as Opener<ParsedReward["kind"]>)(parsed as never, options);

async function openModel(
  { name, model, options: given }: Extract<ParsedReward, { kind: "model" }>,
  { engine, tokenizer, baseDir = ".", signal, onWarning }: OpenRewardOptions,
): Promise<OpenedReward> {
  const folder = resolve(baseDir, model);
  const isFolder = existsSync(folder);
  if (!isFolder && !model.includes("/")) {
    const names = Object.keys(rules);
    const meant = nearest(model, names);
    throw new RewardError(
      `reward ${model}: there is no such folder and no such rule; ` +
        (meant === undefined
          ? `a hub id is org/name, rules are ${names.join(", ")}`
          : `did you mean rule:${meant}?`),
      { wrongUsage: true },
    );
  }
  if (!engine) throw new RewardError(`reward ${model}: a reward model needs an engine, none was given`);
  const { batch_size, int8, unusual_penalty, weights, steps, ...combination } = parseOptions(
    `reward ${model}`,
    modelOptions,
    given,
  );
  checkCombination(combination);
  const scoring = {
    engine,
    ...(tokenizer && { policyTokenizer: tokenizer }),
    ...(batch_size !== undefined && { batchSize: batch_size }),
    ...(int8 !== undefined && { int8 }),
    ...(unusual_penalty !== undefined && { unusualPenalty: unusual_penalty }),
    ...(weights !== undefined && { weights }),
    ...(onWarning && { onWarning }),
  };
  const reading = signal ? { signal } : {};
  if (!isFolder || !isEnsemble(folder)) {
    const loaded = await loadModel(isFolder ? folder : model, reading);
    if (isProcessModel(loaded.config) && int8)
      throw new RewardError(
        `reward ${model}: int8 holds models with one score a response, this is a process reward model; leave it out`,
      );
    if (isProcessModel(loaded.config))
      return processReward(loaded, { engine, name, ...(steps !== undefined && { aggregate: steps }) });
    return checkpointReward(loaded, { ...scoring, ...combination, name });
  }
  const { members, ...own } = await readEnsemble(folder);
  const opened = await openAll(members, async (member) =>
    checkpointReward(await loadModel(member, reading), { ...scoring, name: relative(folder, member) }),
  );
  return ensemble(opened, { ...own, ...withValues(combination), name });
}

/** The options that have a value. */
const withValues = <T extends object>(options: T): Partial<T> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;

/** Opens one after the other; when one fails, those before it are closed. */
async function openAll<T>(
  list: readonly T[],
  openOne: (each: T) => Promise<OpenedReward>,
): Promise<OpenedReward[]> {
  const opened: OpenedReward[] = [];
  try {
    for (const each of list) opened.push(await openOne(each));
    return opened;
  } catch (error) {
    for (const reward of opened) await reward.dispose();
    throw error;
  }
}

const openEnsemble: Opener<"ensemble"> = async ({ name, members, options: combination }, options) =>
  ensemble(await openAll(members, (member) => open(member, options)), { ...combination, name });

async function openSum(
  { name, parts }: Extract<ParsedReward, { kind: "sum" }>,
  options: OpenRewardOptions,
): Promise<OpenedReward> {
  const opened = await openAll(parts, ({ reward }) => open(reward, options));
  const names = uniqueNames(opened.map((part) => part.name));
  const weighted = opened.map(({ score }, i) => ({
    name: names[i] as string,
    weight: (parts[i] as { weight: number }).weight,
    reward: score,
  }));
  return {
    name,
    score: checked(async (batch) => (await scoreParts(weighted, batch)).scores, name),
    parts: (batch) => scoreParts(weighted, batch),
    dispose: async () => {
      for (const part of opened) await part.dispose();
    },
  };
}
