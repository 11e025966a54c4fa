"""Which facts are told to whom? Of messages that facts bear on, how often those; of others, how often none.

Asks the messages of `benchmarks/probes/fact_telling.json` of a store that holds its facts, by words and kinds alone
and with the embedder that is chosen (`embed` in settings.toml), Chinese only where it knows that.

    python benchmarks/fact_telling.py [--show] [--floors 0.3 0.4 0.5]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import closing
from pathlib import Path

from mmchat.chat import known
from mmchat.memory.store import MemoryStore
from mmchat.wiring import open_hub

PROBES = Path(__file__).parent / "probes" / "fact_telling.json"


def measure(facts: known.KnownFacts, probes: dict, *, use_vectors: bool, should_show: bool) -> str:
    """One line of figures over one language."""
    met = told = right = quiet = 0
    began = time.perf_counter()
    for query, wanted in [*probes["asked"], *((query, []) for query in probes["unrelated"])]:
        texts = [note.text for note in facts.bearing_on(query, use_vectors=use_vectors)]
        fitting = [probes["facts"][index] for index in wanted]
        if wanted:
            met += any(text in fitting for text in texts)
            told += len(texts)
            right += sum(text in fitting for text in texts)
        else:
            quiet += not texts
        if should_show and (texts if not wanted else not set(texts) <= set(fitting) or not texts):
            print(f"   {query} -> {texts}, wanted {fitting}")
    asked, others = len(probes["asked"]), len(probes["unrelated"])
    each_ms = 1000 * (time.perf_counter() - began) / (asked + others)
    return (
        f"asked {asked}: told a fact that bears on it {met / asked:4.0%}, "
        f"of the facts told {right / max(told, 1):4.0%} bear on it;"
        f" others {others}: told nothing {quiet / others:4.0%}; {each_ms:.1f} ms"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    parser.add_argument("--floors", type=float, nargs="+", default=[known.COSINE_FLOOR])
    arguments = parser.parse_args()
    hub = open_hub(kinds=("embed",))
    hub.embedder()
    for language, probes in json.loads(PROBES.read_text("utf-8")).items():
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(MemoryStore(Path(folder) / "m.db", Path(folder) / "b")) as store,
        ):
            facts = known.KnownFacts(store, hub.embedder)
            for text in probes["facts"]:
                facts.remember(text)
            facts.index()
            print(f"{language} words and kinds: {measure(facts, probes, use_vectors=False, should_show=False)}")
            if language == "en" or getattr(hub.embedder(), "is_multilingual", False):
                for floor in arguments.floors:
                    known.COSINE_FLOOR = floor
                    figures = measure(facts, probes, use_vectors=True, should_show=arguments.show)
                    print(f"{language} and vectors from {floor}: {figures}")


if __name__ == "__main__":
    main()
