"""Likelihoods on transformers against the naive way: transformers' own loss, one row at a time."""

from __future__ import annotations

import random
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
import transformers
from PIL import Image

from mmchat.domain import EngineSpec, Likelihood, Message
from mmchat.engines.base import ScoringLanguageModel
from mmchat.engines.lm_prompts import ChatTemplateFormat
from mmchat.engines.registry import load_engine
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import UsageError
from tests.contract import tiny_models

DECODERS = ["llama", "llama-plain", "qwen3", "gemma3"]
SEQ2SEQ = ["t5", "blenderbot"]
TOLERANCE = 1e-4
"""Nats; float32 sums in another order."""

PROMPTS: list[list[Message]] = [
    [Message("user", "the cat")],
    [Message("system", "Be kind."), Message("user", "hi"), Message("assistant", "Hello."), Message("user", "and now?")],
    [Message("user", "the dog ran and ran and ran over the mat and the cat sat on the dog " * 3)],
    [Message("user", "")],
]
REPLIES = ["sat on the mat", "你好 🎉, the dog", "no", "the cat ran over the mat and the dog " * 4]


def load(path: Path, context_tokens: int = 0) -> ScoringLanguageModel:
    model: ScoringLanguageModel = load_engine(
        "lm", EngineSpec("tiny", "transformers", path, dtype="float32", context_tokens=context_tokens, device="cpu")
    )
    return model


def naive_decoder(path: Path, ids: list[int], first: int) -> float:
    """The loss that `transformers` computes from labels, times the tokens it is the mean of."""
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    labels = torch.tensor([[-100] * first + ids[first:]])
    with torch.no_grad():
        loss = model(input_ids=torch.tensor([ids]), labels=labels).loss
    return float(loss) * (len(ids) - first)


def chatml_ids(tokens: Any, messages: list[Message], reply: str) -> tuple[list[int], int]:
    turns = [{"role": message.role, "content": message.text} for message in messages]
    prompt = tokens.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    before = tokens(prompt, add_special_tokens=False)["input_ids"]
    after = tokens(f"{reply.strip()}{tokens.eos_token}", add_special_tokens=False)["input_ids"]
    return before + after, len(before)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_decoders_against_transformers_own_loss(family: str, tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path, family)
    tokens = transformers.AutoTokenizer.from_pretrained(path)
    likelihoods = load(path).likelihoods(PROMPTS, REPLIES, Event())
    for messages, reply, likelihood in zip(PROMPTS, REPLIES, likelihoods, strict=True):
        ids, first = chatml_ids(tokens, messages, reply)
        assert likelihood.tokens == len(ids) - first
        assert likelihood.nats == pytest.approx(naive_decoder(path, ids, first), abs=TOLERANCE)


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_encoder_decoders_against_transformers_own_loss(family: str, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path, family)
    tokens = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(path, dtype=torch.float32)
    prompts = [[Message("user", "the cat")], [Message("user", "the dog ran over the mat")]]
    for text, reply, likelihood in zip(
        ("the cat", "the dog ran over the mat"),
        REPLIES,
        load(path).likelihoods(prompts, REPLIES[:2], Event()),
        strict=False,
    ):
        labels = [*tokens(reply)["input_ids"], tokens.eos_token_id]
        with torch.no_grad():
            loss = model(
                **tokens(text, return_tensors="pt", return_token_type_ids=False), labels=torch.tensor([labels])
            )
        assert likelihood.tokens == len(labels)
        assert likelihood.nats == pytest.approx(float(loss.loss) * len(labels), abs=TOLERANCE)


@pytest.mark.parametrize("family", [*DECODERS, *SEQ2SEQ])
def test_a_batch_says_what_its_rows_say_alone(family: str, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path, family) if family in SEQ2SEQ else tiny_models.decoder(tmp_path, family)
    model = load(path)
    assert isinstance(model, ScoringLanguageModel)
    together = model.likelihoods(PROMPTS, REPLIES, Event())
    for messages, reply, likelihood in zip(PROMPTS, REPLIES, together, strict=True):
        (alone,) = model.likelihoods([messages], [reply], Event())
        assert alone.tokens == likelihood.tokens > 1
        assert alone.nats == pytest.approx(likelihood.nats, abs=TOLERANCE)
    assert len({round(each.nats / each.tokens, 3) for each in together}) == len(PROMPTS)


def conversation(turns: int) -> tuple[list[list[Message]], list[str]]:
    """Every reply of one talk, after what was said before it."""
    said = [Message("system", "Be kind.")]
    prompts, replies = [], []
    for turn in range(turns):
        said = [*said, Message("user", f"the dog ran {turn} times over the mat")]
        prompts.append(said)
        replies.append("the cat sat on the mat " * (1 + turn % 3))
        said = [*said, Message("assistant", replies[-1].strip())]
    return prompts, replies


