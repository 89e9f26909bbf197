/** Every operation over symbolic tensors. */
export * from "./elementwise.ts";
export * from "./gather.ts";
export * from "./matmul.ts";
export * from "./nn.ts";
export * from "./quantize.ts";
export * from "./reduce.ts";
export * from "./shape.ts";
