"""Goldens of TRL's PRMTrainer: what it logs in four AdamW steps on a tiny model, on solutions of several steps.

    python test/parity/prm.py   writes test/parity/golden/prm.json (trl 1.12; needs the models of models.py)

The head has no bias here, as Attune's score heads have none: transformers' token classifier gets one of 0 that does not
train.
"""

import json

import torch
import transformers
from datasets import Dataset
from trl.experimental.prm import PRMConfig, PRMTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, tokenizer, words

STEPS = [(3, [2, 4, 1]), (1, [5]), (4, [1, 2]), (2, [3, 3, 2, 1])]  # tokens of the prompt, of each step

generator = torch.Generator().manual_seed(11)
rows = [
    dict(
        prompt=ids(generator, prompt),
        steps=[ids(generator, step) for step in steps],
        labels=[bool(torch.rand((), generator=generator) > 0.4) for _ in steps],
    )
    for prompt, steps in STEPS
]
head = torch.randn(2, 32, generator=generator) * 0.2
out = {"rows": rows, "learning_rate": SETTINGS["learning_rate"], "cases": {}}
for last_only in (False, True):
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        GOLDEN / "models" / "llama", dtype=torch.float32, attn_implementation="eager", num_labels=2
    )
    head = head[:, : model.config.hidden_size]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
        model.score.weight.copy_(head)
        model.score.bias.zero_()
    model.score.bias.requires_grad_(False)
    out["head"] = head.flatten().tolist()
    trainer = PRMTrainer(
        model=model,
        args=PRMConfig(
            **SETTINGS, max_length=64, per_device_train_batch_size=len(rows), step_separator=" t03",
            train_on_last_step_only=last_only,
        ),
        train_dataset=Dataset.from_list(
            [dict(prompt=words(r["prompt"]), completions=[words(s) for s in r["steps"]], labels=r["labels"]) for r in rows]
        ),
        processing_class=tokenizer(),
    )
    trainer.train()
    out["cases"]["last" if last_only else "all"] = logged(trainer)
(GOLDEN / "prm.json").write_text(json.dumps(out, indent=1) + "\n")
