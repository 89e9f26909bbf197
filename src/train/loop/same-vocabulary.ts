/** Models that read the same ids must mean the same by them. */
import type { Model } from "../../models/load.ts";
import { TrainError } from "../errors.ts";

/**
 * @param role what the other model is for, as its option is called
 * @throws TrainError when the tokenizers differ
 */
export function checkVocabulary(policy: Model, other: Model, role: string): void {
  const [a, b] = [policy.tokenizer, other.tokenizer];
  const differs = a && b ? JSON.stringify(a.definition) !== JSON.stringify(b.definition) : false;
  if (differs || policy.config.vocabSize !== other.config.vocabSize)
    throw new TrainError(
      `${role}: ${other.name} has another tokenizer than the policy ${policy.name}, so its token ids mean something else; ` +
        "take a model with the policy's tokenizer",
    );
}
