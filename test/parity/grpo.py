"""Goldens of TRL's GRPOTrainer and RLOOTrainer: one iteration's advantages, loss and gradients on a tiny model.

    python test/parity/grpo.py      writes test/parity/golden/grpo.json (trl 1.16; needs the models of models.py)

The trainers sample, score and compute the loss themselves; only the log-probabilities of the old policy are moved away
from those of the policy, so that ratios differ from 1 and some are clipped.
"""

import json

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.trainer import grpo_trainer, rloo_trainer
from trl_common import GOLDEN, SETTINGS, model, tokenizer, words

for module in (grpo_trainer, rloo_trainer):
    module.shuffle_sequence_dict = lambda batch: batch  # rewards and rows stay in one order
PROMPTS = [[5, 9, 12], [7, 30], [11, 4, 21, 8], [33, 6]]
LENGTHS = [6, 2, 4, 1, 6, 3, 5, 2]  # of responses, which are cut after they were scored
COMMON = dict(
    per_device_train_batch_size=8, num_generations=4, max_completion_length=6, temperature=0.8,
    epsilon=0.2, max_steps=1, learning_rate=0.0, max_grad_norm=1e9,
)
GRPO = {
    "grpo": dict(loss_type="grpo"),
    "dr_grpo": dict(loss_type="dr_grpo", scale_rewards="none"),
    "dapo": dict(loss_type="dapo", epsilon_high=0.28),
    "bnpo": dict(loss_type="bnpo", scale_rewards="batch"),
    "cispo": dict(loss_type="cispo", epsilon_high=1.3),
    "gspo": dict(loss_type="grpo", importance_sampling_level="sequence", epsilon=0.05),
    "kl": dict(loss_type="grpo", beta=0.3),
}
RLOO = {"rloo": dict(beta=0.2), "rloo_normalised": dict(beta=0.0, normalize_advantages=True)}


def run(made, settings, options):
    given = {**SETTINGS, **COMMON, **options}
    found = {}

    def reward(completion_ids, **_):
        found["rewards"] = [sum(i % 5 for i in row) / 4 + len(row) % 3 for row in completion_ids]
        return found["rewards"]

    data = Dataset.from_list([{"prompt": words(ids)} for ids in PROMPTS])
    trainer = made(model=model("llama"), args=settings(**given), processing_class=tokenizer(),
                   train_dataset=data, reward_funcs=reward)
    if options.get("beta"):
        for parameter in trainer.ref_model.parameters():
            parameter.data.mul_(1.1)
    trainer.model.get_input_embeddings().padding_idx = None  # else a sampled padding id has no gradient
    inner = trainer._compute_loss

    def compute(network, inputs):
        mask = inputs["completion_mask"]
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        attention = torch.cat([inputs["prompt_mask"], mask], 1)
        logps = trainer._get_per_token_logps_and_entropies(network, ids, attention, mask.size(1))[0].detach()
        torch.manual_seed(3)
        old = logps + 0.4 * torch.randn(logps.shape) * mask
        if made is GRPOTrainer:
            inputs["old_per_token_logps"] = old
        else:  # of a whole response
            old = logps + 0.1 * torch.randn(logps.shape) * mask
            inputs["old_logps"] = (old * mask).sum(1)
        if made is RLOOTrainer and options.get("beta"):
            ref = trainer._get_per_token_logps_and_entropies(trainer.ref_model, ids, attention, mask.size(1))[0].detach()
            found["kl"] = [row[m.bool()].tolist() for row, m in zip(logps - ref, mask)]
        loss = inner(network, inputs)
        real = lambda rows, masks: [row[m.bool()].tolist() for row, m in zip(rows, masks)]
        found.update(
            prompts=real(inputs["prompt_ids"], inputs["prompt_mask"]), responses=real(inputs["completion_ids"], mask),
            old_log_probs=real(old, mask), advantages=inputs["advantages"].tolist(), loss=loss.item())
        if "ref_per_token_logps" in inputs:
            found["ref_log_probs"] = real(inputs["ref_per_token_logps"], mask)
        return loss

    trainer._compute_loss = compute
    backward = trainer.accelerator.backward

    def recorded(loss, **more):
        backward(loss, **more)
        found["gradients"] = {
            name: parameter.grad.norm().item() for name, parameter in trainer.model.named_parameters()
            if parameter.grad is not None}

    trainer.accelerator.backward = recorded
    score = trainer._generate_and_score_completions

    def scored(inputs):
        torch.manual_seed(1)
        out = score(inputs)
        if not (made is RLOOTrainer and options.get("beta")):  # whose rewards have the KL of whole responses
            for row, length in zip(out["completion_mask"], LENGTHS):
                row[length:] = 0
            if "num_items_in_batch" in out:
                out["num_items_in_batch"] = out["completion_mask"].sum()
        return out

    trainer._generate_and_score_completions = scored
    trainer.train()
    return found


goldens = {name: run(GRPOTrainer, GRPOConfig, options) | {"options": {**COMMON, **options}} for name, options in GRPO.items()}
goldens |= {name: run(RLOOTrainer, RLOOConfig, options) | {"options": {**COMMON, **options}} for name, options in RLOO.items()}
rounded = json.loads(json.dumps(goldens), parse_float=lambda text: float(f"{float(text):.8g}"))
(GOLDEN / "grpo.json").write_text(json.dumps(rounded) + "\n")
for name, case in goldens.items():
    print(name, case["loss"], [len(r) for r in case["responses"]], case["advantages"][:4])
