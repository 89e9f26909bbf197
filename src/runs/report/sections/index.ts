/** The sections of the report, in their order; one with nothing to show is left out. */
import type { Section } from "../section.ts";
import { curvesSection } from "./curves.ts";
import { evaluation } from "./evaluation.ts";
import { frontier } from "./frontier.ts";
import { responses } from "./responses.ts";
import { rewardModel } from "./reward-model.ts";
import { stages } from "./stages.ts";
import { time } from "./time.ts";

export const sections: readonly Section[] = [
  stages,
  evaluation,
  frontier,
  rewardModel,
  curvesSection,
  time,
  responses,
];
