"""Intents and moods with the real sentence vectors: through the hub, from examples and with a head trained here."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from mmchat.config.models_file import load_models_file
from mmchat.domain import OUT_OF_SCOPE
from mmchat.engines.head_files import read_config
from mmchat.errors import ModelNotFound
from mmchat.paths import user_models_path
from mmchat.rows.reader import read_rows
from mmchat.train.base import BaseModel, TrainSettings
from mmchat.train.heads import LabelTrainer
from mmchat.train.record import WEIGHTS
from mmchat.weights.store import WeightsStore
from mmchat.wiring import WiringOptions, open_hub
from mmchat.wiring.hub import EngineHub

pytestmark = [pytest.mark.weights]

ROLE = {
    "refund": [
        "I want my money back", "please refund my order", "can I return this for a refund", "give me my money back",
        "how do I get a refund", "我要退款", "请把钱退给我", "怎么申请退款", "我想退货退钱", "能不能退款",
    ],
    "delivery": [
        "where is my parcel", "when will it arrive", "it has not been delivered", "track my order", "is it on its way",
        "我的包裹到哪里了", "什么时候能送到", "还没有收到货", "查一下物流", "快递怎么还没到",
    ],
    "person": [
        "let me talk to a human", "I want a real person", "get me somebody from support", "connect me to an agent",
        "can I speak to a person", "转人工", "我要找人工客服", "让真人跟我说", "接人工服务", "找个客服跟我说",
    ],
}  # fmt: skip
WAYS = {
    "parcel": ("Where is {}?", "{} has not come", "When will {} be delivered?", "I still wait for {}"),
    "refund": ("I want my money back for {}", "Please refund {}", "Give me a refund for {}", "{} is to be paid back"),
    "exchange": ("Can I swap {}?", "{} is too small, I need another size", "Exchange {} please", "The wrong {} came"),
}
THINGS = ("my book", "the lamp", "my order", "the red coat", "a kettle", "my new shoes")


@pytest.fixture
def hub(weights_dir: Path) -> Iterator[EngineHub]:
    with closing(open_hub(WiringOptions(should_pull=False), kinds=("embed",))) as opened:
        yield opened


def test_intents_are_told_from_examples(hub: EngineHub) -> None:
    wanted = {
        "could you reimburse me for the lamp": "refund",
        "has the courier been here yet": "delivery",
        "is there somebody I can speak with": "person",
        "我想把钱退回来": "refund",
        "what is the capital of Mongolia": OUT_OF_SCOPE,
        "my cat sleeps all day": OUT_OF_SCOPE,
    }
    reader = hub.intent_reader(ROLE)
    assert {text: reader.read(text)[0].label for text in wanted} == wanted


def test_moods_are_told(hub: EngineHub) -> None:
    moods = hub.mood_reader()
    told = [
        moods.read(text)
        for text in (
            "I am so fed up with this",
            "等了三天还没发货",
            "how do I get a refund",
            "怎么退款",
            "thank you",
            "谢谢",
        )
    ]
    assert [each is not None and round(each) for each in told[:2]] == [-1, -1]
    assert [each is not None and abs(each) < 0.25 for each in told[2:4]] == [True, True]
    assert [each is not None and each > 0.25 for each in told[4:]] == [True, True]


@pytest.fixture(scope="module")
def trained(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    lines = [
        json.dumps({"text": way.format(thing), "label": label})
        for label, ways in WAYS.items()
        for way, thing in itertools.product(ways, THINGS)
    ]
    rows = folder / "labels.jsonl"
    rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    base = BaseModel("minilm", "embed", WeightsStore(weights_dir).prepared(load_models_file()["minilm"], "ctranslate2"))
    settings = TrainSettings((str(rows),), "minilm", "mail", log_to="none").suited(epochs=4, batch_size=8, patience=0)
    files = (read_rows(rows),)
    trainer = LabelTrainer()
    preparation = trainer.prepare(files, settings, base)
    trainer.train(preparation, files, base, folder / "mail", lambda event: None, Event(), should_resume=False)
    return folder / "mail" / WEIGHTS


def test_a_trained_head_tells_intents_by_its_name(trained: Path, weights_dir: Path) -> None:
    assert read_config(trained, "mail").scope is not None
    path = user_models_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f'[{{ source = "dir:{trained.as_posix()}" }}]'
    path.write_text(
        f'[models.mail]\nkind = "head"\nengine = "fused"\nformat = "head"\nembed = "minilm"\nsources = {source}\n',
        encoding="utf-8",
    )
    with closing(open_hub(WiringOptions(should_pull=False), kinds=("embed",))) as hub:
        embedder = hub.embedder()
        assert embedder is not None
        reader = hub.intent_reader({}, "mail")
        assert reader.name == "mail"
        assert reader.read("I want my money back for the chair")[0].label == "refund"
        assert reader.read("") == ()
        told = reader.read("the volcano of Santorini")
        assert OUT_OF_SCOPE in [each.label for each in told]
        assert sum(each.probability for each in told) == pytest.approx(1)
        states = {state.kind: state for state in hub.states()}
        assert states["head"].stage == "ready"
        assert hub.intent_reader({}, "mail").read("Please refund the coat")[0].label == "refund"
        assert hub.embedder() is embedder, "the head stands on the embedder that is loaded anyway"
        with pytest.raises(ModelNotFound, match="not a label model"):
            hub.intent_reader({}, "minilm")
        with pytest.raises(ModelNotFound):
            hub.intent_reader({}, "nobody")
