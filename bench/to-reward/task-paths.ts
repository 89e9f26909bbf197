/** Where the task of ppo-to-reward is kept. */
import { join } from "node:path";

export const taskPaths = (folder: string) => ({
  policy: join(folder, "policy"),
  reward: join(folder, "reward"),
  prompts: join(folder, "prompts.jsonl"),
  held_out: join(folder, "held-out.jsonl"),
});
