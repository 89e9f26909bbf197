"""Goldens of LoRA adapters from PEFT on the tiny models: what they compute, their gradients, and the merged model.

    python test/parity/peft_lora.py      writes test/parity/golden/lora/<name>/ (needs the goldens of models.py)

Each folder is a PEFT adapter folder (adapter_config.json, adapter_model.safetensors) with golden.safetensors beside
it. A and B are both drawn away from zero, as an adapter is after training.
"""

import json
import pathlib

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

GOLDEN = pathlib.Path(__file__).parent / "golden"
COMMON = dict(r=4, lora_alpha=8, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM")
CASES = {
    "llama": ("llama", dict(target_modules=["q_proj", "v_proj"])),
    "llama-rslora": ("llama", dict(target_modules=["q_proj", "v_proj"], use_rslora=True)),
    "gpt2": ("gpt2", dict(target_modules=["c_attn"], fan_in_fan_out=True)),
}


def adapter(name, base, options, seed):
    folder, source = GOLDEN / "lora" / name, GOLDEN / "models" / base
    model = AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager", dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(**COMMON, **options)).eval()
    generator = torch.Generator().manual_seed(seed)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for p in trained.values():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = f"../../models/{base}"
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    given = load_file(source / "golden.safetensors")
    batch = {k: given[k] for k in ("input_ids", "attention_mask", "labels")}
    out = model(**batch, use_cache=False)
    out.loss.backward()
    # Gradients under the names that adapter_model.safetensors has.
    grads = {f"grad.{n.replace('.default', '')}": p.grad.clone() for n, p in trained.items()}
    stored = load_file(folder / "adapter_model.safetensors")
    assert set(grads) == {f"grad.{n}" for n in stored}, (set(grads), set(stored))
    golden = {"logits": out.logits.detach(), "loss": out.loss.detach(), **grads}
    merged = model.merge_and_unload()
    with torch.no_grad():
        golden["merged.logits"] = merged(**batch, use_cache=False).logits
    module = "q_proj.weight" if base == "llama" else "c_attn.weight"
    golden |= {f"merged.{n}": p.detach() for n, p in merged.named_parameters() if n.endswith(module)}
    save_file({k: v.contiguous().clone() for k, v in golden.items()}, folder / "golden.safetensors")
    apart = (golden["logits"] - given["logits"]).abs().max().item()
    print(f"{name:14} loss {out.loss.item():.4f} (base {given['loss'].item():.4f}), logits moved by {apart:.3f}")


if __name__ == "__main__":
    transformers.logging.disable_progress_bar()
    for index, (case, (model_name, extra)) in enumerate(CASES.items()):
        adapter(case, model_name, extra, seed=index + 1)
