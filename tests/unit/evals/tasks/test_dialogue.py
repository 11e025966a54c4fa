from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any, cast

import pytest

from mmchat.domain import Message
from mmchat.engines.scripted import ScriptedLanguageModel
from mmchat.errors import DataError
from mmchat.evals.base import ReplyOutcome, TaskOptions
from mmchat.evals.tasks import ROW_TASKS, TASKS, load_task
from mmchat.evals.tasks.common import sample_seed
from mmchat.evals.tasks.dialogue import DialogueTask
from mmchat.rows.values import DialogueRow, RowFile, RowMessage, RowPart
from mmchat.wiring.eval_models import EvalModels

Rows = Callable[..., RowFile]
MakeModels = Callable[..., EvalModels]


def said(*texts: str, first: str = "user") -> list[dict[str, Any]]:
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    return [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]


def test_every_task_can_be_had_by_its_name() -> None:
    for name in TASKS:
        task = load_task(name)
        assert task.name == name
        assert [kind for kind, tasks in ROW_TASKS.items() if name in tasks] == list(task.row_kinds)


def test_each_reply_is_asked_for_after_all_that_was_said_before_it(rows: Rows) -> None:
    file = rows(
        {"messages": said("hello", "hi", "how are you", "fine")},
        {"messages": said("welcome!", "a tea please", "here you are", first="assistant")},
    )
    samples = DialogueTask().samples(file, TaskOptions())
    assert [(each.id, each.group) for each in samples] == [
        ("rows.jsonl:1#1", "rows.jsonl:1"),
        ("rows.jsonl:1#3", "rows.jsonl:1"),
        ("rows.jsonl:2#2", "rows.jsonl:2"),
    ]
    assert [each.reference for each in samples] == ["hi", "fine", "here you are"]
    assert [[m.text for m in each.history] for each in samples] == [
        ["hello"],
        ["hello", "hi", "how are you"],
        ["welcome!", "a tea please"],
    ]
    assert [each.question for each in samples] == ["hello", "how are you", "a tea please"]


def test_the_model_is_shown_persona_system_text_and_history(rows: Rows, models: MakeModels) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *said("hello", "hi", "and you?", "fine")]
    file = rows({"messages": messages, "persona": "You are Ann."})
    opened = models()
    outcomes = run(DialogueTask(), file, opened, TaskOptions())
    model = cast(ScriptedLanguageModel, opened.language_model("echo"))
    system = Message("system", "You are Ann.\n\nBe brief.")
    longest_first = (
        (system, Message("user", "hello"), Message("assistant", "hi"), Message("user", "and you?")),
        (system, Message("user", "hello")),
    )
    assert tuple(model.calls) == longest_first
    assert [(each.id, each.references, each.reply) for each in outcomes] == [
        ("rows.jsonl:1#4", ("fine",), "You said: and you?"),
        ("rows.jsonl:1#2", ("hi",), "You said: hello"),
    ]
    assert all(each.prompt_tokens > 0 and each.reply_tokens > 0 for each in outcomes)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_batches_hold_every_sample_once_longest_first(size: int, rows: Rows, models: MakeModels) -> None:
    file = rows(*({"messages": said("word " * (7 * index % 5 + 1), "yes")} for index in range(10)))
    task, options, opened = DialogueTask(), TaskOptions(batch_size=size), models(batch_size=size)
    samples = task.samples(file, options)
    batches = task.batches(samples, "echo", opened, options)
    flat = [sample for batch in batches for sample in batch]
    assert sorted(each.id for each in flat) == sorted(each.id for each in samples)
    lengths = [len(cast(Any, each).history[0].text) for each in flat]
    assert lengths == sorted(lengths, reverse=True)
    assert max(map(len, batches)) == (size or ScriptedLanguageModel.preferred_batch)
    assert task.batches(samples[::-1], "echo", opened, options) == batches


def test_a_history_that_does_not_fit_loses_its_oldest_exchanges(rows: Rows, models: MakeModels) -> None:
    texts = [f"message number {index} of them" for index in range(20)]
    opened = models(max_new_tokens=16)
    run(DialogueTask(), rows({"messages": said(*texts)}), opened, TaskOptions())
    model = cast(ScriptedLanguageModel, opened.language_model("echo"))
    assert model.calls[0][0].text == "message number 0 of them"
    short = cast(ScriptedLanguageModel, opened.language_model("short"))
    run(DialogueTask(), rows({"messages": said(*texts)}), opened, TaskOptions(), model="short")
    longest = next(call for call in short.calls if call[-1].text == texts[18])
    assert longest[0].role == "user"
    assert longest[0].text != texts[0]
    assert short.count_tokens(longest) <= 64 - 16


def test_decoding_is_greedy_unless_said_otherwise(models: MakeModels) -> None:
    options = models(seed=3).options("echo")
    assert (options.temperature, options.max_new_tokens, options.top_p, options.repetition_penalty) == (0, 64, 0.5, 1.2)
    warm = models(temperature=0.9, max_new_tokens=5).options("echo")
    assert (warm.temperature, warm.max_new_tokens) == (0.9, 5)


def test_a_seed_is_the_samples_own_and_the_same_everywhere() -> None:
    assert sample_seed(0, "talks.jsonl:12#3") == 1782266041
    assert sample_seed(1, "talks.jsonl:12#3") != sample_seed(0, "talks.jsonl:12#3")
    assert len({sample_seed(0, f"talks.jsonl:{line}#1") for line in range(1000)}) == 1000


