/** Errors of recipes: keys and values that do not fit, files and stages that are not there. */
import { AttuneError } from "../graph/errors.ts";

export class RecipeError extends AttuneError {
  override name = "RecipeError";
}
