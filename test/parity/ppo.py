"""One iteration of TRL 1.12's PPOTrainer, as it runs, on tiny models: what it computes on the way, for ppo.parity.test.ts.

    /path/to/venv-with-trl-1.12/bin/python test/parity/ppo.py

Writes golden/ppo/cases.json and golden/ppo/weights.safetensors. The trainer's own `train` runs; functions of its module
are wrapped to record what goes through them. Nothing is computed here.
"""

import json
import os
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

os.environ["TOKENIZERS_PARALLELISM"] = "false"
out = Path(__file__).parent / "golden" / "ppo"
out.mkdir(parents=True, exist_ok=True)

VOCAB, EOS, PAD = 37, 2, 0
SIZES = dict(
    vocab_size=VOCAB,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=32,
    initializer_range=0.2,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=EOS,
    pad_token_id=PAD,
)


def model(kind, seed):
    torch.manual_seed(seed)
    config = LlamaConfig(**SIZES, **({"num_labels": 1} if kind is LlamaForSequenceClassification else {}))
    return kind(config)


def tokenizer():
    words = {f"w{i}": i for i in range(VOCAB)}
    core = Tokenizer(WordLevel(words, unk_token="w3"))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="w0", bos_token="w1", eos_token="w2", padding_side="left"
    )


PROMPTS = [[5, 6, 7], [8, 9], [10, 11, 12, 13], [14], [15, 16, 17], [18, 19, 20], [21, 22], [23, 24, 25, 26]]


def run(weights, seed, **options):
    seen = {"rewards": None, "means": [], "updates": []}
    whitening = [False]
    original = {
        n: getattr(ppo_trainer, n) for n in ("batch_generation", "get_reward", "masked_whiten", "masked_mean", "selective_log_softmax")
    }
    tolist = lambda x: x.detach().double().tolist()

    def batch_generation(*args):
        query_responses, logits = original["batch_generation"](*args)
        seen["queries"], seen["query_responses"] = args[1].tolist(), query_responses.tolist()
        return query_responses, logits

    def selective_log_softmax(*args):
        result = original["selective_log_softmax"](*args)
        seen.setdefault("log_probs", []).append(tolist(result))
        return result

    def get_reward(m, *args):
        result = original["get_reward"](m, *args)
        context = args[-1]
        if "values" not in seen:
            seen["values"] = tolist(result[0][:, context - 1 : -1].squeeze(-1))
        else:
            seen["scores"] = tolist(result[1])
        return result

    def masked_whiten(values, mask, shift_mean=True):
        whitening[0] = True
        result = original["masked_whiten"](values, mask, shift_mean)
        whitening[0] = False
        key = "advantages" if shift_mean else "rewards"
        seen[key] = tolist(values)
        seen[f"{key}_mask"] = mask.long().tolist()
        seen[f"{key}_whitened"] = tolist(result)
        return result

    def masked_mean(values, mask, axis=None):
        result = original["masked_mean"](values, mask, axis)
        if not whitening[0]:
            seen["means"].append(float(result))
        return result

    patched = dict(
        batch_generation=batch_generation,
        get_reward=get_reward,
        masked_whiten=masked_whiten,
        masked_mean=masked_mean,
        selective_log_softmax=selective_log_softmax,
    )
    for n, f in patched.items():
        setattr(ppo_trainer, n, f)

    policy, reference = model(LlamaForCausalLM, 1), model(LlamaForCausalLM, 2)
    value, reward = model(LlamaForSequenceClassification, 3), model(LlamaForSequenceClassification, 4)
    if weights is not None:
        for part, m in (("policy", policy), ("reference", reference), ("critic", value)):
            weights.update({f"{part}.{k}": v.clone() for k, v in m.state_dict().items()})
    with tempfile.TemporaryDirectory() as folder:
        args = PPOConfig(
            output_dir=folder,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=1,
            total_episodes=8,
            num_mini_batches=1,
            response_length=6,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            num_sample_generations=0,
            report_to=[],
            bf16=False,
            use_cpu=True,
            seed=seed,
            save_strategy="no",
            gradient_checkpointing=False,
            **options,
        )
        trainer = PPOTrainer(
            args=args,
            processing_class=tokenizer(),
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=Dataset.from_dict({"input_ids": PROMPTS}),
            eval_dataset=Dataset.from_dict({"input_ids": PROMPTS}),
        )
        trainer.log = lambda metrics, *a, **k: seen.update(metrics={k: v for k, v in metrics.items() if v == v})  # the variance of one update is NaN
        gradients = []

        def before_step(optimizer, *_):
            if not gradients:
                gradients.append({n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None})

        trainer.optimizer.optimizer.register_step_pre_hook(before_step)
        trainer.train()
    for n, f in original.items():
        setattr(ppo_trainer, n, f)
    if weights is not None:
        for n, g in gradients[0].items():
            weights[f"gradient.{n}"] = g
        for n, p in policy.state_dict().items():
            weights[f"after.policy.{n}"] = p.clone()
    seen["updates"] = [
        dict(zip(("value_loss", "value_clipfrac", "policy_loss", "clipfrac"), seen["means"][i : i + 4]))
        for i in range(0, len(seen["means"]), 4)
    ]
    context = len(seen["queries"][0])
    seen["prompts"] = [[t for t in q if t != PAD] for q in seen.pop("queries")]
    seen["responses"] = [row[context:] for row in seen.pop("query_responses")]
    log_probs = seen.pop("log_probs")
    seen["old_log_probs"], seen["ref_log_probs"] = log_probs[0], log_probs[1]
    seen["new_log_probs"] = log_probs[2:]
    del seen["means"]
    seen["options"] = {k: getattr(args, k) for k in ("kl_coef", "temperature", "cliprange", "cliprange_value", "vf_coef", "gamma", "lam", "learning_rate", "num_ppo_epochs", "adam_epsilon", "missing_eos_penalty", "kl_estimator")}
    return seen


def padding_is_sampled(response):
    """The padding token stands before the end of the response, where TRL would take it for the end."""
    return PAD in (response[: response.index(EOS)] if EOS in response else response)


def suited(weights, ragged=False, **options):
    """With the first seed for which no response holds the padding token; `ragged`: and some end early, some do not."""
    for seed in range(11, 90):
        found = {} if weights is not None else None
        seen = run(found, seed, **options)
        early = [EOS in row[:-1] for row in seen["responses"]]
        late = [EOS not in row for row in seen["responses"]]
        if not any(map(padding_is_sampled, seen["responses"])) and (not ragged or (any(early) and any(late))):
            if weights is not None:
                weights.update(found)
            return seen
    raise SystemExit("no seed suits")


weights = {}
cases = {
    "whole": suited(weights, num_ppo_epochs=3, kl_coef=0.2, temperature=0.7, lam=0.9, vf_coef=0.3),
    "whitened": suited(
        None, num_ppo_epochs=1, kl_coef=0.2, temperature=1.3, whiten_rewards=True, gamma=0.97, kl_estimator="k3"
    ),
    "ragged": suited(
        None, ragged=True, num_ppo_epochs=1, kl_coef=0.1, temperature=2.0, stop_token="eos", missing_eos_penalty=1.5, whiten_rewards=True
    ),
}
(out / "cases.json").write_text(json.dumps(cases))
save_file({k: v.contiguous() for k, v in weights.items()}, out / "weights.safetensors")
print({k: v["metrics"] for k, v in cases.items()})
for k, v in cases.items():
    print(k, v["responses"][:3], v["updates"])
