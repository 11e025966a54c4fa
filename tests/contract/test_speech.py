"""What every recogniser promises, on the real default weights, with speech synthesised here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, Heard, ListenOptions, Segment
from mmchat.engines.audio_io import SAMPLE_RATE_HZ, decode_audio
from mmchat.engines.base import SpeechRecognizer
from mmchat.engines.registry import load_engine
from mmchat.errors import AudioError, ConfigError, EngineUnavailable, ModelNotFound, UsageError
from mmchat.weights.store import WeightsStore
from tests.virtual_mic import synthesise

ENGINES = ("faster-whisper", "openai-whisper")
SENTENCES = (
    "Please summarise the attached picture in one sentence.",
    "The weather in Paris is warm today.",
    "What was the first thing I asked you about?",
)

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[np.float32]]:
    if shutil.which("espeak-ng") is None:
        pytest.skip("speech synthesis missing: apt-get install -y espeak-ng")
    folder = tmp_path_factory.mktemp("spoken")
    sounds = {}
    for number, sentence in enumerate(SENTENCES):
        synthesise(sentence, folder / f"{number}.wav")
        sounds[sentence] = decode_audio(folder / f"{number}.wav")
    return sounds


def recognizer(model: str, engine: str, weights_dir: Path, dtype: str = "auto") -> SpeechRecognizer:
    path = WeightsStore(weights_dir).prepared(load_models_file()[model], engine)
    loaded: SpeechRecognizer = load_engine(
        "asr", EngineSpec(name=model, engine=engine, path=path, device="cpu", dtype=dtype)
    )
    return loaded


@pytest.fixture(scope="module", params=ENGINES)
def tiny(request: pytest.FixtureRequest, weights_dir: Path) -> Iterator[SpeechRecognizer]:
    engine = recognizer("whisper-tiny.en", request.param, weights_dir)
    yield engine
    engine.close()


def heard(engine: SpeechRecognizer, pcm: NDArray[np.float32], **options: object) -> Heard:
    *segments, last = engine.transcribe(pcm, **options)  # type: ignore[arg-type]
    assert isinstance(last, Heard)
    assert all(isinstance(segment, Segment) for segment in segments)
    assert last.segments == tuple(segments)
    return last


def words(text: str) -> list[str]:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ").split()


def test_speech_becomes_text(tiny: SpeechRecognizer, spoken: dict[str, NDArray[np.float32]]) -> None:
    assert isinstance(tiny, SpeechRecognizer)
    outcome = heard(tiny, spoken[SENTENCES[1]])
    assert words(outcome.text) == words(SENTENCES[1])
    assert outcome.language == "en"
    assert outcome.model == "whisper-tiny.en"
    assert outcome.duration_s == pytest.approx(spoken[SENTENCES[1]].size / SAMPLE_RATE_HZ)
    assert outcome.elapsed_s > 0


def test_words_make_up_the_text_and_do_not_change_it(
    tiny: SpeechRecognizer, spoken: dict[str, NDArray[np.float32]]
) -> None:
    pause = np.zeros(3 * SAMPLE_RATE_HZ, dtype=np.float32)
    sound = np.concatenate([part for each in spoken.values() for part in (each, pause)])
    told = heard(tiny, sound, options=ListenOptions(with_words=True))
    assert told.text == heard(tiny, sound).text
    all_words = [word for segment in told.segments for word in segment.words]
    assert "".join(word.text for word in all_words).split() == told.text.split()
    assert all(0 <= word.probability <= 1 for word in all_words)
    times = [time_s for word in all_words for time_s in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] <= told.duration_s


def test_pieces_are_heard_as_the_whole_is(tiny: SpeechRecognizer, spoken: dict[str, NDArray[np.float32]]) -> None:
    sound = spoken[SENTENCES[0]]
    outcome = heard(tiny, np.array_split(sound, 7).__iter__())  # type: ignore[arg-type]
    whole = heard(tiny, sound)
    assert (outcome.text, outcome.segments, outcome.duration_s) == (whole.text, whole.segments, whole.duration_s)


def test_names_that_came_up_are_spelled(tiny: SpeechRecognizer, tmp_path: Path) -> None:
    synthesise("The cluster runs Kubernetes on three machines.", tmp_path / "k.wav", voice="en-us")
    sound = decode_audio(tmp_path / "k.wav")
    names = ListenOptions(terms=("Kowalczyk", "Kubernetes", "Reykjavik"))
    assert "Kubernetes" not in heard(tiny, sound).text
    assert "Kubernetes" in heard(tiny, sound, options=names).text
    noise = (np.random.default_rng(5).standard_normal(5 * SAMPLE_RATE_HZ) * 0.1).astype(np.float32)
    assert heard(tiny, noise, options=names).text == ""
    assert heard(tiny, np.zeros_like(noise), options=names).text == ""


def test_silence_and_noise_give_no_words(tiny: SpeechRecognizer) -> None:
    rng = np.random.default_rng(5)
    seconds = 5 * SAMPLE_RATE_HZ
    sounds = {
        "zeros": np.zeros(seconds),
        "faint noise": rng.standard_normal(seconds) * 0.003,
        "loud noise": rng.standard_normal(seconds) * 0.1,
        "hum": 0.3 * np.sin(2 * np.pi * 50 * np.arange(seconds) / SAMPLE_RATE_HZ),
        "a click": np.eye(1, seconds, seconds // 2)[0],
        "too short": rng.standard_normal(2000) * 0.1,
    }
    for name, sound in sounds.items():
        assert heard(tiny, sound.astype(np.float32)).text == "", name


def test_times_are_those_of_the_whole_sound(tiny: SpeechRecognizer, spoken: dict[str, NDArray[np.float32]]) -> None:
    pause = np.zeros(6 * SAMPLE_RATE_HZ, dtype=np.float32)
    first, second = spoken[SENTENCES[1]], spoken[SENTENCES[2]]
    outcome = heard(tiny, np.concatenate([pause, first, pause, second, pause]))
    assert words(outcome.text) == words(SENTENCES[1] + " " + SENTENCES[2])
    assert outcome.segments[0].start_s == pytest.approx(6.0, abs=1.0)
    assert outcome.segments[-1].end_s == pytest.approx(12 + (first.size + second.size) / SAMPLE_RATE_HZ, abs=1.0)
    starts = [segment.start_s for segment in outcome.segments]
    assert starts == sorted(starts)


def test_cancel_ends_the_stream_with_what_was_done(
    tiny: SpeechRecognizer, spoken: dict[str, NDArray[np.float32]]
) -> None:
    pause = np.zeros(3 * SAMPLE_RATE_HZ, dtype=np.float32)
    long = np.concatenate([part for _ in range(8) for part in (spoken[SENTENCES[0]], pause)])
    cancel = Event()
    events = []
    for event in tiny.transcribe(long, cancel=cancel):
        events.append(event)
        cancel.set()
    *segments, last = events
    assert isinstance(last, Heard)
    assert last.segments == tuple(segments)
    assert 1 <= len(words(last.text)) < 8 * len(words(SENTENCES[0]))
    ended_before = Event()
    ended_before.set()
    assert heard(tiny, long, cancel=ended_before).text == ""


def test_the_same_sound_gives_the_same_words_twice(
    tiny: SpeechRecognizer, spoken: dict[str, NDArray[np.float32]]
) -> None:
    mumble = (spoken[SENTENCES[0]][::2] * 0.2).copy()  # twice as fast: doubted, so the temperatures draw
    assert heard(tiny, mumble).text == heard(tiny, mumble).text


def test_sounds_of_the_wrong_shape_are_refused(tiny: SpeechRecognizer) -> None:
    for sound in (np.zeros(0, np.float32), np.zeros((2, 100), np.float32), np.zeros(100, np.float64)):
        with pytest.raises(AudioError):
            tiny.transcribe(sound)  # type: ignore[arg-type]


def test_an_english_model_refuses_other_languages(tiny: SpeechRecognizer) -> None:
    with pytest.raises(UsageError, match="knows only 'en'"):
        tiny.transcribe(np.ones(16_000, np.float32), language="zh")


@pytest.mark.parametrize("model", ["whisper-tiny.en", "whisper-base"])
def test_both_engines_give_the_same_words(
    model: str, weights_dir: Path, spoken: dict[str, NDArray[np.float32]]
) -> None:
    texts = {}
    for engine_name, dtype in ((ENGINES[0], "float32"), (ENGINES[0], "auto"), (ENGINES[1], "float32")):
        engine = recognizer(model, engine_name, weights_dir, dtype)
        texts[engine_name, dtype] = [words(heard(engine, sound, language="en").text) for sound in spoken.values()]
        engine.close()
    first = texts[ENGINES[1], "float32"]
    assert all(first)
    assert all(each == first for each in texts.values()), texts


@pytest.mark.parametrize("engine_name", ENGINES)
def test_languages_of_a_multilingual_model(engine_name: str, weights_dir: Path, tmp_path: Path) -> None:
    engine = recognizer("whisper-base", engine_name, weights_dir)
    # In pinyin: the plain voice reads characters as English letters, and nobody understands those.
    spoken_words = "ni3hao3. jin1tian1 tian1qi4 hen3 hao3. wo3men5 qu4 gong1yuan2."
    synthesise(spoken_words, tmp_path / "zh.wav", voice="cmn-latn-pinyin")
    chinese = decode_audio(tmp_path / "zh.wav")
    synthesise(SENTENCES[1], tmp_path / "en.wav")
    assert heard(engine, decode_audio(tmp_path / "en.wav")).language == "en"
    explicit = heard(engine, chinese, language="zh-CN")
    assert explicit.language == "zh"
    assert "我们去公园" in explicit.text  # simplified characters
    assert heard(engine, chinese).language == "zh"
    with pytest.raises(UsageError, match="does not know the language 'xx'"):
        engine.transcribe(chinese, language="xx")
    engine.close()
    engine.close()
    with pytest.raises(EngineUnavailable, match="was closed"):
        list(engine.transcribe(chinese, language="zh"))


@pytest.mark.parametrize("engine_name", ENGINES)
def test_missing_weights_and_devices_are_said(engine_name: str, tmp_path: Path, weights_dir: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        load_engine("asr", EngineSpec(name="ghost", engine=engine_name, path=tmp_path))
    assert "mmchat models pull ghost" in caught.value.hint
    path = WeightsStore(weights_dir).prepared(load_models_file()["whisper-tiny.en"], engine_name)
    with pytest.raises(ConfigError, match="cannot run on 'tpu'"):
        load_engine("asr", EngineSpec(name="whisper-tiny.en", engine=engine_name, path=path, device="tpu"))
    with pytest.raises(ConfigError, match="'cursive' is no kind of Chinese characters"):
        load_engine("asr", EngineSpec("whisper-tiny.en", engine_name, path, options={"chinese": "cursive"}))


def test_a_damaged_checkpoint_is_not_executed(tmp_path: Path) -> None:
    import pickle

    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (marker,))  # type: ignore[return-value]

    (tmp_path / "model.pt").write_bytes(pickle.dumps({"dims": Evil()}, protocol=2))
    with pytest.raises(ModelNotFound, match="cannot be read"):
        load_engine("asr", EngineSpec(name="evil", engine="openai-whisper", path=tmp_path))
    assert not marker.exists()
