/**
 * How a reward is written down, in a recipe or on the command line:
 *
 *     runs/rm, org/name                  a reward model: a folder, or a hub id
 *     model:runs/rm?unusual_penalty=1    the same with options
 *     rule:length_band?min=5&max=30      a rule and its options; `length_band` alone will do for one without
 *     ./my-reward.ts#brevity             a function that a module exports (without #: default, or `reward`)
 *     unit_test?column=test              the tests in a column of the row, run on the response's code
 *     http://host:5000/get_reward        a server
 *     world:gold                         what the built-in world thinks of it
 *     ensemble:a,b,c?combine=wco         several rewards as an ensemble; mean, wco or uwo (with &lambda=0.5)
 *     ensemble:runs/judge?combine=uwo    an ensemble that was trained as one, combined in another way
 *     0.5*rule:rouge                     a part of a sum, with its weight
 *
 * A list is a sum. In a recipe each may be an object instead, with the options beside: `{rule: length_band, min: 5}`,
 * `{model: runs/rm}`, `{ensemble: [runs/a, runs/b], combine: wco}`, `{module: ./my-reward.ts}`, `{url: http://...,
 * timeout: 30}`; `weight` and `name` may stand beside them, and beside `{reward: ...}`, which is any of these. A function
 * is a reward already.
 */
import { z } from "zod";
import { type CombineOptions, checkCombination, combinations } from "./ensemble/combine.ts";
import { parseOptions } from "./parse-options.ts";
import { placeOf } from "./post.ts";
import { remoteOptions } from "./remote.ts";
import { type Reward, RewardError } from "./reward.ts";
import { isRule } from "./rules/index.ts";
import { number } from "./rules/rule.ts";

/** A reward as it may be written. */
export type RewardSpec = string | Reward | RewardObject | readonly RewardSpec[];

export type RewardObject = { readonly weight?: number; readonly name?: string } & (
  | ({ readonly rule: string } & Readonly<Record<string, unknown>>)
  | ({ readonly model: string } & Readonly<Record<string, unknown>>)
  | { readonly module: string; readonly export?: string }
  | ({ readonly unit_test: string } & Readonly<Record<string, unknown>>)
  | ({ readonly url: string } & Readonly<z.input<typeof remoteOptions>>)
  | ({ readonly ensemble: RewardSpec } & CombineOptions)
  | { readonly reward: RewardSpec }
);

/** What was meant. */
export type ParsedReward = { readonly name: string } & (
  | { readonly kind: "function"; readonly reward: Reward }
  | { readonly kind: "gold" }
  | { readonly kind: "rule"; readonly rule: string; readonly options: Options }
  | { readonly kind: "unit_test"; readonly column: string; readonly options: Options }
  | { readonly kind: "model"; readonly model: string; readonly options: Options }
  | { readonly kind: "module"; readonly path: string; readonly exported?: string }
  | { readonly kind: "remote"; readonly url: string; readonly options: z.infer<typeof remoteOptions> }
  | {
      readonly kind: "ensemble";
      readonly members: readonly ParsedReward[];
      readonly options: CombineOptions;
    }
  | {
      readonly kind: "sum";
      readonly parts: readonly { readonly weight: number; readonly reward: ParsedReward }[];
    }
);

type Options = Readonly<Record<string, unknown>>;

/**
 * Reads a specification. Names are looked up when it is opened; what no reward could be is refused here.
 *
 * @throws RewardError that says what was meant to be there
 */
export function parseReward(spec: unknown): ParsedReward {
  if (typeof spec === "function")
    return { kind: "function", name: spec.name || "function", reward: spec as Reward };
  if (typeof spec === "string") return parseText(spec);
  if (Array.isArray(spec)) return parseSum(spec);
  if (typeof spec === "object" && spec !== null) return parseSum([spec]);
  throw new RewardError(`reward: ${forms} is required, got ${JSON.stringify(spec) ?? "nothing"}`, {
    wrongUsage: true,
  });
}

const forms = "a folder or hub id, rule:NAME, a module's path, a URL, or a list of them";

