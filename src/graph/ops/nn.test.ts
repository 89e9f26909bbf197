import type { Tensor } from "../tensor.ts";
import { describeOps, list, type OpCase, real } from "./check.fixture.ts";
import * as op from "./index.ts";
import { at, build, type Nd, type Reference, rows, rowwise, softmaxRow, total } from "./reference.fixture.ts";

const average = (xs: readonly number[]) => total(xs) / xs.length;

const normalised = (epsilon: number, centred: boolean) => (row: readonly number[]) => {
  const mean = centred ? average(row) : 0;
  const inverse = 1 / Math.sqrt(average(row.map((x) => (x - mean) ** 2)) + epsilon);
  return { mean, inverse, values: row.map((x) => (x - mean) * inverse) };
};

const layerNormReference: Reference = (...[x, w, b]) => {
  const parts = rows(x as Nd).map(normalised(1e-5, true));
  const shape = [...(x as Nd).shape.slice(0, -1), 1];
  const values = parts.flatMap((p) =>
    p.values.map((v, i) => v * (w?.data[i] as number) + (b?.data[i] as number)),
  );
  return [
    { shape: (x as Nd).shape, data: Float64Array.from(values) },
    { shape, data: Float64Array.from(parts, (p) => p.mean) },
    { shape, data: Float64Array.from(parts, (p) => p.inverse) },
  ];
};

const rmsNormReference: Reference = (...[x, w]) => {
  const parts = rows(x as Nd).map(normalised(1e-6, false));
  return [
    {
      shape: (x as Nd).shape,
      data: Float64Array.from(parts.flatMap((p) => p.values.map((v, i) => v * (w?.data[i] as number)))),
    },
    { shape: [...(x as Nd).shape.slice(0, -1), 1], data: Float64Array.from(parts, (p) => p.inverse) },
  ];
};

const rotaryReference: Reference = (...[x, c, s]) =>
  build((x as Nd).shape, (index) => {
    const half = ((x as Nd).shape.at(-1) as number) / 2;
    const lead = index.slice(0, -1);
    const d = index.at(-1) as number;
    const [x1, x2] = [at(x as Nd, [...lead, d % half]), at(x as Nd, [...lead, (d % half) + half])];
    const [cosine, sine] = [at(c as Nd, [...lead, d % half]), at(s as Nd, [...lead, d % half])];
    return d < half ? x1 * cosine - x2 * sine : x2 * cosine + x1 * sine;
  });

const attentionReference =
  (scale?: number): Reference =>
  (...[q, k, v, mask]) => {
    const [b, h, t, d] = (q as Nd).shape as [number, number, number, number];
    const [, g, s] = (k as Nd).shape as [number, number, number];
    const places = Array.from({ length: s }, (_, j) => j);
    const group = (head: number) => Math.floor((head * g) / h);
    const probabilities = (i: number, head: number, row: number) =>
      softmaxRow(
        places.map((j) => {
          const dot = total(
            Array.from(
              { length: d },
              (_, e) => at(q as Nd, [i, head, row, e]) * at(k as Nd, [i, group(head), j, e]),
            ),
          );
          return dot * (scale ?? 1 / Math.sqrt(d)) + (mask ? at(mask, [i, 0, row, j]) : 0);
        }),
      );
    return [
      build([b, h, t, d], ([i, head, row, e]) => {
        const p = probabilities(i as number, head as number, row as number);
        return total(
          places.map(
            (j) => (p[j] as number) * at(v as Nd, [i as number, group(head as number), j, e as number]),
          ),
        );
      }),
      build(
        [b, g, h / g, t, s],
        ([i, n, r, row, j]) =>
          probabilities(i as number, (n as number) * (h / g) + (r as number), row as number)[
            j as number
          ] as number,
      ),
    ];
  };

const all = (x: Tensor) => x.node.outputs;

const logProbOf = (logits: Nd, ids: Nd) =>
  rows(logits).map((row, i) => Math.log(softmaxRow(row)[ids.data[i] as number] as number));

