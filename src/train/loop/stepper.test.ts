import { expect, it } from "vitest";
import { type HostArray, hostArray, mapTree, type Tensor, type Tree, unflatten } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { tokenSpec } from "../../models/model.ts";
import { sgd } from "../../optim/index.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { languageModelLoss } from "./language-model.ts";
import { createStepper } from "./stepper.ts";

const merged = (a: Tree<Tensor>, b: Tree<Tensor>): Tree<Tensor> => {
  const out: Record<string, Tensor | Tree<Tensor>> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const own = out[key];
    out[key] =
      own && !("dtype" in own) && !("dtype" in value)
        ? merged(own as Tree<Tensor>, value as Tree<Tensor>)
        : value;
  }
  return out as Tree<Tensor>;
};

it("what a batch brings from the engine stays as it is, and training the rest is the same with and without micro-batches", async () => {
  const { config, parameters } = tinyModel();
  const engine = await createEngine({ threads: 1 });
  const isTrained = ([name]: [string, unknown]) => name.includes("norm");
  const entries = Object.entries(parameters);
  const trained = unflatten(Object.fromEntries(entries.filter(isTrained)));
  const frozen = unflatten(Object.fromEntries(entries.filter((entry) => !isTrained(entry))));
  const ids = BigInt64Array.from({ length: 16 }, (_, i) => BigInt((i * 37) % config.vocabSize));
  const labels = ids.toReversed();
  const rows = (from: number, to: number) => ({
    input_ids: hostArray("int64", [to - from, 8], ids.slice(8 * from, 8 * to)),
    labels: hostArray("int64", [to - from, 8], labels.slice(8 * from, 8 * to)),
  });
  const frozenSpec = mapTree(frozen, ({ dtype, shape }) => ({ dtype, shape }));
  const resident = await engine.put(frozen);
  const losses: number[][] = [];
  for (const micro of [[rows(0, 2)], [rows(0, 1), rows(1, 2)]]) {
    const stepper = await createStepper({
      engine,
      loss: (params, batch) => languageModelLoss(config)(merged(params, batch.frozen as Tree<Tensor>), batch),
      optimizer: sgd({ momentum: 0.5 }),
      parameters: trained,
      batch: { input_ids: tokenSpec(), labels: tokenSpec(), frozen: frozenSpec },
      accumulate: micro.length > 1,
    });
    const found: number[] = [];
    for (let i = 0; i < 5; i++)
      found.push(
        (
          await stepper.step(
            micro.map((arrays) => ({ ...arrays, frozen: resident })),
            16,
            0.5,
          )
        ).loss as number,
      );
    losses.push(found);
    const after = (await engine.get(resident)) as Tree<HostArray>;
    expect(after).toEqual(frozen);
    await stepper.free();
  }
  const [whole, cut] = losses as [number[], number[]];
  expect(whole[4]).toBeLessThan(whole[0] as number);
  for (const [i, loss] of cut.entries()) expect(loss).toBeCloseTo(whole[i] as number, 5);
  await engine.dispose();
});
