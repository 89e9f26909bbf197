"""Goldens of optimisers, clipping and schedules from torch, lion-pytorch and transformers, with gradients that are given.

    python test/parity/optim.py      writes test/parity/golden/optim/ (needs the gpt2 golden of models.py)
"""

import json
import pathlib

import torch
import transformers
from lion_pytorch import Lion
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, get_scheduler

GOLDEN = pathlib.Path(__file__).parent / "golden"
OUT = GOLDEN / "optim"
STEPS = 20
SHAPES = {"w": (4, 3), "b": (3,)}

OPTIMIZERS = {
    "adamw": ("AdamW", dict(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)),
    "adamw_large_eps": ("AdamW", dict(lr=0.02, betas=(0.9, 0.95), eps=1e-3, weight_decay=0.01)),
    "adam": ("Adam", dict(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)),
    "lion": ("Lion", dict(lr=0.01, betas=(0.9, 0.99), weight_decay=0.0)),
    "lion_decay": ("Lion", dict(lr=0.003, betas=(0.95, 0.98), weight_decay=0.1)),
    "sgd": ("SGD", dict(lr=0.05)),
    "sgd_momentum": ("SGD", dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
    "sgd_nesterov": ("SGD", dict(lr=0.05, momentum=0.9, nesterov=True)),
}
WARMUP, TOTAL, LR = 5, 30, 0.1
SCHEDULES = {
    "constant": {},
    "constant_with_warmup": {},
    "linear": {},
    "cosine": {},
    "cosine_with_restarts": {"num_cycles": 2},
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "polynomial": {"power": 2.0, "lr_end": 0.001},
    "inverse_sqrt": {},
}


def optimizers():
    """Parameters after each of 20 steps; the gradients span five orders of magnitude and include exact zeros."""
    generator = torch.Generator().manual_seed(7)
    start = {k: torch.randn(s, generator=generator) for k, s in SHAPES.items()}
    grads = {k: torch.randn((STEPS, *s), generator=generator) for k, s in SHAPES.items()}
    grads["w"] *= 10.0 ** torch.linspace(-4, 1, 12).reshape(4, 3)
    grads["w"][3] = 0.0
    golden = {f"start.{k}": v for k, v in start.items()} | {f"grads.{k}": v for k, v in grads.items()}
    for name, (kind, options) in OPTIMIZERS.items():
        params = {k: v.clone().requires_grad_() for k, v in start.items()}
        optimizer = (Lion if kind == "Lion" else getattr(torch.optim, kind))(params.values(), **options)
        trace = {k: [] for k in params}
        for step in range(STEPS):
            for k, p in params.items():
                p.grad = grads[k][step].clone()
            optimizer.step()
            for k, p in params.items():
                trace[k].append(p.detach().clone())
        golden |= {f"{name}.{k}": torch.stack(v) for k, v in trace.items()}

    norms, clipped = [], {k: [] for k in SHAPES}
    for step in range(STEPS):
        params = {k: v.clone().requires_grad_() for k, v in start.items()}
        for k, p in params.items():
            p.grad = grads[k][step] * 0.2  # norms on both sides of 1
        norms.append(torch.nn.utils.clip_grad_norm_(params.values(), 1.0))
        for k, p in params.items():
            clipped[k].append(p.grad.clone())
    golden |= {"clip.norm": torch.stack(norms)} | {f"clip.{k}": torch.stack(v) for k, v in clipped.items()}
    print("gradient norms before clipping", min(norms).item(), "to", max(norms).item())
    return golden


def schedule(name, options):
    """The learning rate of each of 32 updates, two of them after the end of the schedule."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler = get_scheduler(name, optimizer, WARMUP, TOTAL, scheduler_specific_kwargs=options)
    rates = []
    for _ in range(TOTAL + 2):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return {**options, "rates": rates}


def gpt2_losses():
    """20 clipped AdamW steps on one batch of the tiny GPT-2; the loss and the norm are those before the update."""
    folder = GOLDEN / "models" / "gpt2"
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    batch = {k: v for k, v in load_file(folder / "golden.safetensors").items()
             if k in ("input_ids", "attention_mask", "labels")}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    losses, norms = [], []
    for _ in range(STEPS):
        loss = model(**batch, use_cache=False).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        optimizer.step()
        losses.append(loss.detach())
    print("tiny GPT-2: loss", losses[0].item(), "to", losses[-1].item())
    golden = {"loss": torch.stack(losses), "grad_norm": torch.stack(norms)}
    return golden | {f"final.{n}": p.detach().clone() for n, p in model.named_parameters()}


if __name__ == "__main__":
    transformers.logging.disable_progress_bar()
    OUT.mkdir(parents=True, exist_ok=True)
    save_file(optimizers(), OUT / "optimizers.safetensors")
    save_file(gpt2_losses(), OUT / "gpt2.safetensors")
    document = {
        "steps": STEPS,
        "optimizers": {name: {"kind": kind, **options} for name, (kind, options) in OPTIMIZERS.items()},
        "clip": {"max_norm": 1.0, "gradient_scale": 0.2},
        "gpt2": {"kind": "AdamW", "lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1, "max_norm": 1.0},
        "schedules": {"lr": LR, "num_warmup_steps": WARMUP, "num_training_steps": TOTAL,
                      **{name: schedule(name, options) for name, options in SCHEDULES.items()}},
    }
    (OUT / "cases.json").write_text(json.dumps(document, indent=2) + "\n")
