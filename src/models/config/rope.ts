/**
 * Rotary position embeddings: the inverse frequencies and the attention scaling of each rope type.
 *
 * Position p turns the pair i of a head by the angle p * inverseFrequencies[i]; cosines and sines are multiplied by
 * `attentionScaling`. Sources: RoFormer (Su et al. 2021), position interpolation (Chen et al. 2023), YaRN (Peng et al.
 * 2023), LongRoPE (Ding et al. 2024), Llama 3.1, as in transformers' modeling_rope_utils. The arithmetic is rounded to
 * float32 at the same places as there, so that angles at far positions agree.
 */
import { z } from "zod";
import { CheckpointError } from "../errors.ts";

export interface Rope {
  /** How many leading dimensions of a head are turned; even. */
  readonly rotaryDim: number;
  /** `rotaryDim / 2` angles per position, in radians. */
  readonly inverseFrequencies: readonly number[];
  readonly attentionScaling: number;
}

const count = z.number().int().positive();
const positive = z.number().positive();
const parametersSchema = z.looseObject({
  rope_type: z.string().nullish(),
  type: z.string().nullish(),
  rope_theta: positive.nullish(),
  partial_rotary_factor: positive.max(1).nullish(),
  factor: positive.nullish(),
  original_max_position_embeddings: count.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: z.number().nullish(),
  beta_slow: z.number().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  short_factor: z.array(positive).nullish(),
  long_factor: z.array(positive).nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  mrope_section: z.unknown().optional(),
});
type RopeParameters = z.infer<typeof parametersSchema>;

/** What a rope type computes from. */
interface RopeInput {
  readonly parameters: RopeParameters;
  readonly theta: number;
  readonly dim: number;
  readonly maxPositions: number;
  readonly originalMaxPositions: number;
  readonly length: number | undefined;
  /** A parameter that this type cannot do without. */
  require<K extends keyof RopeParameters>(key: K): NonNullable<RopeParameters[K]>;
}

type RopeResult = Omit<Rope, "rotaryDim">;

const f32 = Math.fround;

/** theta^(2i/d) for i in [0, d/2). */
const wavelengths = ({ theta, dim }: { theta: number; dim: number }): number[] =>
  Array.from({ length: Math.ceil(dim / 2) }, (_, i) => f32(f32(theta) ** f32((2 * i) / dim)));

const invert = (values: readonly number[]): number[] => values.map((v) => f32(1 / v));

const ropeTypes = {
  default: (input) => ({ inverseFrequencies: invert(wavelengths(input)), attentionScaling: 1 }),

  linear: (input) => {
    const factor = input.require("factor");
    return {
      inverseFrequencies: invert(wavelengths(input)).map((f) => f32(f / factor)),
      attentionScaling: 1,
    };
  },

  // NTK: the base grows with the length beyond the trained one; up to `maxPositions` this is the default.
  dynamic: (input) => {
    const factor = input.require("factor");
    const { dim, maxPositions } = input;
    const length = Math.max(input.length ?? 0, maxPositions);
    const theta = input.theta * ((factor * length) / maxPositions - (factor - 1)) ** (dim / (dim - 2));
    return { inverseFrequencies: invert(wavelengths({ theta, dim })), attentionScaling: 1 };
  },

  yarn: (input) => {
    const { dim, theta, parameters: p, originalMaxPositions } = input;
    const factor = p.factor ?? input.maxPositions / originalMaxPositions;
    const mscale = (scale = 1) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
    const attentionScaling =
      p.attention_factor ??
      (p.mscale && p.mscale_all_dim ? mscale(p.mscale) / mscale(p.mscale_all_dim) : mscale());
    // The dimension that turns `rotations` times within the original length.
    const dimensionOf = (rotations: number) =>
      (dim * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
    const truncate = p.truncate ?? true;
    const [fast, slow] = [dimensionOf(p.beta_fast || 32), dimensionOf(p.beta_slow || 1)];
    const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
    const high = Math.min(truncate ? Math.ceil(slow) : slow, dim - 1);
    const width = low === high ? 0.001 : high - low;
    const inverseFrequencies = wavelengths(input).map((wave, i) => {
      const keep = f32(1 - Math.min(Math.max(f32((i - low) / width), 0), 1));
      return f32(f32(f32(1 / f32(factor * wave)) * f32(1 - keep)) + f32(f32(1 / wave) * keep));
    });
    return { inverseFrequencies, attentionScaling };
  },

  // Short factors up to the original length, long ones beyond it.
  longrope: (input) => {
    const { parameters: p, originalMaxPositions } = input;
    const factor = p.factor ?? input.maxPositions / originalMaxPositions;
    const attentionScaling =
      p.attention_factor ??
      (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions)));
    const isLong = (input.length ?? 0) > originalMaxPositions;
    const key = isLong ? "long_factor" : "short_factor";
    const stretch = input.require(key);
    const waves = wavelengths(input);
    if (stretch.length !== waves.length)
      throw new CheckpointError(
        `${key} of rope type longrope needs ${waves.length} numbers, got ${stretch.length}`,
      );
    return {
      inverseFrequencies: waves.map((wave, i) => f32(1 / f32(f32(stretch[i] as number) * wave))),
      attentionScaling,
    };
  },

  // Low frequencies are slowed by `factor`, high ones kept, those between interpolated.
  llama3: (input) => {
    const factor = input.require("factor");
    const lowFactor = input.require("low_freq_factor");
    const highFactor = input.require("high_freq_factor");
    const length = input.originalMaxPositions;
    const inverseFrequencies = invert(wavelengths(input)).map((frequency) => {
      const wave = f32(f32(2 * Math.PI) / frequency);
      if (wave < length / highFactor) return frequency;
      if (wave > length / lowFactor) return f32(frequency / factor);
      const smooth = f32(f32(f32(length / wave) - lowFactor) / (highFactor - lowFactor));
      return f32(f32(f32(f32(1 - smooth) * frequency) / factor) + f32(smooth * frequency));
    });
    return { inverseFrequencies, attentionScaling: 1 };
  },
} satisfies Record<string, (input: RopeInput) => RopeResult>;

