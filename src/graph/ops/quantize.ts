/** Weights in 8 bits. */
import { showShape } from "../dims.ts";
import { ShapeError } from "../errors.ts";
import { makeNode, type Tensor } from "../tensor.ts";

/** What stands for 0 in weights of 8 bits. */
export const zeroPoint = 128;

/**
 * (weights - 128) * scale, column by column. A product with it may run in 8 bits on both sides: the provider then also
 * rounds the other factor, to 256 steps between the least and the largest element of the whole factor.
 *
 * @param weights [K, N], uint8
 * @param scale [N], float32
 * @returns [K, N], float32
 */
export function dequantize(weights: Tensor, scale: Tensor): Tensor {
  const fits =
    weights.dtype === "uint8" &&
    weights.shape.length === 2 &&
    scale.shape.length === 1 &&
    scale.shape[0] === weights.shape[1];
  if (!fits)
    throw new ShapeError(
      `dequantize: uint8 [K, N] and a scale [N] are required, got ${weights.dtype} ${showShape(weights.shape)} and ${showShape(scale.shape)}`,
    );
  return makeNode("dequantize", [weights, scale], {}, [
    { dtype: "float32", shape: weights.shape },
  ])[0] as Tensor;
}
