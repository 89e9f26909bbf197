/** A chat template as a person names it (Node): one of Attune's by name, or a file of Jinja source. */
import { readFile } from "node:fs/promises";
import { isDefaultTemplateName } from "./default-templates.ts";

export const chatTemplateFrom = async (value: string): Promise<string> =>
  isDefaultTemplateName(value) ? value : readFile(value, "utf8");
