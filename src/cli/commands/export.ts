/** `attune export`: its options and help; the work is in export-run.ts. */
import { type Command, Option } from "commander";
import { lazily } from "../command.ts";
import { addOutputOptions } from "../output.ts";

export function register(program: Command): void {
  const command = program
    .command("export")
    .description("write a model for other programs: ONNX for Transformers.js, or safetensors")
    .requiredOption(
      "--model <dir>",
      "model folder, run folder, adapter folder or hub id (org/name[@revision])",
    );
  addOutputOptions(command, "folder to write")
    .addOption(
      new Option("--format <name>", "what to write").choices(["onnx", "safetensors"]).default("onnx"),
    )
    .addOption(
      new Option("--quantize <type>", "with onnx: also a model in 8 bits (q8 in Transformers.js)").choices([
        "int8",
      ]),
    )
    .addOption(
      new Option("--dtype <name>", "with safetensors: how weights are stored (default: float32)").choices([
        "float32",
        "float16",
        "bfloat16",
      ]),
    )
    .action(lazily(async () => (await import("./export-run.ts")).runExport));
}
