/** A chat template as a person gives it (Node): one of Attune's by name, Jinja source, or a file of it. */
import { readFile } from "node:fs/promises";
import { isDefaultTemplateName } from "./default-templates.ts";

export const chatTemplateFrom = async (value: string): Promise<string> =>
  isDefaultTemplateName(value) || /\{[%{]/.test(value) ? value : readFile(value, "utf8");
