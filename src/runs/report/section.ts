/** A section of the report: nothing where the run has nothing to show in it. Sections join by a row in sections/index.ts. */
import type { Html } from "./html.ts";
import type { RunData } from "./run-data.ts";

export interface Section {
  /** Of the link to it. */
  readonly id: string;
  readonly title: string;
  render(data: RunData): Html | undefined;
}
