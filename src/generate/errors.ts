/** What generation refuses. */
import { AttuneError } from "../graph/errors.ts";

/** A request for generation cannot be served: a prompt that does not fit, an option out of its range. */
export class GenerateError extends AttuneError {
  override name = "GenerateError";
}
