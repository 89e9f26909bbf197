/** Repeats a program that is one iteration of a scan: see compile-scan.ts. */
import { type HostArray, hostArray, type Resident, sizeOf, type Value, zerosArray } from "../array.ts";
import { AttuneError, ShapeError } from "../errors.ts";
import { flatten, mapTree, type Tree, unflatten } from "../tree.ts";

/** What holds the carried values between iterations. */
interface Store {
  put(tree: Tree<HostArray>): Promise<Tree<Resident>>;
  get(tree: Tree<Resident>): Promise<Tree<HostArray>>;
  free(tree: Tree<Resident>): Promise<void>;
}

/** Calls one iteration. */
type Step = (args: readonly Tree<Value>[]) => Promise<Tree<Value>>;

/** Runs the iterations over [carry, xs, constants] and returns {carry, ys, iterations}, as a `Loop` would. */
export async function runHostLoop(
  store: Store,
  step: Step,
  expected: number | undefined,
  [carry = {}, xs = {}, constants = {}]: readonly Tree<Value>[],
): Promise<Tree<Value>> {
  const elements = flatten<Value>(xs);
  const trips = tripsOf(elements, expected);
  const fromHost = Object.entries(flatten<Value>(carry)).filter(([, value]) => !("resident" in value));
  const uploaded = flatten<Resident>(
    await store.put(unflatten(Object.fromEntries(fromHost) as Record<string, HostArray>)),
  );
  let state = mapTree<Value, Value>(carry, (value, path) => uploaded[path] ?? value);
  const results: Record<string, HostArray>[] = [];
  let last = false;
  for (let k = 0; k < trips && !last; k++) {
    const x = mapTree<Value, Value>(xs, (array) => elementAt(array as HostArray, k));
    const out = await step([state, x, constants, { i: hostArray("int64", [], [k]) }]);
    state = out.carry as Tree<Value>;
    results.push(flatten((out.ys ?? {}) as Tree<Value>) as Record<string, HostArray>);
    last = out.until !== undefined && (out.until as HostArray).data[0] === 1;
  }
  const final = flatten<Value>(state) as Record<string, Resident>;
  const own = Object.fromEntries(Object.keys(uploaded).map((path) => [path, final[path] as Resident]));
  const back = flatten<HostArray>(await store.get(unflatten(own)));
  await store.free(unflatten(own));
  return {
    carry: mapTree<Value, Value>(state, (value, path) => back[path] ?? value),
    ...(Object.keys(results[0] ?? {}).length > 0 && { ys: stacked(results) }),
    iterations: hostArray("int64", [], [results.length]),
  };
}

function tripsOf(elements: Readonly<Record<string, Value>>, expected: number | undefined): number {
  let trips = expected;
  for (const [path, value] of Object.entries(elements)) {
    if ("resident" in value) throw new AttuneError(`run: ${path} of a scan's xs must be a host array`);
    trips ??= value.shape[0];
    if (value.shape[0] !== trips)
      throw new ShapeError(`run: ${path} has ${value.shape[0]} elements along its first axis, not ${trips}`);
  }
  return trips ?? 0;
}

/** One element of the leading axis, without a copy. */
function elementAt({ dtype, shape, data }: HostArray, k: number): HostArray {
  const rest = shape.slice(1);
  const size = sizeOf(rest);
  return { dtype, shape: rest, data: data.subarray(k * size, (k + 1) * size) } as HostArray;
}

/** The results of all iterations along a new leading axis. */
function stacked(results: readonly Record<string, HostArray>[]): Tree<HostArray> {
  const [first] = results;
  const joined = Object.entries(first ?? {}).map(([path, { dtype, shape, data }]): [string, HostArray] => {
    const all = zerosArray(dtype, [results.length, ...shape]);
    for (const [k, result] of results.entries()) {
      const part = result[path] as HostArray;
      (all.data as Uint8Array).set(part.data as Uint8Array, k * data.length);
    }
    return [path, all];
  });
  return unflatten(Object.fromEntries(joined));
}
