/** An engine for as long as something needs it, in the calling thread, whose clock is the one that is read. */
import type { Engine } from "../src/graph/index.ts";
import { createEngine } from "../src/graph/node.ts";

export async function withEngine<T>(threads: number, use: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await createEngine({ threads, worker: false });
  try {
    return await use(engine);
  } finally {
    await engine.dispose();
  }
}
