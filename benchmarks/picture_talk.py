"""Does a model of words tell several pictures apart, and does it know one of ten turns ago?

Asks `probes/picture_talk.jsonl` greedily: about one of several photos of a message, about all of them, and about a
photo that was shown 0, 2 or 10 exchanges before, also where that is out of view. A reply counts that names something
of the photo that was asked about and nothing of the others; of a comparison, one that names something of each.
`--before` tells them as mmchat did before it resolved which photo is meant: a sentence for each, and no second time.
What was seen is given, so nothing here depends on the eyes. Wording was chosen on the probes "chosen"; "held out"
were written afterwards.

    python benchmarks/picture_talk.py [-m MODEL] [--before] [--parts "held out"] [--show]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

from mmchat.chat.note_styles import STYLES
from mmchat.chat.prompt import merge_same_role
from mmchat.chat.shown_pictures import asked_about
from mmchat.chat.wording import describe, style_for, turn_messages
from mmchat.domain import Attachment, Message, Recalled, Seen, Tag, TextDelta, Turn
from mmchat.picture_words import chinese_names
from mmchat.wiring import WiringOptions, open_hub, open_settings

PROBES = Path(__file__).parent / "probes" / "picture_talk.jsonl"
SAID = {
    "en": (
        ("Here is something from my week.", "That looks lovely, thank you for showing me."),
        ("And another one.", "What a pleasant sight."),
        ("One more.", "I like that one a lot."),
    ),
    "zh": (
        ("给你看看。", "真好看，谢谢你给我看。"),
        ("还有一张。", "这张也很不错。"),
        ("再来一张。", "我很喜欢这张。"),
    ),
}
"""What was said with photos that are asked about later."""
TALK = {
    "en": (
        ("How do I boil an egg?", "Put it in boiling water for seven minutes, then cool it under cold water."),
        ("What is the capital of Peru?", "The capital of Peru is Lima."),
        ("I slept badly.", "I am sorry to hear that. A walk before bed may help."),
        ("Give me a word for happy.", "Joyful is a good word for it."),
        ("How many days has a leap year?", "A leap year has 366 days."),
        ("I have to write a report today.", "Begin with an outline, then fill in one part at a time."),
        ("What is 12 times 12?", "12 times 12 is 144."),
        ("Tell me a fact about honey.", "Honey keeps for many years without going bad."),
        ("My tea went cold.", "You can warm it up again, or drink it over ice."),
        ("Which month comes after May?", "June comes after May."),
    ),
    "zh": (
        ("怎么煮鸡蛋？", "放进开水里煮七分钟，再用冷水冲一下。"),
        ("秘鲁的首都是哪里？", "秘鲁的首都是利马。"),
        ("我昨晚没睡好。", "睡前散散步也许有帮助。"),
        ("闰年有多少天？", "闰年有366天。"),
        ("十二乘十二是多少？", "等于144。"),
        ("今天要写报告。", "先列提纲，再一段一段写。"),
        ("说一个关于蜂蜜的知识。", "蜂蜜可以保存很多年。"),
        ("我的茶凉了。", "可以再热一下。"),
        ("五月之后是几月？", "六月。"),
        ("给我一个表示高兴的词。", "“愉快”就很好。"),
    ),
}
DISTANCES = ((0, True), (2, True), (10, True), (10, False))
"""Exchanges between a photo and the question about it, and whether it is still in view."""


def photo(index: int, labels: list[str]) -> Attachment:
    """A photo in which these things were seen."""
    seen = Seen(tuple(Tag(label, 0.8 - 0.1 * rank) for rank, label in enumerate(labels)))
    return Attachment(f"a{index}", f"t{index}", "image", f"IMG_{index}.jpg", "", "", 0, Path(), seen=seen)


def turn(identity: str, role: str, text: str, *photos: Attachment) -> Turn:
    """A stored turn."""
    return Turn(identity, "s", None, role, text, "complete", "", attachments=photos)  # type: ignore[arg-type]


def told_before(question: Turn, style: str) -> tuple[Message, ...]:
    """As mmchat told photos before."""
    words = style_for(style, question.text)
    is_chinese = words is STYLES[style]["zh"]
    each = [words.photo.format(describe(a.seen, is_chinese=is_chinese)) for a in question.attachments if a.seen]
    return (Message("user", ("" if is_chinese else " ").join([*each, *filter(None, [question.text])])),)


def prompts(probe: dict, style: str, *, is_before: bool) -> Iterator[tuple[str, tuple[Message, ...]]]:
    """The prompts of a probe, by what they measure."""

    def told(each: Turn, notes: tuple[Recalled, ...] = ()) -> tuple[Message, ...]:
        return told_before(each, style) if is_before and each.attachments else turn_messages(each, notes, style=style)

    photos = [photo(index, labels) for index, labels in enumerate(probe["photos"])]
    if probe["kind"] != "follow-up":
        yield probe["kind"], told(turn("q", "user", probe["question"], *photos))
        return
    for gap, is_in_view in DISTANCES:
        history: list[Turn] = []
        for file, (user, reply) in zip(photos, SAID[probe["lang"]], strict=False):
            history += [turn(file.turn_id, "user", user, file), turn("", "assistant", reply)]
        shown = len(history)
        for user, reply in TALK[probe["lang"]][:gap]:
            history += [turn("", "user", user), turn("", "assistant", reply)]
        question = turn("q", "user", probe["question"])
        notes = () if is_before else asked_about(question, history, (), has_pixels=False)
        visible = history if is_in_view else history[shown:]
        messages = [message for each in visible for message in told(each)]
        yield f"{gap} turns ago{'' if is_in_view else ', unseen'}", (*messages, *told(question, notes))


def is_right(probe: dict, reply: str) -> bool:
    """Whether a reply names what it should and nothing else that was shown."""

    def names(label: str) -> bool:
        return label in reply or any(name in reply for name in chinese_names(label))

    if probe["kind"] == "compare":
        return all(any(names(label) for label in labels) for labels in probe["photos"])
    return any(word in reply for word in probe["expect"]) and not any(word in reply for word in probe["wrong"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default=None)
    parser.add_argument("--before", action="store_true", help="without resolving which photo is meant")
    parser.add_argument("--parts", nargs="+", default=["chosen", "held out"])
    parser.add_argument("--langs", nargs="+", default=["en", "zh"])
    parser.add_argument("--show", action="store_true", help="print every reply")
    arguments = parser.parse_args()

    hub = open_hub(WiringOptions(model=arguments.model), kinds=("lm",))
    model, habits = hub.language_model(), hub.habits()
    system = open_settings().system
    options = replace(habits.options, max_new_tokens=60, temperature=0.0, seed=1)
    counts: dict[tuple[str, str, str], list[bool]] = {}
    for line in PROBES.read_text("utf-8").splitlines():
        probe = json.loads(line)
        if probe["part"] not in arguments.parts or probe["lang"] not in arguments.langs:
            continue
        for what, told in prompts(probe, habits.note_style, is_before=arguments.before):
            messages = merge_same_role((*((Message("system", system),) if system else ()), *told))
            pieces = model.stream(messages, options, Event())
            reply = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)).lower()
            counts.setdefault((probe["part"], probe["lang"], what), []).append(is_right(probe, reply))
            if arguments.show:
                print("ok" if is_right(probe, reply) else "--", what, "|", messages[-1].text, "->", repr(reply))
    how = "before" if arguments.before else "now"
    print(f"{model.name} on {model.engine}, style {habits.note_style}, greedy, {how}")
    for (part, lang, what), values in sorted(counts.items()):
        print(f"{part:10}{lang:4}{what:22}{sum(values):>4}/{len(values)}")
    hub.close()


if __name__ == "__main__":
    main()
