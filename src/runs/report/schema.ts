/**
 * The files of a run as the report reads them. Nearly everything may be missing, and unknown columns are left alone: a
 * report is written of what there is.
 */
import { z } from "zod";

/** A mean with the ends of its 95 % interval. */
const interval = z.object({ mean: z.number(), low: z.number(), high: z.number() });
export type Interval = z.infer<typeof interval>;

/** run.json. */
export const runSchema = z.looseObject({
  name: z.string(),
  attune: z.string().optional(),
  node: z.string().optional(),
  machine: z.looseObject({ cpu: z.string(), cores: z.number(), memory_gib: z.number() }).partial().optional(),
  seed: z.number().optional(),
  started: z.string().optional(),
  finished: z.string().optional(),
  seconds: z.number().optional(),
  command: z.string().optional(),
  stages: z.array(z.string()),
});
export type Run = z.infer<typeof runSchema>;

/** What the training of a reward model measures on held-out pairs. */
export const rewardModelSchema = z.looseObject({
  accuracy: z.number(),
  pairs: z.number(),
  calibration: z.object({
    ece: z.number(),
    bins: z.array(
      z.looseObject({
        low: z.number(),
        high: z.number(),
        predicted: z.number().nullable(),
        observed: z.number().nullable(),
        count: z.number(),
      }),
    ),
  }),
  accuracy_by_margin: z
    .array(
      z.object({
        low: z.number(),
        high: z.number().nullable(),
        accuracy: z.number().nullable(),
        count: z.number(),
      }),
    )
    .optional(),
  length_correlation: z.number().nullable().optional(),
  score_by_level: z
    .record(z.string(), z.object({ mean: z.number(), std: z.number(), count: z.number() }))
    .optional(),
});
export type RewardModelFigures = z.infer<typeof rewardModelSchema>;

/** stage.json. */
export const stageSchema = z.looseObject({
  name: z.string(),
  trainer: z.string().optional(),
  status: z.string().optional(),
  seconds: z.number().optional(),
  steps: z.number().optional(),
  model: z.looseObject({ family: z.string(), parameters: z.number(), from: z.string() }).partial().optional(),
  data: z.looseObject({ rows: z.number(), tokens: z.number(), skipped: z.number() }).partial().optional(),
  best: z.looseObject({ step: z.number(), value: z.number() }).optional(),
  reward_model: rewardModelSchema.optional(),
});
export type StageFigures = z.infer<typeof stageSchema>;

/** evaluation.json: a stage's model on the held-out prompts. */
export const evaluationSchema = z.looseObject({
  prompts: z.number().optional(),
  reward: z.object({ overall: interval, axes: z.record(z.string(), interval).optional() }).optional(),
  by_kind: z.record(z.string(), z.looseObject({ overall: interval, count: z.number() })).optional(),
  win_rate: z
    .object({ against: z.string(), rate: z.number(), low: z.number(), high: z.number(), n: z.number() })
    .optional(),
  kl: z
    .looseObject({
      against: z.string(),
      value: z.number(),
      low: z.number(),
      high: z.number(),
      unit: z.string(),
    })
    .optional(),
  perplexity: z.number().optional(),
  length: z.looseObject({ mean: z.number(), unit: z.string() }).optional(),
  distinct_1: z.number().optional(),
  distinct_2: z.number().optional(),
  share_terminated: z.number().optional(),
});
export type Evaluation = z.infer<typeof evaluationSchema>;

/** A line of responses.jsonl. */
export const responseSchema = z.looseObject({
  prompt: z.string(),
  kind: z.string().optional(),
  completion: z.string(),
  scores: z.record(z.string(), z.number().nullable()).optional(),
  tokens: z.number().optional(),
  terminated: z.boolean().optional(),
});
export type Response = z.infer<typeof responseSchema>;

/** A line of samples.jsonl: what the model said while it trained. */
export const sampleSchema = z.looseObject({
  step: z.number(),
  prompt: z.string(),
  completion: z.string(),
  score: z.number().nullable().optional(),
});
export type TrainingSample = z.infer<typeof sampleSchema>;

/** A line of metrics.jsonl; what was not finite is null. */
export const metricsSchema = z.intersection(
  z.object({ step: z.number() }),
  z.record(z.string(), z.number().nullable()),
);
export type MetricsLine = z.infer<typeof metricsSchema>;
