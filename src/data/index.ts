/**
 * Data: rows of files to tokens, masks and batches.
 *
 * @example
 * import { townStories } from "attune/data";
 *
 * const [story] = townStories(1, 7); // the same text on every machine
 */
export { epochBatches } from "./batches.ts";
export { type Batch, type CollateOptions, collate, ignoredLabel } from "./collate.ts";
export { type Dataset, type DatasetOptions, loadDataset, type SftData } from "./dataset.ts";
export { DataError } from "./errors.ts";
export { type Example, labelCount } from "./example.ts";
export { type RawRow, type ReadOptions, readRawRows, readSftRows } from "./node-files.ts";
export { readTexts } from "./node-texts.ts";
export { packExamples } from "./packing.ts";
export { type Preflight, preflight } from "./preflight.ts";
export { type Message, readSftRow, type SftRow, type Source, type Sourced, showSource } from "./rows.ts";
export { encodePair, type TokenizeOptions, tokenizeRow } from "./tokenize.ts";
export { townName, townStories } from "./town.ts";
export { type Truncation, truncations } from "./truncation.ts";
