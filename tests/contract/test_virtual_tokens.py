"""Prefix and prompt tuning on the transformers engine: peft's own replies and losses, on every path."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from threading import Event
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.registry import load_engine
from mmchat.errors import ConfigError, UsageError, WeightsError
from tests.contract import tiny_models
from tests.contract.test_likelihoods import chatml_ids

# peft still asks transformers for this by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

VIRTUAL = 20
"""As `mmchat finetune` makes them; more than the sliding window of the small Gemma 3 can see."""
REPLY_TOKENS = 16
FAMILIES = ["llama", "qwen3", "gemma3"]
METHODS = ["prefix", "prompt"]
CASES = [(family, method) for family in FAMILIES for method in METHODS]
OPTIONS = GenerateOptions(max_new_tokens=REPLY_TOKENS, temperature=0, repetition_penalty=1.0)
FIRST = [Message("user", "the cat sat on the mat")]
PROMPTS = [
    FIRST,
    [Message("user", "the mat sat on the cat")],
    [
        Message("system", "Be kind."),
        Message("user", "the dog ran and ran over the mat and the cat sat on the dog " * 3),
    ],
    [Message("user", "")],
]
REPLIES = ["sat on the mat", "the dog", "the cat ran over the mat and the dog " * 4, "no"]


def base_model(path: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True).eval()


def make_adapter(folder: Path, base: Path, method: str) -> Path:
    """A random adapter, big enough to turn every reply."""
    make = peft.PrefixTuningConfig if method == "prefix" else peft.PromptTuningConfig
    adapted = peft.get_peft_model(base_model(base), make(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in (each for each in adapted.parameters() if each.requires_grad):
            weight.copy_(torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(str(folder))
    return folder


def load(path: Path, adapter: Path | None, context_tokens: int = 0) -> Any:
    return load_engine(
        "lm",
        EngineSpec("tiny", "transformers", path, context_tokens, "cpu", "float32", adapter_path=adapter),
    )


def say(model: Any, messages: list[Message]) -> tuple[str, GenerationDone]:
    events = list(model.stream(messages, OPTIONS, Event()))
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1]


def peft_model(path: Path, adapter: Path) -> Any:
    return peft.PeftModel.from_pretrained(base_model(path), str(adapter)).eval()


def prompt_of(path: Path, messages: list[Message]) -> Any:
    tokens: Any = transformers.AutoTokenizer.from_pretrained(path)
    turns = [{"role": each.role, "content": each.text} for each in messages]
    return tokens.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)


def words(path: Path, ids: Any) -> str:
    # Random weights leave half a character at the end, which the engine never shows.
    text = str(transformers.AutoTokenizer.from_pretrained(path).decode(ids, skip_special_tokens=True))
    return text.rstrip("\ufffd")


def forward_greedy(path: Path, adapter: Path, messages: list[Message]) -> str:
    """The naive way: all tokens through peft's own `forward`, as in training, anew for each token drawn."""
    model, ids = peft_model(path, adapter), prompt_of(path, messages)["input_ids"]
    end = transformers.AutoTokenizer.from_pretrained(path).eos_token_id
    drawn: list[int] = []
    with torch.no_grad():
        while len(drawn) < REPLY_TOKENS and (not drawn or drawn[-1] != end):
            everything = torch.cat([ids, torch.tensor([drawn], dtype=torch.long)], dim=1)
            drawn.append(int(model(input_ids=everything, use_cache=False).logits[0, -1].argmax()))
    return words(path, drawn)