@pytest.mark.parametrize("family", DECODERS)
def test_the_replies_of_a_conversation_are_read_in_one_pass(family: str, tmp_path: Path) -> None:
    model = load(tiny_models.decoder(tmp_path, family))
    prompts, replies = conversation(6)
    others = [[Message("user", "hi")], prompts[2]]
    prompts, replies = [others[0], *prompts[::-1], others[1]], ["no", *replies[::-1], "another reply"]
    reads: list[int] = []

    def count(module: torch.nn.Module, given: Any) -> None:
        if isinstance(module, torch.nn.Embedding):
            reads.append(given[0].numel())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        together = model.likelihoods(prompts, replies, Event())
        read_together = sum(reads)
        reads.clear()
        alone = [model.likelihoods([each], [reply], Event())[0] for each, reply in zip(prompts, replies, strict=True)]
        read_alone = sum(reads)
    finally:
        hook.remove()
    for own, other in zip(together, alone, strict=True):
        assert own.tokens == other.tokens > 1
        assert own.nats == pytest.approx(other.nats, abs=TOLERANCE)
    if family != "llama-plain":  # whose replies end with a mark that its history does not have
        assert read_together < 0.75 * read_alone


def test_the_same_reply_twice_is_scored_twice(tmp_path: Path) -> None:
    model = load(tiny_models.decoder(tmp_path, "llama"))
    first, second, third = model.likelihoods([PROMPTS[1]] * 3, [REPLIES[0], REPLIES[0], REPLIES[2]], Event())
    assert first == second
    assert third.nats != pytest.approx(first.nats, abs=TOLERANCE)


def test_plain_text_is_scored_from_its_second_token(tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path, "llama")
    text = "the cat sat on the mat and the dog ran"
    ids = transformers.AutoTokenizer.from_pretrained(path)(text)["input_ids"]
    outcomes = load(path).likelihoods([[], [], []], [text, "", "the"], Event())
    assert outcomes[0].tokens == len(ids) - 1
    assert outcomes[0].nats == pytest.approx(naive_decoder(path, ids, 1), abs=TOLERANCE)
    assert outcomes[1:] == (Likelihood(0.0, 0), Likelihood(0.0, 0))