const weighted = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*\*\s*(.*)$/is;
const unitTest = /^(?:rule:)?unit_test(?:\?|$)/;
const modulePath = /\.(?:[cm]?[jt]s)(?:#[\w$]+)?$/;

function parseText(text: string): ParsedReward {
  const spec = text.trim();
  if (spec === "")
    throw new RewardError(`reward: ${forms} is required, got an empty text`, { wrongUsage: true });
  if (weighted.test(spec)) return parseSum([spec]);
  if (spec === "world:gold") return { kind: "gold", name: spec };
  if (unitTest.test(spec)) return parseUnitTest(spec);
  if (spec.startsWith("rule:")) return parseRule(spec.slice("rule:".length));
  if (spec.startsWith("model:")) {
    const [model = "", query = ""] = spec.slice("model:".length).split(/\?(.*)/s) as [string, string?];
    return parseObject({ ...Object.fromEntries(new URLSearchParams(query)), model });
  }
  const several = ensembleOfText(spec);
  if (several) return parseEnsemble(several);
  if (/^https?:\/\//i.test(spec)) return parseObject({ url: spec });
  if (modulePath.test(spec)) {
    const [path, exported] = spec.split("#") as [string, string?];
    return parseObject({ module: path, ...(exported !== undefined && { export: exported }) });
  }
  if (isRule(spec.split("?")[0] as string)) return parseRule(spec);
  return parseObject({ model: spec });
}

function parseRule(text: string): ParsedReward {
  const [rule, query = ""] = text.split(/\?(.*)/s) as [string, string?];
  return parseObject({ ...Object.fromEntries(new URLSearchParams(query)), rule });
}

function parseUnitTest(text: string): ParsedReward {
  const { column = "test", ...options } = Object.fromEntries(
    new URLSearchParams(text.split(/\?(.*)/s)[1] ?? ""),
  );
  return parseObject({ ...options, unit_test: column });
}

const ensemblePrefix = "ensemble:";

/** `ensemble:a,b?combine=wco` as an object; undefined for any other text. */
export function ensembleOfText(
  text: string,
): ({ readonly ensemble: readonly string[] } & Readonly<Record<string, unknown>>) | undefined {
  if (!text.startsWith(ensemblePrefix)) return undefined;
  const [members = "", query = ""] = text.slice(ensemblePrefix.length).split(/\?(.*)/s);
  return {
    ...Object.fromEntries(new URLSearchParams(query)),
    ensemble: members.split(",").map((name) => name.trim()),
  };
}

const ensembleKeys = z.strictObject({
  ensemble: z.unknown(),
  combine: z.enum(combinations).optional(),
  lambda: number().optional(),
});

/** Several rewards; one name alone is an ensemble that was trained as one. */
function parseEnsemble(spec: Record<string, unknown>): ParsedReward {
  const { ensemble, ...given } = parseOptions("reward ensemble", ensembleKeys, spec);
  const { combine, lambda } = given;
  const options = { ...(combine !== undefined && { combine }), ...(lambda !== undefined && { lambda }) };
  checkCombination(options);
  const members = [ensemble].flat().map(parseReward);
  const [only] = members;
  const way = combine ?? "ensemble";
  if (members.length === 1 && only?.kind === "model")
    return {
      ...only,
      name: combine ? `${combine} of ${only.name}` : only.name,
      options: { ...only.options, ...options },
    };
  if (members.length < 2)
    throw new RewardError(
      "reward ensemble: at least two members, or one folder of an ensemble, are required",
      {
        wrongUsage: true,
      },
    );
  return {
    kind: "ensemble",
    name: `${way} of ${members.map(({ name }) => name).join(", ")}`,
    members,
    options,
  };
}

const partKeys = z.strictObject({ weight: number().default(1), name: z.string().optional() });
const wrapped = z.strictObject({ reward: z.unknown() });
const moduleKeys = z.strictObject({ module: z.string(), export: z.string().optional() });

/** By the key that says what it is. */
const objects: Record<string, (spec: Record<string, unknown>) => ParsedReward> = {
  rule: ({ rule, ...options }) => ({ kind: "rule", name: `${rule}`, rule: `${rule}`, options }),
  model: ({ model, ...options }) => ({ kind: "model", name: `${model}`, model: `${model}`, options }),
  module: (spec) => {
    const { module, export: exported } = parseOptions("reward module", moduleKeys, spec);
    const name = exported === undefined ? module : `${module}#${exported}`;
    return { kind: "module", name, path: module, ...(exported !== undefined && { exported }) };
  },
  unit_test: ({ unit_test, ...options }) => ({
    kind: "unit_test",
    name: "unit_test",
    column: `${unit_test}`,
    options,
  }),
  url: ({ url, ...options }) => {
    if (!URL.canParse(`${url}`)) throw new RewardError(`reward ${url}: this is no URL`, { wrongUsage: true });
    const name = placeOf(`${url}`);
    return {
      kind: "remote",
      name,
      url: `${url}`,
      options: parseOptions(`reward ${name}`, remoteOptions, options),
    };
  },
};

function parseObject(spec: Record<string, unknown>): ParsedReward {
  if (spec.ensemble !== undefined) return parseEnsemble(spec);
  const [key, ...others] = Object.keys(objects).filter((name) => spec[name] !== undefined);
  if (key === undefined || others.length > 0)
    throw new RewardError(
      `reward: one of the keys ${[...Object.keys(objects), "ensemble", "reward"].join(", ")} is required, got ${Object.keys(spec).join(", ") || "none"}`,
      { wrongUsage: true },
    );
  if (typeof spec[key] !== "string")
    throw new RewardError(`reward ${key}: a text is required, got ${JSON.stringify(spec[key])}`, {
      wrongUsage: true,
    });
  return (objects[key] as (spec: Record<string, unknown>) => ParsedReward)(spec);
}

/** One part without a weight of its own is that part. */
function parseSum(list: readonly unknown[]): ParsedReward {
  if (list.length === 0)
    throw new RewardError("reward: a sum needs at least one part, got an empty list", { wrongUsage: true });
  const parts = list.map(parsePart);
  const [only] = parts;
  if (parts.length === 1 && only?.weight === 1) return only.reward;
  const name = parts
    .map(({ weight, reward }) => (weight === 1 ? reward.name : `${weight}*${reward.name}`))
    .join(" + ");
  return { kind: "sum", name, parts };
}

/** A text may begin with its weight; an object may have `weight` and `name` beside what it is. */
function parsePart(spec: unknown): { weight: number; reward: ParsedReward } {
  const text = typeof spec === "string" ? weighted.exec(spec) : null;
  if (text) return { weight: Number(text[1]), reward: parseReward(text[2]) };
  if (typeof spec !== "object" || spec === null || Array.isArray(spec))
    return { weight: 1, reward: parseReward(spec) };
  const { weight: given, name: called, ...rest } = spec as Record<string, unknown>;
  const { weight, name } = parseOptions("reward", partKeys, {
    ...(given !== undefined && { weight: given }),
    ...(called !== undefined && { name: called }),
  });
  const reward =
    "reward" in rest ? parseReward(parseOptions("reward", wrapped, rest).reward) : parseObject(rest);
  return { weight, reward: name === undefined ? reward : { ...reward, name } };
}
