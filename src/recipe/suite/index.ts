/** A suite of measures over several models: `attune eval suite FILE`. */
export type { ModelFigures, PairFigures, SuiteResult } from "./result.ts";
export { type RunSuiteOptions, runSuite } from "./run-suite.ts";
export { readSuite, type Suite, type SuiteMetric, suiteJsonSchema, suiteMetrics } from "./suite.ts";
