"""How fast speech becomes text: through mmchat, and through the bare engines on the same weights.

    python -m benchmarks.hear [--data ../shared/data/speech/ljspeech.jsonl] [-m whisper-tiny.en] [-m whisper-base]

Rows are `{"audio": path, "text": "…"}`; without `--data`, sentences are spoken by espeak-ng. The same beam, the same
temperatures, voices found first where the library can. whisper.cpp is installed into an environment of its own.
`mmchat eval` gives error rates with intervals; those here only show that all did the same work.
Weights come from the weights folder (`mmchat models pull`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Bar, Report, Spread, Table, interleaved, ratio_of
from benchmarks.ggml_file import write_ggml
from benchmarks.peers.environment import PeerMissing, peer_environment, peer_variables, peer_versions
from mmchat.config.models_file import load_models_file
from mmchat.domain import EngineSpec, ListenOptions
from mmchat.engines import speech_gates as gates
from mmchat.engines.asr_faster_whisper import BEAM_SIZE
from mmchat.engines.audio_io import SAMPLE_RATE_HZ, decode_audio
from mmchat.engines.device import usable_threads
from mmchat.engines.hear import hear
from mmchat.engines.registry import load_engine
from mmchat.evals.metrics.speech import normalizer_for
from mmchat.paths import weights_dir
from mmchat.rows.reader import read_rows
from mmchat.rows.values import SpeechRow
from mmchat.weights.store import WeightsStore

Sound = NDArray[np.float32]
Words = Callable[[Sound], str]
WHISPERCPP = "pywhispercpp"
BAR = 1.05
SPOKEN = (
    "The old lighthouse keeper wrote down every ship that passed before midnight.",
    "Please bring the blue umbrella, because the weather report promises rain on Tuesday.",
    "Our meeting begins at nine thirty in the small room behind the library.",
    "She planted three apple trees beside the river and watered them every evening.",
    "The train to the mountains leaves from the second platform in twenty minutes.",
    "Nobody remembered where the key to the cellar had been hidden last winter.",
)
MMCHAT, WITH_WORDS = "mmchat", "mmchat, each word's time"
FASTER, FASTER_WORDS = "faster-whisper", "faster-whisper, each word's time"
OPENAI, MMCHAT_OPENAI, CPP = "openai-whisper", "mmchat on openai-whisper", "whisper.cpp"
BATCHED = "faster-whisper, batches of 4"


@dataclass(slots=True)
class Way:
    """One way from sound to words, and what it took."""

    words: Words
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def over(self, sounds: list[Sound]) -> float:
        """Seconds for all; processor seconds are kept beside them."""
        wall, cpu = time.perf_counter(), _cpu_s()
        self.texts = [self.words(sound) for sound in sounds]
        self.wall_s.append(time.perf_counter() - wall)
        self.cpu_s.append(_cpu_s() - cpu)
        return self.wall_s[-1]


def _cpu_s() -> float:
    return time.process_time() + _child_cpu_s


_child_cpu_s = 0.0
"""Processor time of whisper.cpp's process, as it tells it."""


def weights_of(name: str, engine: str) -> Path:
    """Where the weights of a model are for an engine."""
    return WeightsStore(weights_dir()).prepared(load_models_file()[name], engine)


def through_mmchat(name: str, engine: str, *, with_words: bool = False) -> Words:
    """The engine as the program has it."""
    spec = EngineSpec(name=name, engine=engine, path=weights_of(name, engine))
    loaded = load_engine("asr", spec)
    options = ListenOptions(with_words=with_words)
    return lambda pcm: hear(loaded, pcm, language="en", cancel=None, options=options).text


def bare_faster_whisper(name: str) -> Any:
    """The library's model, int8."""
    from faster_whisper import WhisperModel

    folder = str(weights_of(name, "faster-whisper"))
    return WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=usable_threads(), local_files_only=True)


def faster_words(model: Any, **how: Any) -> Words:
    """The bare library with mmchat's settings."""
    settings = {"language": "en", "beam_size": BEAM_SIZE, "temperature": list(gates.TEMPERATURES), "vad_filter": True}
    settings |= {"condition_on_previous_text": False} | how
    return lambda pcm: "".join(segment.text for segment in model.transcribe(pcm, **settings)[0])


