"""Do checkpoints that Attune writes load in transformers, with the same weights and the same logits?

For each model folder (the goldens under golden/models, and ../shared/data/tinystories-656k where it is): Attune reads
it and writes it as float32, as shards of a few kilobytes, and as bfloat16; transformers loads original and copies.
New models of every family from `configOf` must load too, and an empty
config.json must mean the same on both sides. Run: python test/parity/checkpoint.py (transformers 5.23).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, logging

logging.set_verbosity_error()
logging.disable_progress_bar()
root = Path(__file__).parents[2]
folders = sorted((Path(__file__).parent / "golden" / "models").iterdir())
story = root.parent / "shared" / "data" / "tinystories-656k"
folders += [story] if story.exists() else []

script = """
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readCheckpoint, writeCheckpoint } from "./src/models/checkpoint/checkpoint.ts";
import { configOf, knownFamilies, parseConfig } from "./src/models/config/config.ts";
const [out, ...folders] = process.argv.slice(2);
for (const [i, folder] of folders.entries()) {
  const checkpoint = await readCheckpoint(folder);
  await writeCheckpoint(join(out, `${i}-float32`), checkpoint);
  await writeCheckpoint(join(out, `${i}-shards`), checkpoint, { maxShardBytes: 20_000 });
  await writeCheckpoint(join(out, `${i}-bfloat16`), checkpoint, { dtype: "bfloat16" });
}
const sizes = { vocabSize: 50, hiddenSize: 32, numLayers: 3, numHeads: 4, maxPositions: 64, eosTokenId: [1, 2] };
const fresh = knownFamilies.flatMap((family) => [configOf(family, sizes), configOf(family, { ...sizes, numLabels: 1 })]);
writeFileSync(join(out, "fresh.json"), JSON.stringify(fresh));
const empty = knownFamilies.map((family) => parseConfig({ model_type: family }));
writeFileSync(join(out, "empty.json"), JSON.stringify(empty));
"""


def load(folder):
    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForCausalLM
    if any("SequenceClassification" in name for name in config.architectures or []):
        kind = AutoModelForSequenceClassification
        config.pad_token_id = 0
    model, info = kind.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)
    trouble = {key: sorted(value) for key, value in info.items() if value}
    assert not trouble, f"{folder}: {trouble}"
    return model.eval()


failures = 0
with tempfile.TemporaryDirectory() as temporary:
    out = Path(temporary)
    program = root / "node_modules" / ".cache" / "parity-checkpoint.mjs"
    program.parent.mkdir(exist_ok=True)
    bundle = ["npx", "esbuild", "--bundle", "--platform=node", "--format=esm", "--packages=external", f"--outfile={program}"]
    subprocess.run(bundle, input=script.encode(), cwd=root, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["node", program, out, *folders], cwd=root, check=True)
    program.unlink()

    ids = torch.arange(24).view(2, 12) % 30
    for i, folder in enumerate(folders):
        original = load(folder)
        with torch.no_grad():
            logits = original(input_ids=ids).logits
            for kind, tolerance in (("float32", 0), ("shards", 0), ("bfloat16", None)):
                copy = load(out / f"{i}-{kind}")
                difference = (copy(input_ids=ids).logits - logits).abs().max().item()
                if tolerance is None:  # bfloat16 keeps 8 bits: the weights must be exactly torch's rounding
                    mine, theirs = copy.state_dict(), original.state_dict()
                    good = all(torch.equal(mine[k], theirs[k].bfloat16().float()) for k in theirs)
                else:
                    good = difference <= tolerance
                failures += not good
                print(f"{'ok  ' if good else 'FAIL'} {folder.name:22s} {kind:9s} logits differ by {difference:.1e}")

    for mine in json.loads((out / "fresh.json").read_text()):
        config = AutoConfig.for_model(**mine["raw"])
        kind = AutoModelForSequenceClassification if mine.get("numLabels") else AutoModelForCausalLM
        model = kind.from_config(config)
        same = {
            "vocab_size": config.vocab_size == mine["vocabSize"],
            "layers": config.num_hidden_layers == mine["numLayers"],
            "heads": config.num_attention_heads == mine["numHeads"],
            "positions": config.max_position_embeddings == mine["maxPositions"],
            "labels": not mine.get("numLabels") or config.num_labels == mine["numLabels"],
            "eos": config.eos_token_id == mine["eosTokenIds"],
        }
        if mine.get("rope"):
            rotary = next(m for m in model.modules() if hasattr(m, "inv_freq"))
            expected = torch.tensor(mine["rope"]["inverseFrequencies"], dtype=torch.float32)
            same["rope"] = torch.allclose(rotary.inv_freq, expected, rtol=3e-7, atol=0)
        bad = [key for key, good in same.items() if not good]
        failures += len(bad)
        print(f"{'FAIL ' + str(bad) if bad else 'ok  '} new {type(model).__name__}")

    for mine in json.loads((out / "empty.json").read_text()):
        config = AutoConfig.for_model(mine["family"])
        get = lambda *names: next((getattr(config, n) for n in names if getattr(config, n, None) is not None), None)
        heads = get("num_attention_heads")
        head_dim = get("head_dim") or config.hidden_size // heads
        windows = [None] * config.num_hidden_layers
        if mine["family"] == "mistral":
            windows = [config.sliding_window] * config.num_hidden_layers
        if mine["family"] == "gpt_neo":
            windows = [config.window_size if kind == "local" else None for kind in config.attention_layers]
        eos = get("eos_token_id")
        expected = {
            "vocabSize": config.vocab_size, "hiddenSize": config.hidden_size, "numLayers": config.num_hidden_layers,
            "numHeads": heads, "numKeyValueHeads": get("num_key_value_heads") or heads, "headDim": head_dim,
            "intermediateSize": get("intermediate_size", "n_inner") or 4 * config.hidden_size,
            "maxPositions": config.max_position_embeddings,
            "normEps": get("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"),
            "activation": get("hidden_act", "activation_function"), "tieEmbeddings": config.tie_word_embeddings,
            "layerWindows": windows, "bosTokenId": get("bos_token_id"), "eosTokenIds": [] if eos is None else [eos],
        }
        bad = {key: (mine.get(key), value) for key, value in expected.items() if mine.get(key) != value}
        failures += len(bad)
        print(f"{'FAIL ' + str(bad) if bad else 'ok  '} empty {mine['family']}")

sys.exit(1 if failures else 0)
