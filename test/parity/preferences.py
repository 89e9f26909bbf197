"""Goldens of TRL's CPO, ORPO and KTO trainers: what they log in two AdamW steps on a tiny model.

    python test/parity/preferences.py      writes test/parity/golden/preferences.json (trl 1.16; models of models.py)
"""

import json

import torch
from datasets import Dataset
from trl import KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, model, tokenizer, words

SCALE = 0.8  # weights of the policy are those of the reference times this
NAME = "llama"
CASES = {
    "cpo/sigmoid": dict(loss_type="sigmoid", beta=0.3),
    "cpo/sigmoid_smoothed": dict(loss_type="sigmoid", beta=0.3, label_smoothing=0.2, cpo_alpha=0.5),
    "cpo/hinge": dict(loss_type="hinge", beta=0.3, cpo_alpha=0.0),
    "cpo/ipo": dict(loss_type="ipo", beta=0.3),
    "cpo/simpo": dict(loss_type="simpo", beta=2.0, simpo_gamma=0.8, cpo_alpha=0.0),
    "cpo/alphapo": dict(loss_type="alphapo", beta=2.0, simpo_gamma=0.2, alpha=0.25),
    "orpo/orpo": dict(beta=0.3),
    "kto/kto": dict(loss_type="kto", beta=0.3),
    "kto/weights": dict(loss_type="kto", beta=0.1, desirable_weight=1.5, undesirable_weight=0.7),
    "kto/apo_zero_unpaired": dict(loss_type="apo_zero_unpaired", beta=0.3),
}
# prompt, chosen, rejected; and prompt, completion, label; one token is the end of text
PAIRS = [(3, 4, 2), (1, 2, 6), (5, 3, 3), (2, 7, 3), (4, 2, 5)]
LABELS = [(3, 4, True), (1, 6, False), (5, 3, False), (2, 7, True), (4, 2, False)]


def rows() -> dict:
    generator = torch.Generator().manual_seed(5)
    answer = lambda length: [*ids(generator, length - 1), 2]
    return {
        "pairs": [dict(prompt=ids(generator, p), chosen=answer(c), rejected=answer(r)) for p, c, r in PAIRS],
        "labels": [dict(prompt=ids(generator, p), completion=answer(c), label=label) for p, c, label in LABELS],
    }


def texts(row: dict) -> dict:
    return {key: words(value) if isinstance(value, list) else value for key, value in row.items()}


def train(kind: str, options: dict, data: dict, steps: int = 2) -> list[dict]:
    trainers = {"cpo": (CPOTrainer, CPOConfig), "orpo": (ORPOTrainer, ORPOConfig), "kto": (KTOTrainer, KTOConfig)}
    trainer_class, config_class = trainers[kind]
    chosen = data["labels" if kind == "kto" else "pairs"]
    trainer = trainer_class(
        model=model(NAME, SCALE),
        **(dict(ref_model=model(NAME)) if kind == "kto" else {}),
        args=config_class(
            **SETTINGS | dict(max_steps=steps), per_device_train_batch_size=len(chosen), max_length=64, **options
        ),
        train_dataset=Dataset.from_list([texts(row) for row in chosen]),
        processing_class=tokenizer(),
    )
    trainer.train()
    return logged(trainer)


if __name__ == "__main__":
    data = rows()
    cases = {
        case: {"options": options, "steps": train(case.split("/")[0], options, data)} for case, options in CASES.items()
    }
    out = {"model": NAME, "scale": SCALE, "learning_rate": SETTINGS["learning_rate"], **data, "cases": cases}
    (GOLDEN / "preferences.json").write_text(json.dumps(out, indent=1) + "\n")
