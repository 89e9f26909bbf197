/** metrics.jsonl of a run (Node): a JSON object a line, each with its `step`. */
import { appendFile, readFile, rename, writeFile } from "node:fs/promises";

export type Metrics = Readonly<Record<string, number>>;

export interface MetricsFile {
  write(metrics: Metrics): Promise<void>;
}

/** Opens the file for lines after `step`; later ones, of a run that was killed, are taken out. */
export async function openMetrics(path: string, step: number): Promise<MetricsFile> {
  const text = await readFile(path, "utf8").catch(() => "");
  const kept = text.split("\n").filter((line) => line !== "" && stepOf(line) <= step);
  await writeFile(`${path}.new`, kept.map((line) => `${line}\n`).join(""));
  await rename(`${path}.new`, path);
  return { write: (metrics) => appendFile(path, `${JSON.stringify(metrics)}\n`) };
}

/** A torn last line counts as one that is too late. */
function stepOf(line: string): number {
  try {
    return JSON.parse(line).step ?? 0;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
