"""What the scripts beside TRL share: golden models, a tokenizer whose words are ids, and what a trainer logged."""

import pathlib
import tempfile

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

GOLDEN = pathlib.Path(__file__).parent / "golden"
VOCABULARY = 48
SETTINGS = dict(
    output_dir=tempfile.mkdtemp(), report_to=[], use_cpu=True, bf16=False, fp16=False, seed=0, save_strategy="no",
    logging_steps=1, max_steps=4, learning_rate=1e-2, lr_scheduler_type="linear", max_grad_norm=1.0,
    gradient_checkpointing=False, disable_tqdm=True, optim="adamw_torch", weight_decay=0.0,
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Word `t07` is id 7 (two digits, so that no special token is the start of another); id 2 ends a text, id 0 pads."""
    core = Tokenizer(models.WordLevel({f"t{i:02}": i for i in range(VOCABULARY)}, unk_token="t01"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="t02", pad_token="t00", unk_token="t01")


def words(ids) -> str:
    return "".join(f" t{i:02}" for i in ids)


def model(name: str, scale: float = 1.0):
    """A golden model without dropout, all its weights times `scale`."""
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        GOLDEN / "models" / name, dtype=torch.float32, attn_implementation="eager"
    )
    for module in loaded.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.mul_(scale)
    return loaded


def ids(generator: torch.Generator, length: int) -> list[int]:
    return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()


def logged(trainer) -> list[dict]:
    """Figures of every step, as numbers."""
    return [
        {key: float(value) for key, value in entry.items() if key not in ("step", "entropy") and "logits/" not in key}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
