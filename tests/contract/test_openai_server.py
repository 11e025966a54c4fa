"""What a server may do wrong, and what the user is told."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from threading import Event

import pytest
import xllamacpp
from PIL import Image

from mmchat.domain import EngineSpec, GenerateOptions, GenerationDone, Message, TextDelta
from mmchat.engines.lm_openai import OpenAIModel, estimate_tokens, load
from mmchat.errors import ConfigError, EngineUnavailable, MmchatError, ModelNotFound, UsageError
from tests.contract import tiny_gguf
from tests.contract.openai_server import FakeServer, running


def spec(server: FakeServer, **options: object) -> EngineSpec:
    return EngineSpec("served", "openai", options={"base_url": server.base_url, **options})


def run(model: OpenAIModel, text: str = "hello there") -> list[TextDelta | GenerationDone]:
    return list(model.stream([Message("user", text)], GenerateOptions(), Event()))


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("401", EngineUnavailable, "refuses the API key"),
        ("404", ModelNotFound, "does not know 'scripted'"),
        ("429", EngineUnavailable, "too busy"),
        ("400", UsageError, "refuses the request"),
        ("503", EngineUnavailable, "failed (503)"),
        ("malformed", EngineUnavailable, "not a chat completion"),
        ("breaks", EngineUnavailable, "broke off"),
    ],
)
def test_a_failure_is_named(mode: str, error: type[MmchatError], words: str) -> None:
    with running(mode) as server:
        model = load(spec(server))
        with pytest.raises(error, match=words.replace("(", r"\(").replace(")", r"\)")):
            run(model)


def test_a_stalled_server_is_given_up() -> None:
    with running("silent") as server:
        model = load(spec(server, timeout_s=0.2))
        with pytest.raises(EngineUnavailable, match=r"sent nothing for 0\.2 s"):
            run(model)


def test_nobody_listening() -> None:
    with running() as server:
        gone = spec(server)
    with pytest.raises(EngineUnavailable, match="No server answers"):
        load(gone)


def test_a_wrong_key_is_found_when_loading() -> None:
    with running("unauthorised") as server, pytest.raises(EngineUnavailable, match="API key"):
        load(spec(server))


def test_a_key_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with running() as server, pytest.raises(ConfigError, match="SOME_KEY"):
        load(spec(server, api_key_env="SOME_KEY"))


@pytest.mark.parametrize("address", ["", "not an address", "ftp://127.0.0.1/v1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError):
        load(EngineSpec("served", "openai", options={"base_url": address}))


def test_a_cancel_hangs_up() -> None:
    with running("endless") as server:
        model, cancel = load(spec(server)), Event()
        events = []
        for event in model.stream([Message("user", "hello")], GenerateOptions(), cancel):
            events.append(event)
            cancel.set()
        assert isinstance(events[-1], GenerationDone)
        assert events[-1].finish_reason == "cancelled"
        assert server.hung_up.wait(10)


def test_without_counting_an_estimate_is_used() -> None:
    messages = [Message("user", "hello 你好")]
    with running("no-counting") as server:
        assert load(spec(server)).count_tokens(messages) == estimate_tokens(messages) > 10


def test_pictures_travel_as_data(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "red.png")
    with running() as server:
        model = load(spec(server, accepts_images=True))
        list(model.stream([Message("user", "what?", (tmp_path / "red.png",))], GenerateOptions(), Event()))
        picture, words = server.bodies[0]["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert words == {"type": "text", "text": "what?"}


def test_pictures_of_any_kind_arrive_as_what_every_server_reads(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "large.webp")
    with running() as server:
        model = load(spec(server, accepts_images=True))
        list(model.stream([Message("user", "what?", (tmp_path / "large.webp",))], GenerateOptions(), Event()))
        url = server.bodies[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    sent = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert sent.size == (1536, 768)


@pytest.mark.parametrize(("mode", "tokens"), [("", 100), ("no-counting", 55 * 28 + 5)])
def test_pictures_count(mode: str, tokens: int, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "large.png")
    path = tmp_path / "large.png"
    with running(mode) as server:
        server.picture_tokens = 100
        model = load(spec(server, accepts_images=True))
        words, shown = (model.count_tokens([Message("user", "what?", pictures)]) for pictures in ((), (path, path)))
        assert shown - words == 2 * tokens
        blind = load(spec(server))
        assert blind.count_tokens([Message("user", "what?", (path,))]) == words


def test_a_server_that_reads_words_is_sent_no_picture(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), "red").save(tmp_path / "red.png")
    with running() as server:
        list(load(spec(server)).stream([Message("user", "hm?", (tmp_path / "red.png",))], GenerateOptions(), Event()))
        assert server.bodies[0]["messages"][0]["content"] == "hm?"


def test_a_real_server_of_llamacpp_is_shown_pictures(tmp_path: Path) -> None:
    folder = tiny_gguf.folder_with_eyes(tmp_path / "m", "smolvlm")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(folder.glob("tiny*")))
    parameters.mmproj.path = str(next(folder.glob("mmproj*")))
    parameters.mmproj_use_gpu = parameters.warmup = parameters.fit_params = False
    parameters.n_ctx, parameters.n_gpu_layers, parameters.verbosity = 512, 0, -1
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    llamacpp = xllamacpp.Server(parameters)
    for colour in ("red", "blue"):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{colour}.webp")
    address = f"{llamacpp.listening_address}/v1"
    model = load(EngineSpec("served", "openai", options={"base_url": address, "accepts_images": True}))
    replies = {}
    for name in ("red", "blue"):
        messages = [Message("user", "what is it?", (tmp_path / f"{name}.webp",))]
        *pieces, done = model.stream(messages, GenerateOptions(max_new_tokens=30, temperature=0.0, seed=1), Event())
        assert isinstance(done, GenerationDone)
        assert done.prompt_tokens == model.count_tokens(messages)
        replies[name] = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert replies["red"] != replies["blue"]