def openai_words(name: str) -> Words:
    """The bare library, float32; it looks for no voices."""
    import torch
    import whisper

    torch.set_num_threads(usable_threads())
    model = whisper.load_model(str(weights_of(name, "openai-whisper") / "model.pt"), device="cpu")
    settings = {"language": "en", "beam_size": BEAM_SIZE, "temperature": gates.TEMPERATURES, "fp16": False}
    return lambda pcm: str(model.transcribe(pcm, condition_on_previous_text=False, **settings)["text"])


@contextmanager
def whispercpp_words(name: str, folder: Path) -> Iterator[Words]:
    """whisper.cpp in a process of its own environment.

    Raises:
        PeerMissing: it cannot be installed or started.
    """
    python = peer_environment("whispercpp", [WHISPERCPP, "numpy"])
    write_ggml(weights_of(name, "openai-whisper") / "model.pt", folder / "ggml.bin")
    script = Path(__file__).parent / "peers" / "whispercpp.py"
    command = [str(python), str(script), str(folder / "ggml.bin"), str(usable_threads()), str(BEAM_SIZE), "en"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=peer_variables(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asking, answers = process.stdin, process.stdout

        def words(pcm: Sound) -> str:
            global _child_cpu_s
            np.save(folder / "sound.npy", pcm)
            asking.write(json.dumps({"sound": str(folder / "sound.npy")}) + "\n")
            asking.flush()
            line = answers.readline()
            if not line:
                raise PeerMissing("whispercpp: its process ended")
            told = json.loads(line)
            _child_cpu_s += told["cpu_s"]
            return str(told["text"])

        try:
            yield words
        finally:
            asking.close()


def sounds_of(data: Path | None, count: int, folder: Path) -> list[tuple[Path, str]]:
    """Files of sentences and what is said in them.

    Raises:
        SystemExit: there is no data and no espeak-ng.
    """
    if data is not None:
        rows = [row for row in read_rows(data).rows if isinstance(row, SpeechRow)]
        return [(row.audio_path, row.text) for row in rows[:count]]
    if shutil.which("espeak-ng") is None:
        raise SystemExit("It needs --data ROWS.jsonl, or espeak-ng to speak sentences.")
    made = []
    for number, text in enumerate(SPOKEN[:count]):
        path = folder / f"{number}.wav"
        subprocess.run(["espeak-ng", "-v", "en", "-s", "150", "-w", str(path), text], check=True)
        made.append((path, text))
    return made


def measure(name: str, sentences: list[Sound], minute: Sound, arguments: argparse.Namespace, report: Report) -> None:
    """One model in all ways: sentences, then a minute."""
    from faster_whisper import BatchedInferencePipeline

    model = bare_faster_whisper(name)
    ways = {
        MMCHAT: Way(through_mmchat(name, "faster-whisper")),
        FASTER: Way(faster_words(model)),
        WITH_WORDS: Way(through_mmchat(name, "faster-whisper", with_words=True)),
        FASTER_WORDS: Way(faster_words(model, word_timestamps=True)),
        MMCHAT_OPENAI: Way(through_mmchat(name, "openai-whisper")),
        OPENAI: Way(openai_words(name)),
    }
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        try:
            with whispercpp_words(name, folder) as words:
                ways[CPP] = Way(words)
                _measure(name, ways, sentences, arguments.rounds, "sentences", report, arguments.texts)
                ways[BATCHED] = Way(faster_words(BatchedInferencePipeline(model), batch_size=4))
                kept_ways = {key: Way(ways[key].words) for key in (MMCHAT, FASTER, BATCHED, CPP)}
                _measure(name, kept_ways, [minute], arguments.rounds, "a minute", report, None)
        except PeerMissing as error:
            report.notes.append(f"{CPP} is left out: {error}")
            ways.pop(CPP, None)
            _measure(name, ways, sentences, arguments.rounds, "sentences", report, arguments.texts)
            kept_ways = {key: Way(ways[key].words) for key in (MMCHAT, FASTER)}
            _measure(name, kept_ways, [minute], arguments.rounds, "a minute", report, None)


def _measure(
    name: str,
    ways: dict[str, Way],
    sounds: list[Sound],
    rounds: int,
    what: str,
    report: Report,
    texts: list[str] | None,
) -> None:
    tasks = {key: (lambda way=way: way.over(sounds)) for key, way in ways.items()}
    interleaved(tasks, rounds, warm_up=1)
    seconds = sum(sound.size for sound in sounds) / SAMPLE_RATE_HZ
    clean = normalizer_for("en").apply
    rows: list[list[Any]] = []
    for key, way in ways.items():
        wall_s, cpu_s = way.wall_s[1:], way.cpu_s[1:]
        wrong = 100 * jiwer.wer([clean(text) for text in texts], [clean(text) for text in way.texts]) if texts else None
        rows.append(
            [key, Spread.of([each / seconds for each in wall_s]).cell(3), statistics.median(cpu_s) / seconds, wrong]
        )
        report.samples[f"{name}, {what}, {key}"] = {"wall_s": wall_s, "cpu_s": cpu_s, "texts": way.texts}
    columns = ("", "seconds per second of sound", "processor seconds per second", "words wrong, %")
    report.tables.append(Table(f"{name}, {what} ({len(sounds)} of {seconds:.0f} s together)", columns, rows))
    pairs = ((MMCHAT, FASTER), (WITH_WORDS, FASTER_WORDS), (MMCHAT_OPENAI, OPENAI), (MMCHAT, OPENAI), (MMCHAT, CPP))
    for ours, theirs in pairs:
        if ours in ways and theirs in ways:
            told = f"{name}, {what}, {ours}"
            ratio = ratio_of(told, theirs, ways[ours].wall_s[1:], ways[theirs].wall_s[1:], "s")
            report.ratios.append(ratio)
            if theirs in (FASTER, FASTER_WORDS):
                report.bars.append(Bar(f"{told} / {theirs}", BAR, ratio.times, "times"))


BARE_PROGRAM = """
import sys
from faster_whisper import WhisperModel
folder, threads = sys.argv[1], int(sys.argv[2])
model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)
for path in sys.argv[3:]:
    print("".join(s.text for s in model.transcribe(path, language="en", beam_size=5, vad_filter=True)[0]))
"""


def measure_command(name: str, files: list[Path], rounds: int, report: Report) -> None:
    """`mmchat transcribe` of all files, and the shortest program that does the same with the bare library."""
    mmchat = [sys.executable, "-m", "mmchat", "transcribe", *map(str, files), "-m", name, "--language", "en"]
    folder = weights_of(name, "faster-whisper")
    bare = [sys.executable, "-c", BARE_PROGRAM, str(folder), str(usable_threads()), *map(str, files)]
    cpu: dict[str, list[float]] = {"mmchat transcribe": [], "faster-whisper": []}

    def run(key: str, command: list[str]) -> float:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu[key].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return wall_s

    tasks = {
        "mmchat transcribe": lambda: run("mmchat transcribe", mmchat),
        "faster-whisper": lambda: run("faster-whisper", bare),
    }
    wall = interleaved(tasks, rounds)
    rows: list[list[Any]] = [[key, Spread.of(wall[key]).cell(), Spread.of(cpu[key]).cell()] for key in wall]
    report.tables.append(
        Table(f"{name}: a program that transcribes {len(files)} files", ("", "s", "processor s"), rows)
    )
    what = f"mmchat transcribe of {len(files)} files, {name}"
    report.ratios.append(ratio_of(what, "a program of five lines with faster-whisper", *wall.values(), "s"))


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="JSON Lines of audio and text; absent: espeak-ng speaks")
    parser.add_argument("-m", "--model", action="append")
    parser.add_argument("--sentences", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = arguments.model or ["whisper-tiny.en", "whisper-base"]
    report = Report(
        "Hearing",
        f"Beam of {BEAM_SIZE}, {usable_threads()} threads, English. faster-whisper computes in int8, openai-whisper in"
        " float32, whisper.cpp with float16 weights. mmchat finds voices first, as faster-whisper is asked to.",
    )
    with tempfile.TemporaryDirectory() as kept:
        os.environ.update(MMCHAT_WEIGHTS=str(weights_dir()), MMCHAT_HOME=f"{kept}/home")
        files = sounds_of(arguments.data, arguments.sentences, Path(kept))
        arguments.texts = [text for _, text in files]
        sentences = [decode_audio(path) for path, _ in files]
        joined = np.concatenate(sentences)
        minute = np.tile(joined, 1 + 60 * SAMPLE_RATE_HZ // joined.size)[: 60 * SAMPLE_RATE_HZ]
        for name in names:
            measure(name, sentences, minute, arguments, report)
        measure_command(names[0], [path for path, _ in files], arguments.rounds, report)
    if any(CPP in table_row[0] for table in report.tables for table_row in table.rows):
        version = peer_versions(peer_environment("whispercpp", [WHISPERCPP, "numpy"]), WHISPERCPP)[WHISPERCPP]
        report.notes.append(f"whisper.cpp as in the wheels of {WHISPERCPP} {version}.")
    report.finish(arguments.json)


if __name__ == "__main__":
    main()
