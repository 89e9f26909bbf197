/**
 * jax-js on its WebAssembly backend as a peer: the train step of a GPT-2-like model, all of it under `jit`.
 *
 * It computes in threads where it finds the browser's `Worker`. Node has none, so that a few lines of adapter over
 * worker_threads let it run at its best. Every operation consumes its arguments; `.ref` keeps one for another use.
 * The token rows come from a product with one-hot ids: the gradient of a gather does not compile under jit.
 */
import { resolveObjectURL } from "node:buffer";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker as NodeWorker } from "node:worker_threads";

const threads = Number(process.env.ATTUNE_BENCH_THREADS) || availableParallelism();

const prelude = `
const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on("message", (data) => self.onmessage({ data }));
`;

/** As much of the browser's Worker as the library uses. */
class BlobWorker {
  constructor(url) {
    this.started = resolveObjectURL(url)
      .text()
      .then((source) => {
        const worker = new NodeWorker(prelude + source, { eval: true });
        worker.on("message", (data) => this.onmessage?.({ data }));
        worker.on("error", (error) => this.onerror?.(error));
        this.worker = worker;
        return worker;
      });
  }
  postMessage(message) {
    if (this.worker) this.worker.postMessage(message);
    else this.started.then((worker) => worker.postMessage(message));
  }
}

// The library uses iterator helpers, which Node has from version 22 on.
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
for (const name of ["map", "filter", "flatMap", "some", "every", "find", "reduce", "forEach"])
  iterators[name] ??= function (...args) {
    const result = [...this][name](...args);
    return Array.isArray(result) ? result.values() : result;
  };
iterators.toArray ??= function () {
  return [...this];
};

if (threads > 1) {
  globalThis.Worker = BlobWorker;
  Object.defineProperty(globalThis, "navigator", {
    value: { hardwareConcurrency: threads },
    configurable: true,
  });
}
const jax = await import("@jax-js/jax");
const { numpy: np, nn, random, tree, jit, valueAndGrad } = jax;

export async function ready() {
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const { version } = JSON.parse(
    readFileSync(new URL("node_modules/@jax-js/jax/package.json", import.meta.url), "utf8"),
  );
  return `jax-js ${version} wasm, ${threads > 1 ? `${threads} threads` : "1 thread"}`;
}

let seed = 0;
const normal = (shape) => random.normal(random.key(seed++), shape).mul(0.02);

function parameters({ layers, width: d, vocab, positions }) {
  const params = { tokens: normal([vocab, d]), positions: normal([positions, d]) };
  const norm = (name) =>
    Object.assign(params, { [`${name}.scale`]: np.ones([d]), [`${name}.shift`]: np.zeros([d]) });
  const linear = (name, from, to) =>
    Object.assign(params, { [`${name}.weight`]: normal([from, to]), [`${name}.bias`]: np.zeros([to]) });
  for (let i = 0; i < layers; i++) {
    norm(`${i}.norm1`);
    linear(`${i}.qkv`, d, 3 * d);
    linear(`${i}.out`, d, d);
    norm(`${i}.norm2`);
    linear(`${i}.up`, d, 4 * d);
    linear(`${i}.down`, 4 * d, d);
  }
  norm("norm");
  return params;
}

/** `p` is read once a leaf, but for the token table, which is also the head. */
function lossOf(p, ids, targets, { model, batch, length }) {
  const { layers, width: d, heads, vocab } = model;
  const norm = (x, name) => nn.standardize(x, -1).mul(p[`${name}.scale`]).add(p[`${name}.shift`]);
  const linear = (x, name) => np.matmul(x, p[`${name}.weight`]).add(p[`${name}.bias`]);
  const rows = np.matmul(nn.oneHot(ids, vocab), p.tokens.ref).reshape([batch, length, d]);
  let x = rows.add(p.positions.slice([0, length])).reshape([batch * length, d]);
  for (let i = 0; i < layers; i++) {
    const [q, k, v] = np
      .split(linear(norm(x.ref, `${i}.norm1`), `${i}.qkv`), 3, 1)
      .map((part) => part.reshape([batch, length, heads, d / heads]));
    const mixed = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch * length, d]);
    x = x.add(linear(mixed, `${i}.out`));
    x = x.ref.add(linear(nn.gelu(linear(norm(x, `${i}.norm2`), `${i}.up`)), `${i}.down`));
  }
  const logits = np.matmul(norm(x, "norm"), p.tokens.transpose());
  const logs = nn.logSoftmax(logits, -1);
  return logs
    .mul(nn.oneHot(targets, vocab))
    .sum()
    .mul(-1 / (batch * length));
}

