"""Do adapters that Attune writes load in PEFT, and compute there what the model computes that Attune merges them into?

For a tiny model of every family: a new adapter on all linear modules, with B away from zero, written as a PEFT folder
and merged into a model folder; a reward model's adapter brings its head. Run: python test/parity/adapter.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, logging

logging.set_verbosity_error()
logging.disable_progress_bar()
root = Path(__file__).parents[2]
folders = sorted((Path(__file__).parent / "golden" / "models").iterdir())

script = """
import { join } from "node:path";
import { createAdapter } from "./src/models/adapters/lora.ts";
import { loadModel, merged, withAdapter } from "./src/models/load.ts";
const [out, ...folders] = process.argv.slice(2);
for (const [i, folder] of folders.entries()) {
  const base = await loadModel(folder);
  const options = { r: 3, loraAlpha: 7, useRslora: i % 2 === 0, alphaPattern: i % 3 === 0 ? { q_proj: 5 } : {} };
  const { config, parameters } = createAdapter(base.config, base.parameters, options, i);
  for (const [name, { data }] of Object.entries(parameters))
    if (!name.includes("lora_A")) for (let j = 0; j < data.length; j++) data[j] += Math.sin(j + i) / 5;
  const model = withAdapter(base, { config, parameters });
  await model.save(join(out, `${i}-adapter`));
  await merged(model).save(join(out, `${i}-merged`));
}
"""


def load(folder):
    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForCausalLM
    if any("SequenceClassification" in name for name in config.architectures or []):
        kind = AutoModelForSequenceClassification
        config.pad_token_id = 0
    return kind.from_pretrained(folder, config=config, dtype=torch.float32).eval()


failures = 0
with tempfile.TemporaryDirectory() as temporary:
    out = Path(temporary)
    program = root / "node_modules" / ".cache" / "parity-adapter.mjs"
    program.parent.mkdir(exist_ok=True)
    bundle = ["npx", "esbuild", "--bundle", "--platform=node", "--format=esm", "--packages=external", f"--outfile={program}"]
    subprocess.run(bundle, input=script.encode(), cwd=root, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["node", program, out, *folders], cwd=root, check=True)
    program.unlink()
    ids = torch.arange(24).view(2, 12) % 30 + 1
    for i, folder in enumerate(folders):
        base = load(folder)
        with torch.no_grad():
            before = base(input_ids=ids).logits
            adapted = PeftModel.from_pretrained(base, out / f"{i}-adapter").eval()(input_ids=ids).logits
            merged = load(out / f"{i}-merged")(input_ids=ids).logits
        apart = ((adapted - merged).abs().max() / adapted.abs().max()).item()
        moved = ((adapted - before).abs().max() / before.abs().max()).item()
        good = apart < 2e-5 and moved > 0.01
        failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {folder.name:20} apart {apart:.1e}, moved by the adapter {moved:.2f}")
sys.exit(f"{failures} failures" if failures else 0)
