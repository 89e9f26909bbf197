/**
 * Lets Node 20 and later run the TypeScript sources as they are: `node --import ./scripts/register-ts.js FILE.ts`.
 * Only types are erased (esbuild, one file at a time). Worker threads inherit the flag, so a test may start
 * `new Worker(new URL("./worker.ts", import.meta.url))`. For development; what users run is dist/.
 */
import { register } from "node:module";

register("./ts-hooks.js", import.meta.url);