def test_a_cancelled_batch_yields_only_whole_replies(rows: Rows, models: MakeModels) -> None:
    cancel = Event()
    cancel.set()
    file = rows({"messages": said("hello", "hi")})
    assert run(DialogueTask(), file, models(), TaskOptions(), cancel=cancel) == []


def test_rows_without_a_reply_to_score_are_named_all_together(rows: Rows) -> None:
    file = rows(
        {"messages": said("hello", "hi")},
        {"messages": said("hello")},
        {"messages": said("only a greeting", first="assistant")},
    )
    with pytest.raises(DataError) as caught:
        DialogueTask().samples(file, TaskOptions())
    lines = caught.value.message.splitlines()
    assert [line.partition("rows.jsonl:")[2].partition(":")[0] for line in lines] == ["2", "3"]
    assert "no message of the assistant's after one of the user's" in lines[0]


def test_an_empty_reference_is_refused_whoever_made_the_row(rows: Rows) -> None:
    file = rows({"messages": said("hello", "hi", "and now?", "bye")})
    row = cast(DialogueRow, file.rows[0])
    silent = RowMessage("assistant", (RowPart("text", "  "),))
    broken = replace(file, rows=(replace(row, messages=(*row.messages[:3], silent)),))
    with pytest.raises(DataError, match=r"rows\.jsonl:1: messages\[3\]\.content: is empty"):
        DialogueTask().samples(broken, TaskOptions())


# --- language -----------------------------------------------------------------------------------


def languages(file: RowFile, **options: Any) -> list[str]:
    return [each.language for each in DialogueTask().samples(file, TaskOptions(**options))]


def test_the_language_is_the_users_then_the_rows_then_that_of_the_letters(rows: Rows) -> None:
    file = rows(
        {"messages": said("hello", "good morning to you")},
        {"messages": said("你好", "早上好，你吃了吗？")},
        {"messages": said("bonjour", "bonjour à toi"), "lang": "fr"},
        {"messages": said("how many", "5")},
    )
    assert languages(file) == ["en", "zh", "fr", "en"]
    assert languages(rows({"messages": said("hi", "hello")}), language="de") == ["de"]
    assert languages(rows({"messages": said("几个", "5"), "lang": "zh"})) == ["zh"]


def test_all_messages_of_a_row_are_in_one_language(rows: Rows) -> None:
    talk = said("你好", "你好，请问有什么可以帮您？", "谁唱的", "Taylor Swift")
    assert languages(rows({"messages": talk})) == ["zh", "zh"]


@pytest.mark.parametrize("declared", ["row", "option"])
def test_chinese_declared_english_is_refused(declared: str, rows: Rows) -> None:
    talk: dict[str, Any] = {"messages": said("你好", "早上好，你吃了吗？")}
    file = rows({"messages": said("hi", "hello there")}, talk | ({"lang": "en"} if declared == "row" else {}))
    with pytest.raises(DataError, match=r"rows\.jsonl:2: lang: .*'en', but the text is Chinese: '早上好"):
        DialogueTask().samples(file, TaskOptions(language="en" if declared == "option" else ""))


def run(
    task: DialogueTask,
    file: RowFile,
    models: EvalModels,
    options: TaskOptions,
    *,
    model: str = "echo",
    cancel: Event | None = None,
) -> list[ReplyOutcome]:
    batches = task.batches(task.samples(file, options), model, models, options)
    found = [each for batch in batches for each in task.run(batch, model, models, options, cancel or Event())]
    return cast(list[ReplyOutcome], found)


def test_chinese_turns_among_english_ones_are_not_scored_silently(rows: Rows) -> None:
    english = "My name is Ming and I am glad to meet you."
    file = rows(
        {"messages": said("hi", "你好，我叫小明。", "what?", english)}, {"messages": said("hi", "I live in 成都.")}
    )
    assert {each.language for each in DialogueTask().samples(file, TaskOptions())} == {"en"}
    (warning,) = DialogueTask().warnings(file, TaskOptions())
    assert warning.startswith("1 of 3 references are Chinese")
    assert DialogueTask().warnings(rows({"messages": said("hi", english)}), TaskOptions()) == ()


@pytest.mark.parametrize("mark", ["<|im_end|>", "<s>", "</s>\n", " <|eot_id|><|end_of_text|>", "[INST]", "<eos>"])
def test_a_reference_that_is_only_a_template_mark_is_a_bad_row(mark: str, rows: Rows) -> None:
    file = rows({"messages": said("hi", "hello")}, {"messages": said("hi", mark)})
    with pytest.raises(DataError, match=r"rows\.jsonl:2: messages\[1\]\.content: is only a template mark"):
        DialogueTask().samples(file, TaskOptions())
    kept = rows({"messages": said("hi", f"{mark} hello")}, {"messages": said("hi", "<b>[1]</b>")})
    assert len(DialogueTask().samples(kept, TaskOptions())) == 2


@pytest.mark.parametrize(
    ("flag", "reply", "is_doubted"),
    [
        ("zh", "all of it is English", True),
        ("zh-CN", "all of it is English", True),
        ("ja", "这里全是中文", True),
        ("zh", "这里全是中文", False),
        ("yue", "这里全是中文", False),
        ("zh", "5", False),
        ("fr", "tout en français", False),
        ("", "all of it is English", False),
    ],
)
def test_letters_that_contradict_the_flag_are_told(flag: str, reply: str, is_doubted: bool, rows: Rows) -> None:
    warnings = DialogueTask().warnings(rows({"messages": said("?", reply)}), TaskOptions(language=flag))
    assert [warning.partition(",")[0] for warning in warnings] == (
        [f"--language says '{flag.partition('-')[0]}'"] if is_doubted else []
    )
