/**
 * Low-rank adapters (Hu et al. 2021, eq. 3): a projection W gets an update of rank r, of which alone A and B train,
 *
 *     y = x W' + s (x A') B'        s = alpha / r, or alpha / sqrt(r) for rsLoRA (Kalajdzievski 2023)
 *
 * with W [out, in], A [r, in] and B [out, r]. The adapter is a parameter tree of its own, beside the frozen base:
 * `model.layers.0.self_attn.q_proj.lora_A.weight` and so on. There is no dropout: what samples and what trains must
 * give a token the same probability.
 */
import {
  AttuneError,
  flatten,
  type HostArray,
  scalar,
  type Tensor,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import { uniform } from "../../graph/random.ts";
import type { ModelConfig } from "../config/config.ts";
import { families } from "../families/index.ts";
import { parameterShapes, scoreHeadOf } from "../model.ts";

type Parameters = Readonly<Record<string, HostArray>>;

/** How an adapter's factors turn into an update. */
export interface LoraConfig {
  /** Rank. */
  readonly r: number;
  readonly loraAlpha: number;
  /** Names of modules, or their last parts (`q_proj`); what an adapter really has is in its parameters. */
  readonly targetModules: readonly string[];
  readonly useRslora: boolean;
  /** Modules that are trained whole and stored with the adapter, such as `score`. */
  readonly modulesToSave: readonly string[];
  /** Another alpha for the modules whose name ends like this. */
  readonly alphaPattern: Readonly<Record<string, number>>;
}

/** What a new adapter is made of. */
export interface LoraOptions extends Partial<Omit<LoraConfig, "targetModules">> {
  readonly targetModules?: readonly string[] | "all-linear";
  /** Only 0 is implemented. */
  readonly loraDropout?: number;
}

/** An adapter: factors by name, [r, in] and [out, r], and the modules that it replaces. */
export interface Adapter {
  readonly config: LoraConfig;
  readonly parameters: Parameters;
}

/** Defaults of TRL's ModelConfig, without its dropout. */
export const loraDefaults = { r: 16, loraAlpha: 32, targetModules: "all-linear", useRslora: false } as const;

const [down, up] = ["lora_A.weight", "lora_B.weight"];

/** Embeddings of positions and token types, which are looked up. */
const isTable = /(^|\.)(wpe|position_embeddings|token_type_embeddings)\.weight$/;

/** Every linear module but the heads, by name. */
export function linearModules(config: ModelConfig): string[] {
  const { embedding, head } = families[config.family];
  const heads = Object.keys(scoreHeadOf(config).parameters(config, config.numLabels ?? 1));
  const others = new Set([embedding, head, ...heads]);
  return Object.entries(parameterShapes(config))
    .filter(([name, shape]) => shape.length === 2 && !others.has(name) && !isTable.test(name))
    .map(([name]) => name.slice(0, -".weight".length));
}

/** Modules that a list of names or last parts means, as PEFT reads it. */
function targeted(config: ModelConfig, targets: readonly string[] | "all-linear"): string[] {
  const modules = linearModules(config);
  if (targets === "all-linear") return modules;
  const isMeant = (module: string, target: string) => module === target || module.endsWith(`.${target}`);
  const unknown = targets.filter((target) => !modules.some((module) => isMeant(module, target)));
  if (unknown.length > 0 || targets.length === 0)
    throw new AttuneError(
      `lora: target modules of the model are required, got ${unknown.join(", ") || "none"}; ` +
        `choose "all-linear" or among ${lastParts(modules).join(", ")}`,
      { wrongUsage: true },
    );
  return modules.filter((module) => targets.some((target) => isMeant(module, target)));
}

const lastParts = (modules: readonly string[]): string[] => [
  ...new Set(modules.map((module) => module.split(".").at(-1) as string)),
];

/** [in, out] of a module's projection. */
function sizesOf(config: ModelConfig, shape: readonly number[]): [number, number] {
  const [first, second] = shape as [number, number];
  return families[config.family].inputsFirst ? [first, second] : [second, first];
}

/**
 * A new adapter: A is uniform in +-1/sqrt(in) (PEFT's Kaiming initialisation), B is 0, so that at first nothing changes.
 *
 * @param parameters of the base, from which `modulesToSave` start
 * @throws AttuneError for unknown modules, a rank below 1, and dropout
 */
export function createAdapter(
  config: ModelConfig,
  parameters: Parameters,
  options: LoraOptions = {},
  seed = 0,
): Adapter {
  const { r = loraDefaults.r, loraAlpha = loraDefaults.loraAlpha, loraDropout = 0 } = options;
  if (!Number.isSafeInteger(r) || r < 1)
    throw new AttuneError(`lora: a rank of at least 1 is required, got ${r}`, { wrongUsage: true });
  if (loraDropout !== 0)
    throw new AttuneError(
      `lora: lora_dropout ${loraDropout} is not supported in training, only 0 is: leave it out`,
      { wrongUsage: true },
    );
  const targets = options.targetModules ?? loraDefaults.targetModules;
  const modules = targeted(config, targets);
  const out: Record<string, HostArray> = {};
  for (const [i, module] of modules.entries()) {
    const [inputs, outputs] = sizesOf(config, (parameters[`${module}.weight`] as HostArray).shape);
    const bound = 1 / Math.sqrt(inputs);
    const a = Float32Array.from({ length: r * inputs }, (_, j) => bound * (2 * uniform(seed, i, j) - 1));
    out[`${module}.${down}`] = { dtype: "float32", shape: [r, inputs], data: a };
    out[`${module}.${up}`] = { dtype: "float32", shape: [outputs, r], data: new Float32Array(outputs * r) };
  }
  const modulesToSave = [
    ...new Set([
      ...(options.modulesToSave ?? []),
      ...(config.numLabels !== undefined ? scoreModules(config) : []),
    ]),
  ];
  Object.assign(out, wholeModules(config, parameters, modulesToSave));
  return {
    config: {
      r,
      loraAlpha,
      targetModules: targets === "all-linear" ? lastParts(modules) : [...targets],
      useRslora: options.useRslora ?? loraDefaults.useRslora,
      modulesToSave,
      alphaPattern: options.alphaPattern ?? {},
    },
    parameters: out,
  };
}

/** The modules of the score head. */
const scoreModules = (config: ModelConfig): string[] => [
  ...new Set(
    Object.keys(scoreHeadOf(config).parameters(config, config.numLabels ?? 1)).map((name) =>
      name.slice(0, name.lastIndexOf(".")),
    ),
  ),
];

function wholeModules(config: ModelConfig, parameters: Parameters, names: readonly string[]): Parameters {
  const out: Record<string, HostArray> = {};
  for (const name of names) {
    const found = Object.entries(parameters).filter(
      ([path]) => path.startsWith(`${name}.`) || path.includes(`.${name}.`),
    );
    if (found.length === 0)
      throw new AttuneError(`lora: modules_to_save: the model has no module ${name}`, { wrongUsage: true });
    for (const [path, { shape, data }] of found) {
      if (config.tieEmbeddings && path === families[config.family].embedding)
        throw new AttuneError(
          `lora: modules_to_save: ${name} is tied to the output projection, leave it out or untie the model`,
          { wrongUsage: true },
        );
      out[path] = { dtype: "float32", shape, data: (data as Float32Array).slice() };
    }
  }
  return out;
}

/** The names of the modules that have factors. */
export const adaptedModules = (parameters: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(parameters)
    .filter((name) => name.endsWith(`.${down}`))
    .map((name) => name.slice(0, -down.length - 1));

/** The factor s of a module's update, whose rank is `r`. */
export function loraScaling(config: LoraConfig, module: string, r: number): number {
  const pattern = Object.keys(config.alphaPattern).find(
    (key) => module === key || module.endsWith(`.${key}`),
  );
  const alpha = pattern === undefined ? config.loraAlpha : (config.alphaPattern[pattern] as number);
  return alpha / (config.useRslora ? Math.sqrt(r) : r);
}

/**
 * The parameter tree of the adapted model: `hiddenStates` and everything above it take it like any other. The
 * gradient with respect to `adapter` reaches the factors alone.
 */
export function withLora(lora: LoraConfig, base: Tree<Tensor>, adapter: Tree<Tensor>): Tree<Tensor> {
  const factors = flatten(adapter);
  const scaling = Object.fromEntries(
    adaptedModules(factors).map((module) => {
      const r = (factors[`${module}.${down}`] as Tensor).shape[0] as number;
      return [`${module}.lora_scaling`, scalar(loraScaling(lora, module, r))];
    }),
  );
  return unflatten({ ...flatten(base), ...factors, ...scaling });
}

/**
 * The base's parameters with the adapter worked in, W + s B A; what the adapter does not touch is shared, not copied.
 *
 * @throws AttuneError when an adapter belongs to another model
 */
export function mergeLora(
  config: ModelConfig,
  base: Parameters,
  adapter: Adapter,
): Record<string, HostArray> {
  checkAdapter(config, adapter);
  const { parameters } = adapter;
  const merged: Record<string, HostArray> = { ...base };
  for (const name of Object.keys(parameters)) if (name in base) merged[name] = parameters[name] as HostArray;
  for (const module of adaptedModules(parameters)) {
    const name = `${module}.weight`;
    const weight = base[name] as HostArray;
    const a = parameters[`${module}.${down}`] as HostArray;
    const b = parameters[`${module}.${up}`] as HostArray;
    const [inputs, outputs] = sizesOf(config, weight.shape);
    const r = a.shape[0] as number;
    const scaling = loraScaling(adapter.config, module, r);
    const [left, right] = [a.data as Float32Array, b.data as Float32Array];
    const data = (weight.data as Float32Array).slice();
    const [rowStep, columnStep] = families[config.family].inputsFirst ? [1, outputs] : [inputs, 1];
    const row = new Float64Array(inputs);
    for (let o = 0; o < outputs; o++) {
      row.fill(0);
      for (let k = 0; k < r; k++) {
        const factor = scaling * (right[o * r + k] as number);
        for (let i = 0; i < inputs; i++)
          row[i] = (row[i] as number) + factor * (left[k * inputs + i] as number);
      }
      for (let i = 0; i < inputs; i++)
        data[o * rowStep + i * columnStep] =
          (data[o * rowStep + i * columnStep] as number) + (row[i] as number);
    }
    merged[name] = { dtype: "float32", shape: weight.shape, data };
  }
  return merged;
}

/** At most this many differences in the message. */
const shownProblems = 3;

/** Throws when something in an adapter does not belong to the model, or has another shape; the first few are named. */
export function checkAdapter(config: ModelConfig, { parameters }: Adapter, source = "adapter"): void {
  const shapes = parameterShapes(config);
  const linear = new Set(linearModules(config));
  const problems: string[] = [];
  const expect = (name: string, shape: readonly (number | undefined)[]) => {
    const got = parameters[name]?.shape;
    if (got?.length !== shape.length || shape.some((dim, i) => dim !== undefined && dim !== got[i]))
      problems.push(
        `${name} is ${got ? `[${got.join(", ")}]` : "missing"}, expected [${shape.map((d) => d ?? "r").join(", ")}]`,
      );
  };
  for (const name of Object.keys(parameters)) {
    const [, module, factor] = /^(.*)\.(lora_A|lora_B)\.weight$/.exec(name) ?? [];
    if (module === undefined) {
      if (name in shapes) expect(name, shapes[name] as number[]);
      // PEFT stores a grown embedding under both of its names.
      else if (!(config.tieEmbeddings && name === families[config.family].head))
        problems.push(`${name} is not in the model`);
      continue;
    }
    if (!linear.has(module)) {
      problems.push(`${name}: the model has no projection ${module}`);
      continue;
    }
    const [inputs, outputs] = sizesOf(config, shapes[`${module}.weight`] as number[]);
    if (factor === "lora_A") {
      expect(name, [undefined, inputs]);
      expect(`${module}.${up}`, [outputs, parameters[name]?.shape[0]]);
    } else if (!(`${module}.${down}` in parameters)) problems.push(`${module}.${down} is missing`);
  }
  if (problems.length === 0) return;
  const more = problems.length > shownProblems ? `; and ${problems.length - shownProblems} more` : "";
  throw new AttuneError(
    `${source}: the adapter does not fit the model (${config.family}, ${config.numLayers} layers of ` +
      `${config.hiddenSize}): ${problems.slice(0, shownProblems).join("; ")}${more}; take the base that it was trained on`,
  );
}
