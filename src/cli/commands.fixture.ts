/** The attune command from the sources, for tests: `node --import register-ts.js commands.fixture.ts ...`. */
import { main } from "./main.ts";

await main(process.argv.slice(2));
