/** Errors of data: a file or a row that cannot be used, with its place. */
import { AttuneError } from "../graph/errors.ts";

export class DataError extends AttuneError {
  override name = "DataError";
}