def test_plain_text_beyond_the_context_is_read_through_a_window(tmp_path: Path) -> None:
    path = tiny_models.decoder(tmp_path, "llama")
    text = "the cat sat on the mat and the dog ran " * 20
    ids = transformers.AutoTokenizer.from_pretrained(path)(text)["input_ids"]
    context = 64
    assert len(ids) > 2 * context
    expected = naive_decoder(path, ids[:context], 1)
    done = context
    while done < len(ids):
        end = min(done + context // 2, len(ids))
        expected += naive_decoder(path, ids[end - context : end], context - (end - done))
        done = end
    (outcome,) = load(path, context).likelihoods([[]], [text], Event())
    assert outcome.tokens == len(ids) - 1
    assert outcome.nats == pytest.approx(expected, abs=10 * TOLERANCE)


class _SetAfter(Event):
    """Set once it has been looked at so often: Ctrl+C on the way."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_a_cancel_is_heard_within_a_text_of_many_windows(tmp_path: Path) -> None:
    model = load(tiny_models.decoder(tmp_path, "llama"), 256)
    # In no pattern: windows that are the same are read once.
    text = " ".join(random.Random(0).choices(["the", "cat", "sat", "on", "mat", "and", "dog", "ran"], k=12_000))
    uncancelled = _SetAfter(1_000_000_000)
    (outcome,) = model.likelihoods([[]], [text], uncancelled)
    looks = 1_000_000_000 - uncancelled.looks
    assert outcome.tokens >= len(text.split()) - 1  # a token a word, but for the first
    cancel = _SetAfter(looks // 2)
    assert model.likelihoods([[], []], [text, "the cat"], cancel) == ()
    # A look or two after it was set, not all that were left.
    assert -cancel.looks < 5 < looks // 4


def test_an_encoder_decoder_has_no_likelihood_of_a_text_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="alone"):
        load(tiny_models.seq2seq(tmp_path, "t5")).likelihoods([[]], ["the cat"], Event())


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_what_does_not_fit_is_refused(family: str, tmp_path: Path) -> None:
    path = tiny_models.seq2seq(tmp_path, family) if family in SEQ2SEQ else tiny_models.decoder(tmp_path, family)
    model = load(path)
    with pytest.raises(UsageError):
        model.likelihoods(PROMPTS[:1], ["cat " * 2000], Event())
    with pytest.raises(UsageError):
        model.likelihoods([[Message("user", "cat " * 2000)]], ["cat"], Event())


def test_a_cancel_gives_fewer(tmp_path: Path) -> None:
    cancel = Event()
    cancel.set()
    assert load(tiny_models.decoder(tmp_path, "llama")).likelihoods(PROMPTS, REPLIES, cancel) == ()
    assert load(tiny_models.decoder(tmp_path, "llama")).likelihoods([], [], Event()) == ()


@pytest.mark.parametrize("family", ["idefics3", "qwen2.5-vl"])
def test_a_model_that_sees_scores_its_reply_to_a_picture(family: str, tmp_path: Path) -> None:
    path = tiny_models.vision(tmp_path / "model", family)
    picture = tmp_path / "red.png"
    Image.new("RGB", (48, 48), "red").save(picture)
    model = load(path)
    seen = [Message("user", "what is it?", (picture,))]
    shown, told = model.likelihoods([seen, [Message("user", "what is it?")]], ["the mat"] * 2, Event())
    assert shown.tokens == told.tokens > 2
    assert shown.nats != pytest.approx(told.nats, abs=TOLERANCE)

    processor = transformers.AutoProcessor.from_pretrained(path)
    naive = transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]}]
    prompt = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    with Image.open(picture) as image:
        inputs = processor(text=[f"{prompt}the mat<|im_end|>"], images=[image.convert("RGB")], return_tensors="pt")
    labels = inputs["input_ids"].clone()
    labels[:, : -shown.tokens] = -100
    with torch.no_grad():
        loss = naive(**inputs, labels=labels).loss
    assert shown.nats == pytest.approx(float(loss) * shown.tokens, abs=TOLERANCE)
    with pytest.raises(UsageError, match="no text alone"):
        model.likelihoods([[]], ["the cat"], Event())


def test_the_scripted_model_finds_known_words_likelier() -> None:
    model = ScriptedLanguageModel(context_tokens=60)
    assert isinstance(model, ScoringLanguageModel)
    prompts = [[Message("user", "the cat sat")], [Message("user", "the cat sat")], []]
    outcomes = model.likelihoods(prompts, ["the cat", "a dog", "a dog a dog"], Event())
    assert outcomes == (Likelihood(2.5, 3), Likelihood(8.5, 3), Likelihood(6.0, 3))
    with pytest.raises(UsageError):
        model.likelihoods(prompts[:1], ["word " * 60], Event())


# --- where a reply begins and ends, under real models' templates -----------------------------------

TEMPLATES = {
    "qwen3": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    ),
    "r1": (
        "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>{{ m.content }}"
        "{% else %}<mat>{{ m.content.split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<mat><think>\n{% endif %}"
    ),
    "mistral": (
        "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}<|im_end|>{% endif %}{% endfor %}"
    ),
    "chatml": tiny_models.CHATML,
}


@pytest.mark.parametrize("is_thinking", [False, True])
@pytest.mark.parametrize(
    ("template", "context_ends", "written"),
    [
        ("qwen3", "</think>\n\n", "Hello the cat.<|im_end|>"),
        ("r1", "<mat><think>\n\n</think>\n\n", "Hello the cat.<|im_end|>"),
        ("mistral", "[/INST]", " Hello the cat.<|im_end|>"),
        ("chatml", "<|im_start|>assistant\n", "Hello the cat.<|im_end|>"),
    ],
)
def test_the_reply_is_found_in_the_template(template: str, context_ends: str, written: str, is_thinking: bool) -> None:
    tokens = tiny_models.tokenizer()
    tokens.chat_template = TEMPLATES[template]
    prompt_format = ChatTemplateFormat(tokens, is_thinking=is_thinking)
    messages = [Message("user", "Hello the cat.")]  # the same words, earlier
    ids, first = prompt_format.encode_with_reply(messages, "Hello the cat.")
    assert tokens.decode(ids[:first]).endswith(context_ends)
    assert tokens.decode(ids[first:]) == written
    prompt = prompt_format.encode(messages)
    assert ids[: len(prompt)] == prompt


@pytest.mark.parametrize("reply", ["", "  ", "</think>", "a</think>b", "<|im_end|>", "\n\nthe cat\n", "<think>", "🎉"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_any_reply_ends_with_one_end_mark(template: str, reply: str) -> None:
    tokens = tiny_models.tokenizer()
    tokens.chat_template = TEMPLATES[template]
    prompt_format = ChatTemplateFormat(tokens)
    messages = [Message("user", "hi")]
    ids, first = prompt_format.encode_with_reply(messages, reply)
    prompt = prompt_format.encode(messages)
    assert ids[: len(prompt)] == prompt
    assert first >= len(prompt)
    assert ids[-1] == tokens.eos_token_id
    assert tokens.decode(ids[first:]).strip() == reply.strip() + tokens.eos_token


# --- the default model -------------------------------------------------------------------------------


@pytest.mark.weights
def test_the_default_model_against_transformers_own_loss(weights_dir: Path) -> None:
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore

    path = WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], "transformers")
    tokens = transformers.AutoTokenizer.from_pretrained(path)
    prompts = [*PROMPTS[:2], []]
    replies = ["A cat is a small animal.", "Now we can talk, 你好.", "The quick brown fox jumps over the lazy dog."]
    outcomes = load(path).likelihoods(prompts, replies, Event())
    for messages, reply, outcome in zip(prompts, replies, outcomes, strict=True):
        ids, first = chatml_ids(tokens, messages, reply) if messages else (tokens(reply)["input_ids"], 1)
        assert outcome.tokens == len(ids) - first
        assert outcome.nats == pytest.approx(naive_decoder(path, ids, first), abs=1e-3)
