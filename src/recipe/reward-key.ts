/** The key of stages that score answers. */
import { z } from "zod";

/** A reward as it may be written; names of earlier stages and `world:gold` mean those. */
export const rewardKey = z.unknown().optional().meta({
  description: "what scores responses: a reward model, ./module.ts, a rule, a URL, a weighted sum, a stage",
});
