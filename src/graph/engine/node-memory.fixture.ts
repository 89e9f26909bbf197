/**
 * A program of its own that updates 96 MB of donated state 20 times and prints the state's size and the
 * largest resident memory after the second step and at the end, in MB.
 */
import { compile } from "../compile.ts";
import {
  add,
  addAll,
  flatten,
  type HostArray,
  mapTree,
  mul,
  sum,
  type Tensor,
  type TensorSpec,
  zerosArray,
} from "../index.ts";
import { createEngine } from "../node.ts";

const size = 8 * 2 ** 20;
const specs = Object.fromEntries(
  ["a", "b", "c"].map((name) => [name, { dtype: "float32", shape: [size] } as const]),
);
const program = compile(
  (state) => {
    const scale = add(mul(addAll(Object.values(flatten(state)).map((x) => sum(x))), 1e-9), 1);
    return { state: mapTree(state, (x: Tensor) => mul(x, scale)) };
  },
  [specs],
  { donate: { state: 0 } },
);
const engine = await createEngine({ worker: process.argv[2] === "worker", threads: 1 });
const executable = await engine.load(program);
const zeros = mapTree<TensorSpec, HostArray>(specs, () => zerosArray("float32", [size]));
const state = await engine.put(zeros, { transfer: true });
const peaks: number[] = [];
for (let i = 0; i < 20; i++) {
  await engine.run(executable, [state]);
  peaks.push(process.resourceUsage().maxRSS / 1024);
}
const inPlace = Object.values(program.donated).every((pair) => pair.inPlace);
console.log(
  JSON.stringify({ inPlace, stateMB: (3 * size * 4) / 2 ** 20, early: peaks[5], late: peaks.at(-1) }),
);
await engine.dispose();
