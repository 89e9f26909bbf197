/**
 * TensorFlow.js on its WebAssembly backend (SIMD) as a peer: the train step of a GPT-2-like model.
 *
 * So that it runs at its best, three things are done for it. It turns threads off under Node, where they work once its
 * workers, which it makes from blobs, are started from source. Its fast product takes no transpose (a plain loop
 * computes those, at a tenth of the speed), so gradients transpose apart. The gradients of
 * embedding rows and cross-entropy, which it lacks or computes with many passes, are written by hand.
 */
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";

const require = createRequire(import.meta.url);
const threads = Number(process.env.ATTUNE_BENCH_THREADS) || availableParallelism();

/** Lets the backend's threaded build find its worker and its own script under Node. */
function enableThreads() {
  const workerThreads = require("node:worker_threads");
  const os = require("node:os");
  os.cpus = () => Array(2 * threads).fill({}); // it starts a thread for every second processor
  const out = "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd";
  // The file holds the worker's source as a string in which line breaks lost their backslash.
  const worker = require(`${out}.worker.js`).wasmWorkerContents.replace(/\n/g, "\\n");
  const script = require.resolve(`${out}.js`);
  workerThreads.Worker = class extends workerThreads.Worker {
    constructor(url, options) {
      if (String(url).startsWith("blob:")) super(worker, { eval: true });
      else super(url, options);
    }
    postMessage(message, transfer) {
      const own = message?.urlOrBlob instanceof Blob ? { ...message, urlOrBlob: script } : message;
      super.postMessage(own, transfer);
    }
  };
}

if (threads > 1) enableThreads();
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");

export async function ready() {
  if (threads > 1) tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", true);
  wasm.setThreadsCount(threads);
  await tf.setBackend("wasm");
  await tf.ready();
  return `TensorFlow.js ${tf.version_core} wasm, ${wasm.getThreadsCount()} threads`;
}

const normal = (shape, std = 0.02) => tf.variable(tf.randomNormal(shape, 0, std));
const filled = (shape, value) => tf.variable(tf.fill(shape, value));

function parameters({ layers, width: d, vocab, positions }) {
  const norm = () => ({ scale: filled([d], 1), shift: filled([d], 0) });
  const linear = (from, to) => ({ weight: normal([from, to]), bias: filled([to], 0) });
  return {
    tokens: normal([vocab, d]),
    positions: normal([positions, d]),
    blocks: Array.from({ length: layers }, () => ({
      norm1: norm(),
      qkv: linear(d, 3 * d),
      out: linear(d, d),
      norm2: norm(),
      up: linear(d, 4 * d),
      down: linear(4 * d, d),
    })),
    norm: norm(),
  };
}

const swap = (x) => tf.transpose(x, x.shape.length === 2 ? [1, 0] : [0, 2, 1]);

/** a b, whose gradients transpose apart from the products. */
const matMul = tf.customGrad((a, b, save) => {
  save([a, b]);
  const gradFunc = (dy, [x, y]) => [tf.matMul(dy, swap(y)), tf.matMul(swap(x), dy)];
  return { value: tf.matMul(a, b), gradFunc };
});

/** Rows of a table; its gradient adds the rows' gradients back with a scatter. */
const embed = (table, ids) =>
  tf.customGrad((rows, save) => {
    save([]);
    const gradFunc = (dy) => tf.scatterND(tf.reshape(ids, [-1, 1]), dy, rows.shape);
    return { value: tf.gather(rows, ids), gradFunc };
  })(table);

/** Mean negative log-likelihood of one-hot targets [N, V]. */
const crossEntropy = (logits, targets) =>
  tf.customGrad((x, save) => {
    const logs = tf.sub(x, tf.logSumExp(x, -1, true));
    save([logs]);
    const n = x.shape[0];
    const gradFunc = (dy, [kept]) => tf.mul(tf.sub(tf.exp(kept), targets), tf.div(dy, n));
    return { value: tf.div(tf.neg(tf.sum(tf.mul(logs, targets))), n), gradFunc };
  })(logits);

