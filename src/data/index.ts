/**
 * Data: rows of files to tokens, masks and batches.
 *
 * @example
 * import { createWorld } from "attune/data";
 *
 * const world = createWorld({ seed: 7 }); // the same rows on every machine
 * const [row] = world.demonstrations(1);
 * const { overall, honest } = world.goldScore(row.prompt, row.completion);
 */
export type { OnBadRow } from "./bad-rows.ts";
export { epochBatches } from "./batches.ts";
export { type Batch, type CollateOptions, collate, ignoredLabel } from "./collate.ts";
export { type Dataset, type DatasetOptions, loadDataset } from "./dataset.ts";
export { DataError } from "./errors.ts";
export { type Example, labelCount } from "./example.ts";
export { type ExchangeOptions, encodeExchange, encodePrompt } from "./exchange.ts";
export { formatNames } from "./formats/index.ts";
export type { DataInput, DataPart, RowsInMemory } from "./input.ts";
export { type Inspection, type InspectOptions, inspectData } from "./inspect.ts";
export { type LabelDataset, type Labelled, type LabelOptions, loadLabels } from "./labels.ts";
export { type RowList, selected, take } from "./list.ts";
export { type MixtureEnd, mixtureEnds } from "./mixture.ts";
export { type RawRow, type ReadOptions, readRawRows } from "./node-files.ts";
export { datasetFiles, datasetName } from "./node-hub-data.ts";
export { readTexts } from "./node-texts.ts";
export { packExamples } from "./packing.ts";
export { type Pair, pairLength, responseOf } from "./pair.ts";
export { loadPreferences, type PreferenceDataset, type PreferenceOptions } from "./preferences.ts";
export {
  type Lengths,
  labelPreflight,
  type Piece,
  type Preflight,
  preferencePreflight,
  preflight,
  promptPreflight,
} from "./preflight.ts";
export { loadPrompts, type PromptDataset, type PromptExample, type PromptOptions } from "./prompts.ts";
export { loadRankings, type RankedList, type RankingDataset } from "./rankings.ts";
export { type Message, type Source, showSource, type Text } from "./rows.ts";
export { type SynthOptions, type SynthTemplates, synthesize } from "./synth.ts";
export { encodePair, type SftRow, type TokenizeOptions, tokenizeRow } from "./tokenize.ts";
export { type PairTruncation, pairTruncations, type Truncation, truncations } from "./truncation.ts";
export { type GoldScore, goldScore, goldWeights } from "./world/gold.ts";
export { type KindName, kindNames, type Level, levels } from "./world/kind.ts";
export { createWorld, type World } from "./world/world.ts";
