/** What a study tells while it runs. */
import type { StageStart } from "../../recipe/stage.ts";
import type { StepReport } from "../../train/loop/loop.ts";
import type { Cell } from "./grid.ts";
import type { StudyPoint } from "./measure.ts";

export interface StudyEvents {
  /** A stage of the shared run or of a cell begins. */
  onStage?(label: string, trainer: string): void;
  onStart?(start: StageStart): void;
  onStep?(report: StepReport): void;
  onCell?(cell: Cell, place: { readonly index: number; readonly of: number; readonly done: boolean }): void;
  onPoint?(label: string, point: StudyPoint): void;
  note?(line: string): void;
}
