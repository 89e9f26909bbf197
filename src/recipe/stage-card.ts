/** The model card beside a stage's final model: what a recipe, or a trainer's command, knows of it. */
import { join } from "node:path";
import { writeModelCard } from "../runs/model-card.ts";
import type { Evaluation } from "./evaluate.ts";
import type { StageKeys, StageKind, StageResult } from "./stage.ts";

export interface StageCard {
  readonly name: string;
  readonly kind: StageKind;
  readonly keys: StageKeys;
  readonly trained: Pick<StageResult, "metrics" | "data" | "steps"> & Required<Pick<StageResult, "model">>;
  readonly evaluation?: Evaluation | undefined;
  readonly command?: string | undefined;
  readonly version?: string | undefined;
}

/** Writes the card into `model` of the stage's folder; a README.md that a person wrote stays. */
export async function writeStageCard(dir: string, card: StageCard): Promise<void> {
  const { name, kind, keys, trained, evaluation, command, version } = card;
  const { model, metrics, data, steps } = trained;
  const base = keys[kind.models[0] as string];
  const rows = [keys.data].flat().filter((reference) => typeof reference === "string");
  await writeModelCard(join(dir, "model"), {
    name,
    method: kind.name,
    ...(typeof base === "string" && { base }),
    data: rows,
    rows: data.rows,
    steps,
    metrics: Object.fromEntries(Object.entries(metrics).filter(([metric]) => kind.shown.includes(metric))),
    ...(evaluation && { evaluation }),
    adapter: model.adapter !== undefined,
    scores: model.config.numLabels !== undefined,
    ...(command && { command }),
    ...(version && { version }),
  });
}
