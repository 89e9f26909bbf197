/** Optimisers, clipping and schedules over parameter trees. */
export { type AdamOptions, adam, adamw, matricesOnly } from "./adamw.ts";
export { clipByGlobalNorm, globalNorm } from "./clip.ts";
export { applyUpdates, type Optimizer, type State } from "./optimizer.ts";
