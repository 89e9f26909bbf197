/**
 * Measures of models.
 *
 * @example
 * import { windowsOf } from "attune/evaluate";
 *
 * windowsOf(20, 8); // windows of 8 tokens, 4 apart; every token but the first counts once
 */
export {
  EvaluateError,
  type Perplexity,
  type PerplexityOptions,
  type PerplexityRow,
  perplexity,
  tokenNll,
  windowsOf,
} from "./perplexity.ts";
