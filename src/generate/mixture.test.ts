import { expect, it } from "vitest";
import { hostArray, unflatten } from "../graph/index.ts";
import { openEngine, plainForward, tinyModel } from "./generate.fixture.ts";
import { createGenerator } from "./generator.ts";

it.each([
  [1, 64],
  [3, 64],
  [3, 1],
])(
  "draws from the geometric mixture of two models (%s samples a prompt, shared from %s tokens)",
  async (samples, sharedFrom) => {
    const engine = await openEngine();
    const own = await tinyModel("llama");
    const weights = Object.fromEntries(
      Object.entries(own.weights).map(([name, { shape, data }]) => [
        name,
        hostArray(
          "float32",
          shape,
          Float32Array.from(data as Float32Array, (x, i) => x * (1.2 + 0.4 * Math.sin(i))),
        ),
      ]),
    );
    const other = { config: own.config, weights };
    const coefficient = 0.3;
    const [p, q] = [await plainForward(engine, own), await plainForward(engine, other)];
    const prompts = [
      [5, 9, 11],
      [7, 3, 21, 30, 8],
    ];
    const check = async (mixed: ReturnType<typeof createGenerator>) => {
      const options = { maxNewTokens: 5, samples, seed: 1, eosTokenIds: [] };
      for (const { prompt, ids, logprobs } of await mixed.generate(prompts, options)) {
        const row = [...(prompts[prompt] as number[]), ...ids];
        const [a, b] = [await p(row), await q(row)];
        for (const [t, id] of ids.entries()) {
          const at = (prompts[prompt] as number[]).length - 1 + t;
          const logits = Array.from(a[at] as Float32Array, (x, v) => 0.7 * x + 0.3 * (b[at]?.[v] as number));
          const norm = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
          expect(logprobs[t]).toBeCloseTo((logits[id] as number) - norm, 4);
        }
      }
      await mixed.dispose();
    };
    const mixture = { weights: unflatten(weights), coefficient };
    await check(createGenerator(engine, own.config, unflatten(own.weights), { mixture, sharedFrom }));
    const residents = {
      own: await engine.put(unflatten(own.weights)),
      other: await engine.put(unflatten(weights)),
    };
    await check(
      createGenerator(engine, own.config, residents.own, {
        mixture: { weights: residents.other, coefficient },
        sharedFrom,
      }),
    );
    expect(() => createGenerator(engine, own.config, residents.own, { mixture })).toThrow(
      /both models in one place/,
    );
    await engine.dispose();
  },
);
