/**
 * The machine's yardstick: GFLOP/s of a graph of 20 chained 1024-cube MatMuls in ONNX Runtime.
 *
 * The matrix is an input, as a trained weight is, so nothing is packed ahead of time.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { ModelProtoSchema, TensorProto_DataType } from "../src/graph/lower/onnx/onnx.gen.ts";

const SIZE = 1024;
const LINKS = 20;

const described = (name: string) => ({
  name,
  type: {
    value: {
      case: "tensorType" as const,
      value: {
        elemType: TensorProto_DataType.FLOAT,
        shape: { dim: [SIZE, SIZE].map((n) => ({ value: { case: "dimValue" as const, value: BigInt(n) } })) },
      },
    },
  },
});

/** x W W ... W with W used `LINKS` times. */
function chain(): Uint8Array {
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: 21n }],
    graph: {
      name: "chain",
      input: [described("x0"), described("w")],
      output: [described(`x${LINKS}`)],
      node: Array.from({ length: LINKS }, (_, i) => ({
        opType: "MatMul",
        input: [`x${i}`, "w"],
        output: [`x${i + 1}`],
      })),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

interface Chain {
  readonly session: InferenceSession;
  readonly feeds: Record<string, Tensor>;
}

let kept: Promise<Chain> | undefined;

async function open(threads: number): Promise<Chain> {
  const session = await InferenceSession.create(chain(), { intraOpNumThreads: threads });
  const values = () => Float32Array.from({ length: SIZE * SIZE }, () => (Math.random() - 0.5) / 10);
  const matrix = () => new Tensor("float32", values(), [SIZE, SIZE]);
  const feeds = { x0: matrix(), w: matrix() };
  await session.run(feeds);
  return { session, feeds };
}

/** One run of the chain on `threads` threads, in GFLOP/s; the first call compiles and warms up. */
export async function matmulPeak(threads: number): Promise<number> {
  const { session, feeds } = await (kept ??= open(threads));
  const start = performance.now();
  await session.run(feeds);
  return (LINKS * 2 * SIZE ** 3) / (performance.now() - start) / 1e6;
}
