/** Errors of training: options that do not fit, a run that cannot go on. */
import { AttuneError } from "../graph/errors.ts";

export class TrainError extends AttuneError {
  override name = "TrainError";
}