export type RopeType = keyof typeof ropeTypes;

/** How a family names its rotary parameters outside `rope_parameters`. */
export interface RopeKeys {
  readonly theta: string;
  readonly partial?: { readonly key: string; readonly byDefault: number };
}

/**
 * The rotary table of a config.json, from `rope_scaling` and `rope_theta` (transformers 4) or `rope_parameters`
 * (transformers 5).
 *
 * `length` matters to the types that depend on the sequence: without it, "dynamic" is the default table, right up to
 * `max_position_embeddings`, and "longrope" takes its short factors, right up to `original_max_position_embeddings`.
 * Throws `CheckpointError` for an unknown type, a missing parameter, or parameters that differ between layers.
 */
export function ropeOf(
  raw: Readonly<Record<string, unknown>>,
  {
    headDim,
    maxPositions,
    length,
    keys,
  }: { headDim: number; maxPositions: number; length?: number; keys: RopeKeys },
): Rope & { readonly type: RopeType; readonly originalMaxPositions: number } {
  const parsed = parametersSchema.safeParse(uniform(chosen(raw)));
  if (!parsed.success) throw new CheckpointError(`rope parameters: ${z.prettifyError(parsed.error)}`);
  const parameters = parsed.data;
  if (parameters.mrope_section != null)
    throw new CheckpointError("multimodal rope (mrope_section) is not supported");
  const type = parameters.rope_type ?? parameters.type ?? "default";
  if (!Object.hasOwn(ropeTypes, type))
    throw new CheckpointError(`rope type ${type} is unknown, known are ${Object.keys(ropeTypes).join(", ")}`);

  const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
  const partial =
    parameters.partial_rotary_factor ??
    (keys.partial && (number(raw[keys.partial.key]) ?? keys.partial.byDefault));
  const dim = Math.floor(headDim * (partial ?? 1));
  if (dim < 2 || dim % 2 !== 0)
    throw new CheckpointError(
      `rope turns ${dim} of ${headDim} dimensions of a head, an even count is required`,
    );
  const originalMaxPositions =
    number(raw.original_max_position_embeddings) ??
    parameters.original_max_position_embeddings ??
    maxPositions;
  const input: RopeInput = {
    parameters,
    theta: parameters.rope_theta ?? number(raw[keys.theta]) ?? 10_000,
    dim,
    maxPositions,
    originalMaxPositions,
    length,
    require: (key) => {
      const value = parameters[key];
      if (value == null)
        throw new CheckpointError(`rope type ${type} needs ${String(key)}, which is missing`);
      return value as NonNullable<typeof value>;
    },
  };
  return {
    rotaryDim: dim,
    ...ropeTypes[type as RopeType](input),
    type: type as RopeType,
    originalMaxPositions,
  };
}

/** As in transformers 5, `rope_scaling` comes first unless it is empty. */
function chosen({
  rope_scaling: scaling,
  rope_parameters: parameters,
}: Readonly<Record<string, unknown>>): unknown {
  const isEmpty = scaling == null || (typeof scaling === "object" && Object.keys(scaling).length === 0);
  return isEmpty ? (parameters ?? {}) : scaling;
}

/** transformers 5 may nest the parameters by layer type; one table serves all layers only when they are equal. */
function uniform(parameters: unknown): unknown {
  if (typeof parameters !== "object" || parameters === null) return parameters;
  const nested = ["full_attention", "sliding_attention"].filter((key) => key in parameters);
  if (nested.length === 0) return parameters;
  const [first, ...rest] = nested.map((key) => (parameters as Record<string, unknown>)[key]);
  const canonical = (x: unknown) =>
    JSON.stringify(Object.entries(x as object).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (rest.some((other) => other == null || first == null || canonical(other) !== canonical(first)))
    throw new CheckpointError(
      `rope_parameters differ between ${nested.join(" and ")}: one table for all layers is required`,
    );
  return first;
}
