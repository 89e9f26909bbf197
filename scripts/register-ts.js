/**
 * Lets Node 20 and later run the TypeScript sources as they are: `node --import ./scripts/register-ts.js FILE.ts`.
 * Only types are erased (esbuild, one file at a time). Worker threads inherit the flag, so a test may start
 * `new Worker(new URL("./worker.ts", import.meta.url))`. For development; what users run is dist/.
 */
import * as nodeModule from "node:module";

/** @typedef {{ registerHooks?: (hooks: object) => void }} WithHooks */
const { registerHooks } = /** @type {WithHooks} */ (nodeModule);

// from Node 22.15 hooks run in the thread that imports; before, in a thread of their own
if (registerHooks) registerHooks({ load: (await import("./ts-hooks.js")).loadSync });
else nodeModule.register("./ts-hooks.js", import.meta.url);
