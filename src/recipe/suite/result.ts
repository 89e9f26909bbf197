/** What a suite leaves: `suite.json` is this. */
import type {
  AccuracyBySubset,
  BradleyTerryRating,
  Calibration,
  Interval,
  LengthControlledWinRate,
  Rating,
  RewardAlignment,
  WinRate,
} from "../../evaluate/index.ts";

/** An answer of a model, as a row's file keeps it. */
export interface AnswerRow {
  readonly prompt: string;
  readonly completion: string;
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly terminated: boolean;
  /** The columns of the prompt's row. */
  readonly row: Readonly<Record<string, unknown>>;
}

export interface ModelFigures {
  readonly name: string;
  readonly model: string;
  /** By reward. */
  readonly reward?: Readonly<Record<string, Interval>>;
  /** Against the baseline, by the first reward. */
  readonly win_rate?: WinRate;
  readonly length_controlled_win_rate?: LengthControlledWinRate;
  /** Each direction along the answers of the model whose expectation it is. */
  readonly kl?: {
    readonly model_baseline: Interval;
    readonly baseline_model: Interval;
    readonly unit: "nats per response";
  };
  readonly perplexity?: number;
  readonly length?: Interval & { readonly unit: "tokens" };
  readonly share_terminated?: number;
  readonly distinct_1?: number;
  readonly distinct_2?: number;
  readonly self_bleu?: number;
  readonly repetition?: number;
  readonly rouge?: Readonly<Record<string, Interval>>;
}

export interface PairFigures {
  readonly file: string;
  readonly reward: string;
  readonly pairs: number;
  readonly accuracy: AccuracyBySubset;
  readonly calibration: Calibration;
}

export interface SuiteResult {
  readonly name: string;
  readonly attune: string;
  readonly seed: number;
  readonly baseline: string;
  /** The reward that decides who wins. */
  readonly gold?: string;
  readonly prompts: number;
  readonly models: readonly ModelFigures[];
  readonly leaderboard?: {
    readonly bradley_terry: readonly BradleyTerryRating[];
    readonly elo: readonly Rating[];
  };
  /** Of each other reward with the first one, over the answers of all models. */
  readonly alignment?: Readonly<Record<string, RewardAlignment>>;
  readonly pairs?: readonly PairFigures[];
  /** The first answers of every model. */
  readonly answers: readonly {
    readonly model: string;
    readonly prompt: string;
    readonly completion: string;
    readonly score?: number;
  }[];
}
