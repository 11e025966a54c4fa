"""PEFT adapters on the transformers engine: the very replies of peft's own model, or a refusal in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import peft
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from mmchat.domain import EngineSpec, GenerateOptions, Message, TextDelta
from mmchat.engines.registry import load_engine
from mmchat.errors import ConfigError, MmchatError, ModelNotFound, WeightsError
from mmchat.wiring import WiringOptions, open_hub
from tests.contract import tiny_models

# peft still asks transformers for this by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

FAMILIES: dict[str, tuple[Callable[[Path], Path], Any, list[str]]] = {
    "llama": (
        lambda folder: tiny_models.decoder(folder, "llama"),
        transformers.AutoModelForCausalLM,
        ["q_proj", "v_proj", "down_proj"],
    ),
    "t5": (lambda folder: tiny_models.seq2seq(folder, "t5"), transformers.AutoModelForSeq2SeqLM, ["q", "v", "wo"]),
    "idefics3": (
        lambda folder: tiny_models.vision(folder, "idefics3"),
        transformers.AutoModelForImageTextToText,
        ["q_proj", "v_proj"],
    ),
}
TASKS = {"llama": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM", "idefics3": None}
REPLY_TOKENS = 16


def base_model(path: Path, family: str) -> Any:
    model: Any = FAMILIES[family][1].from_pretrained(path, dtype=torch.float32, local_files_only=True)
    return model.eval()


def make_adapter(folder: Path, base: Path, family: str, *, targets: list[str] | None = None, seed: int = 0) -> Path:
    """A LoRA with random weights, big enough to turn every reply."""
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets or FAMILIES[family][2], task_type=TASKS[family])
    adapted = peft.get_peft_model(base_model(base, family), config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(str(folder))
    return folder


def greedy(path: Path, adapter: Path | None, messages: list[Message]) -> str:
    spec = EngineSpec("tiny", "transformers", path, dtype="float32", adapter_path=adapter)
    model = load_engine("lm", spec)
    options = GenerateOptions(max_new_tokens=REPLY_TOKENS, temperature=0, repetition_penalty=1.0)
    events = list(model.stream(messages, options, Event()))
    model.close()
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def inputs_of(path: Path, family: str, question: str, picture: Path) -> Any:
    """The prompt that the engine builds, built apart from it."""
    if family == "t5":
        return transformers.AutoTokenizer.from_pretrained(path)(question, return_tensors="pt")
    if family == "llama":
        tokens: Any = transformers.AutoTokenizer.from_pretrained(path)
        turns: list[Any] = [{"role": "user", "content": question}]
        return tokens.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    processor: Any = transformers.AutoProcessor.from_pretrained(path)
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    prompt = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    with Image.open(picture) as image:
        return processor(text=[prompt], images=[image.convert("RGB")], return_tensors="pt")


def peft_greedy(path: Path, adapter: Path, family: str, inputs: Any) -> str:
    """What peft's own model says, through transformers' own `generate`."""
    model: Any = peft.PeftModel.from_pretrained(base_model(path, family), str(adapter)).eval()
    ids = model.generate(**inputs, max_new_tokens=REPLY_TOKENS, do_sample=False)[0]
    new = ids[1:] if family == "t5" else ids[inputs["input_ids"].shape[1] :]
    return str(transformers.AutoTokenizer.from_pretrained(path).decode(new, skip_special_tokens=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_replies_are_those_of_peft(family: str, tmp_path: Path) -> None:
    path = FAMILIES[family][0](tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", path, family)
    picture = tmp_path / "red.png"
    Image.new("RGB", (32, 32), "red").save(picture)
    question = "the cat sat on the mat"
    messages = [Message("user", question, (picture,) if family == "idefics3" else ())]

    expected = peft_greedy(path, adapter, family, inputs_of(path, family, question, picture))
    adapted = greedy(path, adapter, messages)
    assert len(adapted) > REPLY_TOKENS // 2
    # Random weights leave half a character at the end, which the engine never shows.
    assert adapted.rstrip("\ufffd") == expected.rstrip("\ufffd")
    assert greedy(path, None, messages) != adapted


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return tiny_models.decoder(tmp_path / "llama", "llama")


@pytest.fixture
def adapter(tmp_path: Path, llama: Path) -> Path:
    return make_adapter(tmp_path / "adapter", llama, "llama")


def refusal(path: Path, adapter: Path) -> MmchatError:
    with pytest.raises(MmchatError) as caught:
        load_engine("lm", EngineSpec("tiny", "transformers", path, dtype="float32", adapter_path=adapter))
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value


def test_a_missing_folder(llama: Path, tmp_path: Path) -> None:
    error = refusal(llama, tmp_path / "nowhere")
    assert isinstance(error, ModelNotFound)
    assert str(tmp_path / "nowhere") in error.message


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_that_lacks_a_file(missing: str, llama: Path, adapter: Path) -> None:
    (adapter / missing).unlink()
    error = refusal(llama, adapter)
    assert isinstance(error, ModelNotFound)
    assert missing in error.message


def test_a_pickle_is_not_opened(llama: Path, adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    torch.save(load_file(weights), adapter / "adapter_model.bin")
    weights.unlink()
    error = refusal(llama, adapter)
    assert isinstance(error, WeightsError)
    assert "pickle" in error.message


@pytest.mark.parametrize("damaged", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_file(damaged: str, llama: Path, adapter: Path) -> None:
    whole = (adapter / damaged).read_bytes()
    (adapter / damaged).write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refusal(llama, adapter).message


def test_an_adapter_for_another_architecture(llama: Path, tmp_path: Path) -> None:
    t5 = tiny_models.seq2seq(tmp_path / "t5", "t5")
    adapter = make_adapter(tmp_path / "for-t5", t5, "t5", targets=["q", "wo"])
    assert "does not fit 'tiny'" in refusal(llama, adapter).message


def _rename(tensors: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    return {name.replace(old, new): tensor.clone() for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(
            lambda tensors: {name: tensor[..., :-1].contiguous() for name, tensor in tensors.items()},
            "size mismatch",
            id="narrower",
        ),
        pytest.param(lambda tensors: _rename(tensors, "layers.1.", "layers.7."), "nothing for", id="other-layers"),
        pytest.param(
            lambda tensors: tensors | _rename(tensors, "layers.1.", "layers.7."), "no place for", id="more-layers"
        ),
    ],
)
def test_an_adapter_for_a_model_of_another_size(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], why: str, llama: Path, adapter: Path
) -> None:
    """peft itself only warns of tensors that are missing, and is silent about those left over."""
    file = adapter / "adapter_model.safetensors"
    save_file(change(load_file(file)), file)
    message = refusal(llama, adapter).message
    assert "does not fit 'tiny'" in message
    assert why in message


def test_an_adapter_of_the_prompt_that_is_no_decoders_is_refused(llama: Path, tmp_path: Path) -> None:
    """Prefix and prompt tuning on decoders are in `test_virtual_tokens`."""
    tuned = peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, encoder_hidden_size=8)
    peft.get_peft_model(base_model(llama, "llama"), tuned).save_pretrained(str(tmp_path / "p-tuning"))
    error = refusal(llama, tmp_path / "p-tuning")
    assert isinstance(error, ConfigError)
    assert "P_TUNING" in error.message
    t5 = tiny_models.seq2seq(tmp_path / "t5", "t5")
    prompts = peft.PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=4)
    peft.get_peft_model(base_model(t5, "t5"), prompts).save_pretrained(str(tmp_path / "prompt"))
    error = refusal(t5, tmp_path / "prompt")
    assert isinstance(error, ConfigError)
    assert "PROMPT_TUNING" in error.message


def test_damaged_weights_of_the_model(llama: Path) -> None:
    file = llama / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError):
        load_engine("lm", EngineSpec("tiny", "transformers", llama))


@pytest.mark.weights
def test_an_entry_of_the_users_models_file(home: Path, weights_dir: Path) -> None:
    """`base` and `adapter` in the user's models.toml, over the real SmolLM2, through the wiring."""
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore

    real = WeightsStore(weights_dir).prepared(load_models_file()["smollm2-135m"], "transformers")
    make_small_adapter(home / "adapters" / "bot", real)
    config = home / "config"
    config.mkdir(parents=True)
    (config / "models.toml").write_text(
        '[models.bot]\nkind = "lm"\nbase = "smollm2-135m"\nengine = "transformers"\ngpu_engine = "transformers"\n'
        'adapter = "../adapters/bot"\ndtype = "float32"\ndevice = "cpu"\n'
    )
    options = GenerateOptions(max_new_tokens=6, temperature=0, repetition_penalty=1.0)
    said = {}
    for name in ("bot", "smollm2-135m@transformers"):
        hub = open_hub(WiringOptions(model=name, should_pull=False), kinds=("lm",))
        model = hub.language_model()
        assert model.engine == "transformers"
        assert model.context_tokens == 8192
        events = list(model.stream([Message("user", "Name a colour.")], options, Event()))
        said[name] = "".join(event.text for event in events if isinstance(event, TextDelta))
        hub.close()
    assert said["bot"] == peft_words(real, home / "adapters" / "bot", "Name a colour.", 6)
    assert said["bot"] != said["smollm2-135m@transformers"]


def make_small_adapter(folder: Path, base: Path) -> None:
    """Small enough to leave words, big enough to change them."""
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(base_model(base, "llama"), config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.05 * torch.randn(weight.shape, generator=generator))
    adapted.save_pretrained(str(folder))
    assert json.loads((folder / "adapter_config.json").read_text())["peft_type"] == "LORA"


def peft_words(path: Path, adapter: Path, question: str, tokens: int) -> str:
    model: Any = peft.PeftModel.from_pretrained(base_model(path, "llama"), str(adapter)).eval()
    inputs = inputs_of(path, "llama", question, path)
    ids = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    return str(transformers.AutoTokenizer.from_pretrained(path).decode(ids, skip_special_tokens=True))