const transformers: OpCase[] = [
  { name: "softmax", inputs: [real(["B", "T", 4])], fn: op.softmax, reference: rowwise(softmaxRow) },
  {
    name: "logSoftmax",
    inputs: [real(["B", "T", 4])],
    fn: op.logSoftmax,
    reference: rowwise((row) => softmaxRow(row).map(Math.log)),
  },
  {
    name: "softmax of a named axis",
    inputs: [real(["B", "T"])],
    fn: op.softmax,
    reference: rowwise(softmaxRow),
  },
  {
    name: "layerNorm, all outputs",
    inputs: [real(["B", "T", 4]), real([4]), real([4])],
    fn: (x, w, b) => all(op.layerNorm(x, w, b)),
    reference: layerNormReference,
  },
  {
    name: "layerNorm",
    inputs: [real(["B", 4]), real([4]), real([4])],
    fn: (x, w, b) => op.layerNorm(x, w, b),
    reference: (...xs) => (layerNormReference(...xs) as Nd[])[0] as Nd,
  },
  {
    name: "rmsNorm, all outputs",
    inputs: [real(["B", "T", 4]), real([4])],
    fn: (x, w) => all(op.rmsNorm(x, w)),
    reference: rmsNormReference,
  },
  {
    name: "rmsNorm",
    inputs: [real(["B", 4]), real([4])],
    fn: (x, w) => op.rmsNorm(x, w),
    reference: (...xs) => (rmsNormReference(...xs) as Nd[])[0] as Nd,
  },
  {
    name: "rotary",
    inputs: [real(["B", 2, "T", 4]), real(["T", 2]), real(["T", 2])],
    fn: op.rotary,
    reference: rotaryReference,
  },
  {
    name: "attention",
    inputs: [real(["B", 2, "T", 4]), real(["B", 2, "T", 4]), real(["B", 2, "T", 4])],
    fn: (q, k, v) => op.attention(q, k, v),
    reference: (...xs) => (attentionReference()(...xs) as Nd[])[0] as Nd,
  },
  {
    name: "attention, grouped, all outputs",
    inputs: [real(["B", 4, "T", 4]), real(["B", 2, 5, 4]), real(["B", 2, 5, 4])],
    fn: (q, k, v) => all(op.attention(q, k, v, { scale: 0.25 })),
    reference: attentionReference(0.25),
  },
  {
    name: "attention, grouped, with a mask",
    inputs: [
      real(["B", 4, "T", 4]),
      real(["B", 2, "T", 4]),
      real(["B", 2, "T", 4]),
      real(["B", 1, "T", "T"]),
    ],
    fn: (q, k, v, mask) => all(op.attention(q, k, v, { mask })),
    reference: attentionReference(),
  },
  {
    name: "attention with one mask [T, T]",
    inputs: [real(["B", 2, "T", 4]), real(["B", 2, "T", 4]), real(["B", 2, "T", 4]), real(["T", "T"])],
    fn: (q, k, v, mask) => op.attention(q, k, v, { mask }),
    reference: (...xs) => (attentionReference()(...xs) as Nd[])[0] as Nd,
  },
  {
    name: "attention with one mask [1, 1, T, T]",
    inputs: [real(["B", 2, "T", 4]), real(["B", 1, "T", 4]), real(["B", 1, "T", 4]), real([1, 1, "T", "T"])],
    fn: (q, k, v, mask) => op.attention(q, k, v, { mask }),
    reference: (...xs) => (attentionReference()(...xs) as Nd[])[0] as Nd,
  },
  {
    name: "tokenLogProbs",
    inputs: [real(["T", 4]), list(["T"], [3, 0, 3])],
    fn: op.tokenLogProbs,
    reference: (...[x, i]) => ({ shape: [3], data: Float64Array.from(logProbOf(x as Nd, i as Nd)) }),
  },
  {
    name: "tokenLogProbs beside all log-probabilities of the same node",
    inputs: [real(["T", 4]), list(["T"], [3, 0, 3])],
    fn: (x, i) => {
      const picked = op.tokenLogProbs(x, i);
      return [picked, picked.node.inputs[0]?.node.outputs[1] as Tensor];
    },
    reference: (...[x, i]) => [
      { shape: [3], data: Float64Array.from(logProbOf(x as Nd, i as Nd)) },
      rowwise((row) => softmaxRow(row).map(Math.log))(x as Nd) as Nd,
    ],
  },
  {
    name: "crossEntropy with ignored labels",
    inputs: [real(["T", 4]), list(["T"], [3, -100, 1])],
    fn: (x, i) => op.crossEntropy(x, i),
    reference: (...[x]) => {
      const [a, , c] = rows(x as Nd).map(softmaxRow) as [number[], number[], number[]];
      return build([], () => -(Math.log(a[3] as number) + Math.log(c[1] as number)) / 2);
    },
  },
  {
    name: "crossEntropy with every label ignored is 0",
    inputs: [real(["T", 4]), list(["T"], [-100, -100, -100])],
    fn: (x, i) => op.crossEntropy(x, i),
    reference: () => build([], () => 0),
  },
];

describeOps("transformers", transformers);