@pytest.mark.parametrize(("family", "method"), CASES)
def test_replies_are_those_of_pefts_forward(family: str, method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", family)
    adapter = make_adapter(tmp_path / "adapter", path, method)
    without, _ = say(load(path, None), FIRST)
    said, _ = say(load(path, adapter), FIRST)
    assert len(said) > REPLY_TOKENS // 2
    assert said.rstrip("\ufffd") == forward_greedy(path, adapter, FIRST)
    assert say(load(path, None), FIRST)[0] == without != said


@pytest.mark.parametrize("method", METHODS)
def test_replies_are_those_of_pefts_generate(method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path / "adapter", path, method)
    inputs = prompt_of(path, FIRST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it counts positions itself
        ids = peft_model(path, adapter).generate(**inputs, max_new_tokens=REPLY_TOKENS, do_sample=False)[0]
    said, _ = say(load(path, adapter), FIRST)
    assert said.rstrip("\ufffd") == words(path, ids[inputs["input_ids"].shape[1] :])


@pytest.mark.parametrize(("family", "method"), CASES)
def test_later_turns_go_on_from_the_cache(family: str, method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", family)
    adapter = make_adapter(tmp_path / "adapter", path, method)
    model = load(path, adapter)
    said, done = say(model, FIRST)
    assert done.cached_tokens == 0
    longer = [*FIRST, Message("assistant", said), Message("user", "and the dog?")]
    for messages, may_be_new in ((longer, False), (FIRST, False), ([Message("user", "ran")], True), (longer, True)):
        again, done = say(model, messages)
        assert done.cached_tokens > 0 or may_be_new
        assert done.prompt_tokens == prompt_of(path, messages)["input_ids"].shape[1]
        assert again == say(load(path, adapter), messages)[0]


@pytest.mark.parametrize(("family", "method"), CASES)
def test_a_batch_says_what_its_rows_say_alone(family: str, method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", family)
    model = load(path, make_adapter(tmp_path / "adapter", path, method))
    together = model.reply_batch(PROMPTS, OPTIONS, Event(), seeds=[0] * len(PROMPTS))
    for messages, reply in zip(PROMPTS, together, strict=True):
        said, done = say(model, messages)
        assert (reply.text, reply.finish_reason) == (said, done.finish_reason)
        assert reply.prompt_tokens == done.prompt_tokens
    assert len({reply.text for reply in together}) > 1


@pytest.mark.parametrize(("family", "method"), CASES)
def test_likelihoods_are_pefts_own_losses(family: str, method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", family)
    adapter = make_adapter(tmp_path / "adapter", path, method)
    tuned, tokens = peft_model(path, adapter), transformers.AutoTokenizer.from_pretrained(path)
    found = load(path, adapter).likelihoods(PROMPTS, REPLIES, Event())
    for messages, reply, likelihood in zip(PROMPTS, REPLIES, found, strict=True):
        ids, first = chatml_ids(tokens, messages, reply)
        with torch.no_grad():
            logits = tuned(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -len(ids) :]
        wanted = torch.tensor(ids[first:])
        loss = torch.nn.functional.cross_entropy(logits[first - 1 : -1], wanted, reduction="sum")
        assert likelihood.tokens == len(wanted)
        assert likelihood.nats == pytest.approx(float(loss), abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_virtual_tokens_take_room(method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path / "adapter", path, method)
    assert load(path, adapter).context_tokens == 512 - VIRTUAL
    small = load(path, adapter, 64)
    assert small.context_tokens == 64 - VIRTUAL
    with pytest.raises(UsageError):
        small.likelihoods([FIRST], ["the cat sat on the mat " * 6], Event())


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_for_another_model(method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path / "adapter", path, method)
    other = base_model(path).config
    # Half as wide, and for the prefix as many numbers for each token from half the layers.
    other.update({"hidden_size": 16, "num_hidden_layers": 4})
    wider = tiny_models.save(
        tmp_path / "other",
        other,
        transformers.AutoModelForCausalLM,
        transformers.AutoTokenizer.from_pretrained(path),
    )
    with pytest.raises(WeightsError, match="does not fit 'tiny'"):
        load(wider, adapter)


@pytest.mark.parametrize("method", METHODS)
def test_tensors_that_do_not_belong(method: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path / "adapter", path, method)
    file = adapter / "adapter_model.safetensors"
    whole = load_file(file)
    for changed, why in (
        ({**whole, "more": torch.zeros(1)}, "damaged"),
        ({"other": torch.zeros(1)}, "damaged"),
        ({name: tensor[:, :-1].contiguous() for name, tensor in whole.items()}, "size mismatch"),
    ):
        save_file(changed, file)
        with pytest.raises(WeightsError, match=why):
            load(path, adapter)


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path / "base", "llama")
    adapter = make_adapter(tmp_path / "adapter", path, "prompt")
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"task_type": "SEQ_2_SEQ_LM"}), encoding="utf-8")
    with pytest.raises(ConfigError, match="PROMPT_TUNING"):
        load(path, adapter)
