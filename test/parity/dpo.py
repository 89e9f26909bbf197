"""Goldens of TRL's DPOTrainer: what it logs in four AdamW steps on tiny models, whose reference is another model.

    python test/parity/dpo.py      writes test/parity/golden/dpo.json (trl 1.16; needs the models of models.py)
"""

import json

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, model, tokenizer, words

SCALE = 1.1  # weights of the policy are those of the reference times this
# prompt, chosen, rejected; ragged, and responses of one token (the end of text) among them
LENGTHS = [(3, 4, 2), (1, 1, 6), (5, 3, 3), (2, 7, 1), (4, 2, 5)]
CASES = {
    "sigmoid": dict(loss_type=["sigmoid"], beta=0.1),
    "sigmoid_large_beta": dict(loss_type=["sigmoid"], beta=2.0),
}
# on one model, in two steps: every other loss, mixtures, divergences and weights of tokens
names = ("hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm")
VARIANTS = {name: dict(loss_type=[name], beta=0.3) for name in names} | {
    "exo_pair": dict(loss_type=["exo_pair"], beta=0.3, label_smoothing=0.01),
    "robust": dict(loss_type=["robust"], beta=0.3, label_smoothing=0.1),
    "aot": dict(loss_type=["aot"], beta=0.3, label_smoothing=0.1),
    "aot_unpaired": dict(loss_type=["aot_unpaired"], beta=0.3, label_smoothing=0.1),
    "mixture": dict(loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.5, 0.125, 0.375], beta=0.3),
    "ld_alpha": dict(loss_type=["sigmoid"], beta=0.3, ld_alpha=0.4),
    "ld_alpha_sft": dict(loss_type=["sft"], beta=0.3, ld_alpha=0.4),
    "use_weighting": dict(loss_type=["sigmoid", "nca_pair"], loss_weights=[0.5, 0.5], beta=0.3, use_weighting=True),
}
divergences = {
    "forward_kl": {}, "js_divergence": {}, "alpha_divergence": dict(f_alpha_divergence_coef=0.5)
}
for divergence, more in divergences.items():
    for name in ("sigmoid", "ipo"):
        VARIANTS[f"{name}_{divergence}"] = dict(
            loss_type=[name], beta=0.3, f_divergence_type=divergence, **more
        )

generator = torch.Generator().manual_seed(3)
pairs = [
    dict(prompt=ids(generator, p), chosen=[*ids(generator, c - 1), 2], rejected=[*ids(generator, r - 1), 2])
    for p, c, r in LENGTHS
]
rows = Dataset.from_list([{key: words(value) for key, value in pair.items()} for pair in pairs])
out = {"scale": SCALE, "pairs": pairs, "learning_rate": SETTINGS["learning_rate"], "cases": {}}


def train(name: str, options: dict, steps: int) -> dict:
    trainer = DPOTrainer(
        model=model(name, SCALE),
        ref_model=model(name),
        args=DPOConfig(
            **SETTINGS | dict(max_steps=steps), per_device_train_batch_size=len(pairs), max_length=64, **options
        ),
        train_dataset=rows,
        processing_class=tokenizer(),
    )
    trainer.train()
    return {"options": options, "steps": logged(trainer)}


for name in ("gpt2", "llama", "mistral"):
    for case, options in CASES.items():
        out["cases"][f"{name}/{case}"] = train(name, options, 4)
for case, options in VARIANTS.items():
    out["cases"][f"llama/{case}"] = train("llama", options, 2)
(GOLDEN / "dpo.json").write_text(json.dumps(out, indent=1) + "\n")