/** One step of clipped Adam: (parameters, first and second moments, step count, batch) -> the same and the loss. */
const stepper = (shapes) =>
  jit((params, first, second, count, ids, targets) => {
    const [loss, grads] = valueAndGrad((p, i, t) => lossOf(p, i, t, shapes))(tree.ref(params), ids, targets);
    const names = Object.keys(grads);
    const squares = names.map((name) => np.square(grads[name].ref).sum()).reduce((a, b) => a.add(b));
    const scale = np.minimum(1, np.reciprocal(np.sqrt(squares).add(1e-6)));
    const next = { params: {}, first: {}, second: {}, loss };
    const now = count.add(1);
    const bias1 = np.subtract(1, np.power(0.9, now.ref));
    const bias2 = np.subtract(1, np.power(0.999, now.ref));
    for (const name of names) {
      const g = grads[name].mul(scale.ref);
      const m = first[name].mul(0.9).add(g.ref.mul(0.1));
      const v = second[name].mul(0.999).add(np.square(g).mul(0.001));
      const update = m.ref.div(bias1.ref).div(np.sqrt(v.ref.div(bias2.ref)).add(1e-8));
      next.params[name] = params[name].sub(update.mul(1e-4));
      next.first[name] = m;
      next.second[name] = v;
    }
    for (const rest of [scale, bias1, bias2]) rest.dispose();
    return { ...next, count: now };
  });

let kept;

async function trainer(model, batch, length) {
  const key = JSON.stringify([model, batch, length]);
  if (kept?.key === key) return kept.step;
  const run = stepper({ model, batch, length });
  const params = parameters(model);
  const zeros = () => tree.map((p) => np.zeros(p.shape), params);
  let state = { params, first: zeros(), second: zeros(), count: np.array(0) };
  const random = Array.from({ length: batch * length }, () => Math.floor(Math.random() * model.vocab));
  const next = random.map((_, i) => random[(i + 1) % length ? i + 1 : i + 1 - length]);
  const ids = np.array(random, { dtype: np.int32 });
  const targets = np.array(next, { dtype: np.int32 });
  const step = async () => {
    const { loss, ...rest } = run(state.params, state.first, state.second, state.count, ids.ref, targets.ref);
    state = rest;
    const value = (await loss.data())[0];
    await jax.blockUntilReady(state.params);
    return value;
  };
  await step();
  await step();
  kept = { key, step };
  return step;
}

export const commands = {
  async train_step({ model, batch, tokens, steps }) {
    const step = await trainer(model, batch, tokens);
    const start = performance.now();
    let loss = 0;
    for (let i = 0; i < steps; i++) loss = await step();
    return { seconds: (performance.now() - start) / steps / 1000, loss };
  },
  async matmul({ size }) {
    const w = random.normal(random.key(1), [size, size]).mul(size ** -0.5);
    const chain = jit((x, y) => {
      for (let i = 0; i < 20; i++) x = np.matmul(x, y.ref);
      y.dispose();
      return x;
    });
    let x = await chain(random.normal(random.key(2), [size, size]), w.ref).blockUntilReady();
    const start = performance.now();
    x = await chain(x, w).blockUntilReady();
    const gflops = (20 * 2 * size ** 3) / (performance.now() - start) / 1e6;
    x.dispose();
    return { gflops };
  },
};