const layerNorm = (x, { scale, shift }) => {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), scale), shift);
};

const gelu = (x) => {
  const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
};

const linear = (x, { weight, bias }) => tf.add(matMul(x, weight), bias);

function lossOf(params, model, { ids, targets, mask, batch, length }) {
  const { width: d, heads } = model;
  const size = d / heads;
  const split = (x) =>
    tf.reshape(tf.transpose(tf.reshape(x, [batch, length, heads, size]), [0, 2, 1, 3]), [-1, length, size]);
  const join = (x) =>
    tf.reshape(tf.transpose(tf.reshape(x, [batch, heads, length, size]), [0, 2, 1, 3]), [-1, d]);
  const positions = tf.slice(params.positions, [0, 0], [length, d]);
  let x = tf.reshape(tf.add(tf.reshape(embed(params.tokens, ids), [batch, length, d]), positions), [-1, d]);
  for (const block of params.blocks) {
    const [q, k, v] = tf.split(linear(layerNorm(x, block.norm1), block.qkv), 3, 1).map(split);
    const scores = tf.add(tf.mul(matMul(q, swap(k)), size ** -0.5), mask);
    const mixed = join(matMul(tf.softmax(scores), v));
    x = tf.add(x, linear(mixed, block.out));
    x = tf.add(x, linear(gelu(linear(layerNorm(x, block.norm2), block.up)), block.down));
  }
  const logits = matMul(layerNorm(x, params.norm), swap(params.tokens));
  return crossEntropy(logits, targets);
}

const leaves = (tree) => (tree instanceof tf.Variable ? [tree] : Object.values(tree).flatMap(leaves));

let kept;

function trainer(model, batch, length) {
  const key = JSON.stringify([model, batch, length]);
  if (kept?.key === key) return kept.step;
  const params = parameters(model);
  const variables = leaves(params);
  const optimizer = tf.train.adam(1e-4);
  // The targets are the next tokens; the last position of a row learns the first token of that row, which costs what
  // any other position costs.
  const random = Int32Array.from({ length: batch * length }, () => Math.floor(Math.random() * model.vocab));
  const next = random.map((_, i) => random[(i + 1) % length ? i + 1 : i + 1 - length]);
  const data = {
    ids: tf.tensor1d(random, "int32"),
    targets: tf.cast(tf.oneHot(tf.tensor1d(next, "int32"), model.vocab), "float32"),
    mask: tf.tensor2d(
      Float32Array.from({ length: length * length }, (_, i) =>
        i % length > Math.floor(i / length) ? -1e9 : 0,
      ),
      [length, length],
    ),
    batch,
    length,
  };
  const step = () =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => lossOf(params, model, data), variables);
      const squares = Object.values(grads).map((g) => tf.sum(tf.square(g)));
      const scale = tf.minimum(1, tf.div(1, tf.add(tf.sqrt(tf.addN(squares)), 1e-6)));
      const clipped = Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, tf.mul(g, scale)]));
      optimizer.applyGradients(clipped);
      return value.dataSync()[0];
    });
  step();
  step();
  kept = { key, step };
  return step;
}

export const commands = {
  train_step({ model, batch, tokens, steps }) {
    const step = trainer(model, batch, tokens);
    const start = performance.now();
    let loss = 0;
    for (let i = 0; i < steps; i++) loss = step();
    return { seconds: (performance.now() - start) / steps / 1000, loss };
  },
  matmul({ size }) {
    return tf.tidy(() => {
      const w = tf.randomNormal([size, size], 0, size ** -0.5);
      let x = tf.randomNormal([size, size]);
      x = tf.matMul(x, w);
      x.dataSync();
      const start = performance.now();
      for (let i = 0; i < 20; i++) x = tf.matMul(x, w);
      x.dataSync();
      return { gflops: (20 * 2 * size ** 3) / (performance.now() - start) / 1e6 };
    });
  },
};
