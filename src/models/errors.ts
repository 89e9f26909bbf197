import { AttuneError } from "../graph/errors.ts";

/** A checkpoint, its configuration or its download is missing, damaged, or of a kind that Attune does not read. */
export class CheckpointError extends AttuneError {
  override name = "CheckpointError";
}
