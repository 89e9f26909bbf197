"""Goldens of TRL's Nash-MD and online DPO losses, on responses that are given instead of sampled.

    python test/parity/online.py      writes test/parity/golden/online.json (trl 1.12; needs the models of models.py)
"""

import json
import types

import torch
from trl.experimental.nash_md import NashMDTrainer
from trl.experimental.online_dpo import OnlineDPOTrainer
from trl_common import GOLDEN, ids, model

# prompt, first response, second response; ragged
LENGTHS = [(3, 4, 2), (1, 1, 6), (5, 3, 3), (2, 7, 1)]
BETA = 0.3
PROBABILITIES = [0.9, 0.5, 0.2, 0.65]
REWARDS = [1.0, 0.5, -2.0, 0.25, 0.5, 1.5, -3.0, 0.0]  # first responses, then second ones

generator = torch.Generator().manual_seed(5)
rows = [dict(prompt=ids(generator, p), first=ids(generator, a), second=ids(generator, b)) for p, a, b in LENGTHS]


def padded(key: str):
    """Prompts padded on the left, responses on the right."""
    prompt = max(len(row["prompt"]) for row in rows)
    length = max(len(row[key]) for row in rows)
    tokens = [[0] * (prompt - len(r["prompt"])) + r["prompt"] + r[key] + [0] * (length - len(r[key])) for r in rows]
    mask = [
        [0] * (prompt - len(r["prompt"])) + [1] * (len(r["prompt"]) + len(r[key])) + [0] * (length - len(r[key]))
        for r in rows
    ]
    return dict(input_ids=torch.tensor(tokens), attention_mask=torch.tensor(mask)), prompt


class WithPositions(torch.nn.Module):
    """Positions count real tokens, whatever the padding."""

    def __init__(self, core):
        super().__init__()
        self.core = core

    def forward(self, input_ids, attention_mask):
        positions = (attention_mask.cumsum(1) - 1).clamp(min=0)
        return self.core(input_ids, attention_mask=attention_mask, position_ids=positions)


def gradients(core) -> float:
    return torch.cat([p.grad.flatten() for p in core.parameters() if p.grad is not None]).norm().item()


out = {"rows": rows, "beta": BETA, "scale": 1.1, "probabilities": PROBABILITIES, "rewards": REWARDS, "cases": {}}
for name in ("llama", "gpt2"):
    policy, reference = model(name, 1.1), model(name)
    fake = types.SimpleNamespace(beta=BETA, ref_model=WithPositions(reference))
    data, context = padded("first")
    logps, ref_logps = NashMDTrainer._compute_logprobs(fake, WithPositions(policy), data, context)
    loss, score, kl = NashMDTrainer._compute_losses(fake, logps, ref_logps, torch.tensor(PROBABILITIES))
    loss.backward()
    out["cases"][f"{name}/nash_md"] = {
        "loss": loss.item(), "loss/score": score.mean().item(), "loss/kl": kl.mean().item(),
        "grad_norm": gradients(policy),
    }

    for loss_type in ("sigmoid", "ipo"):
        policy = model(name, 1.1)
        caught = {}

        class Accelerator:
            num_processes = 1

            def gather_for_metrics(self, x):
                return x

            def backward(self, loss, **_):
                caught["loss"] = loss
                loss.backward()

        class Stats(dict):
            def __missing__(self, key):
                self[key] = []
                return self[key]

        (first, context), (second, _) = padded("first"), padded("second")
        length = max(first["input_ids"].shape[1], second["input_ids"].shape[1]) - context

        def completions(key: str, what: str, data):
            part = data[what][:, context:]
            return torch.nn.functional.pad(part, (0, length - part.shape[1]))

        prompt_ids, prompt_mask = first["input_ids"][:, :context], first["attention_mask"][:, :context]
        completion_ids = torch.cat([completions("f", "input_ids", first), completions("s", "input_ids", second)])
        completion_mask = torch.cat(
            [completions("f", "attention_mask", first), completions("s", "attention_mask", second)]
        )
        # A string of words stands for each prompt; nothing reads it.
        fake = types.SimpleNamespace(
            args=types.SimpleNamespace(
                use_vllm=False, missing_eos_penalty=None, loss_type=loss_type, ds3_gather_for_generation=False,
                torch_empty_cache_steps=None, n_gpu=1, gradient_accumulation_steps=1, optim="adamw_torch", temperature=1.0,
            ),
            beta=BETA, ref_model=WithPositions(reference), eos_token_ids=[2], eos_token_id=2,
            use_vllm=False, reward_funcs=[None], judge=None, stats=Stats(), accelerator=Accelerator(),
            processing_class=types.SimpleNamespace(batch_decode=lambda *a, **k: [""] * len(completion_ids)),
            _tokenizer=types.SimpleNamespace(eos_token_id=2),
            state=types.SimpleNamespace(global_step=0), optimizer=None, use_apex=False,
            _generate=lambda *a: (
                prompt_ids.repeat(2, 1), prompt_mask.repeat(2, 1), completion_ids, completion_mask
            ),
            _calculate_rewards_from_functions=lambda **_: torch.tensor(REWARDS),
            is_vision_model=False,
        )

        def forward(m, prompt_ids, prompt_mask, completion_ids, completion_mask, *_):
            """OnlineDPOTrainer._forward without its cut of the prompt, which these do not need."""
            all_ids = torch.cat([prompt_ids, completion_ids], 1)
            logits = m(all_ids, torch.cat([prompt_mask, completion_mask], 1)).logits
            logits = logits[:, prompt_ids.shape[1] - 1 : -1]
            return torch.take_along_dim(logits.log_softmax(-1), completion_ids.unsqueeze(-1), -1).squeeze(-1)

        fake._forward = forward
        wrapped = WithPositions(policy)
        OnlineDPOTrainer.training_step(fake, wrapped, {"prompt": ["t03"] * len(rows)})
        stats = {key: value[0] for key, value in fake.stats.items() if key.startswith(("rewards/", "logps/"))}
        out["cases"][f"{name}/online_dpo/{loss_type}"] = stats | {
            "loss": caught["loss"].item(), "grad_norm": gradients(policy)
        }

(GOLDEN / "online.json").write_text(json.dumps(out, indent=1) + "\n")
