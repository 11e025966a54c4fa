"""How the summary of a conversation is laid out for the person who takes it over: Markdown that reads well as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmchat.chat.hand_over import Answered, Open, Shown, Summary, Wanted
from mmchat.chat.mood import smoothed
from mmchat.moments import local_minute

QUOTED = 160
"""A message or a reply is quoted up to here."""
MOODS_AT_MOST = 12
TREND = 0.1
"""A mood that has changed by less since the middle of the conversation is steady."""


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences around what is told; `{}` takes the content."""

    title: str
    about: str
    """`{messages}`, `{began}`, `{ended}`, `{language}`, `{session}`."""
    reasons: dict[str, str]
    languages: dict[str, str]
    headings: tuple[str, str, str, str, str, str]
    """Wanted, own words, answered, open, files, mood."""
    nothing_open: str
    open: dict[str, str]
    kinds: dict[str, str]
    writing: str
    unclear: dict[str, str]
    times: str
    moods: tuple[str, str, str, str, str]
    """From very unhappy to very glad."""
    trends: tuple[str, str, str]
    """Falling, steady, rising."""
    now: str
    quotes: str
    sources: str
    comma: str
    colon: str
    brackets: str


_ENGLISH = Words(
    title="Hand-over",
    about="Conversation {session}, {began} to {ended}. Messages: {messages}. Language: {language}.",
    reasons={
        "mood": "Why: the mood fell.",
        "intent": "Why: they asked for a person.",
        "unknown": "Why: two questions in a row could not be answered.",
        "asked": "Why: a summary was asked for.",
    },
    languages={"en": "English", "zh": "Chinese"},
    headings=("What is wanted", "In their own words", "What was answered", "Still open", "Pictures and sounds", "Mood"),
    nothing_open="Nothing.",
    open={
        "unknown": "not known",
        "forbidden": "not talked about",
        "broken off": "no reply",
        "person": "a person is wanted",
        "prepared": "answered by a prepared reply only",
    },
    kinds={"image": "picture", "audio": "sound"},
    writing="text in it: {}",
    unclear={"image": "not clear what it shows", "audio": "no speech heard"},
    times="{} times",
    moods=("very unhappy", "unhappy", "neutral", "pleased", "very pleased"),
    trends=("falling", "steady", "rising"),
    now="{level:+.2f} on the whole, from -1 to 1, {trend}",
    quotes="“{}”",
    sources=" (from {})",
    comma=", ",
    colon=": ",
    brackets=" ({})",
)
_CHINESE = Words(
    title="转人工摘要",
    about="对话 {session}，{began} 至 {ended}。消息 {messages} 条。语言：{language}。",
    reasons={
        "mood": "原因：对方情绪变差。",
        "intent": "原因：对方要求人工服务。",
        "unknown": "原因：连续两个问题无法回答。",
        "asked": "原因：要求整理摘要。",
    },
    languages={"en": "英文", "zh": "中文"},
    headings=("对方的需求", "对方原话", "已答复", "未解决", "图片和录音", "情绪"),
    nothing_open="无。",
    open={
        "unknown": "不知道答案",
        "forbidden": "不谈的话题",
        "broken off": "没有答复",
        "person": "需要人工处理",
        "prepared": "只有预设的答复",
    },
    kinds={"image": "图片", "audio": "录音"},
    writing="图中文字：{}",
    unclear={"image": "看不清内容", "audio": "没有听到说话"},
    times="{} 次",
    moods=("很不满", "不满", "平静", "满意", "很满意"),
    trends=("在变差", "平稳", "在变好"),
    now="总体 {level:+.2f}，范围 -1 到 1，{trend}",
    quotes="“{}”",
    sources="（依据：{}）",
    comma="、",
    colon="：",
    brackets="（{}）",
)
_MOOD_BOUNDS = (-0.6, -0.2, 0.2, 0.6)


def as_text(summary: Summary) -> str:
    """The whole summary, in the language that the customer speaks."""
    words = _CHINESE if summary.language == "zh" else _ENGLISH
    about = words.about.format(
        session=summary.session,
        began=local_minute(summary.began_at),
        ended=local_minute(summary.ended_at),
        messages=summary.messages,
        language=words.languages.get(summary.language, summary.language),
    )
    lines = [f"# {words.title}{words.colon}{summary.role or summary.title}", "", about, words.reasons[summary.reason]]
    sections = (
        [_wanted(each, words) for each in summary.wanted],
        [words.quotes.format(each) for each in summary.own_words],
        [_answered(each, words) for each in summary.answered],
        [_open(each, words) for each in summary.open] or [words.nothing_open],
        [_shown(each, words) for each in summary.files],
        [_mood(summary.moods, words)] if summary.moods else [],
    )
    for heading, items in zip(words.headings, sections, strict=True):
        if items:
            lines += ["", f"## {heading}", "", *(f"- {item}" for item in items)]
    return "\n".join(lines) + "\n"


def mood_word(mood: float, *, is_chinese: bool = False) -> str:
    """A valence in words."""
    words = _CHINESE if is_chinese else _ENGLISH
    return words.moods[sum(mood >= bound for bound in _MOOD_BOUNDS)]


def _wanted(wanted: Wanted, words: Words) -> str:
    said = words.quotes.format(_short(wanted.words))
    if not wanted.intent:
        return said
    times = words.comma + words.times.format(wanted.times) if wanted.times > 1 else ""
    sure = words.brackets.format(f"{wanted.probability:.0%}{times}")
    return f"{wanted.intent.replace('_', ' ')}{sure}{words.colon}{said}"


def _answered(answered: Answered, words: Words) -> str:
    sources = words.sources.format(words.comma.join(answered.cited)) if answered.cited else ""
    asked, reply = (words.quotes.format(_short(each)) for each in (answered.asked, answered.reply))
    return f"{asked} → {reply}{sources}"


def _open(left: Open, words: Words) -> str:
    return words.quotes.format(_short(left.asked)) + words.brackets.format(words.open[left.why])


def _shown(shown: Shown, words: Words) -> str:
    parts = [words.quotes.format(_short(shown.words)) if shown.kind == "audio" and shown.words else shown.words]
    parts += [words.writing.format(words.quotes.format(_short(shown.text)))] if shown.text else []
    about = words.comma.join(part.rstrip(".。") for part in parts if part) or words.unclear[shown.kind]
    return f"{shown.name}{words.brackets.format(words.kinds[shown.kind])}{words.colon}{about}"


def _mood(moods: Sequence[float], words: Words) -> str:
    level = smoothed(moods)
    change = level - smoothed(moods[: len(moods) // 2])
    trend = words.trends[1 + (change > TREND) - (change < -TREND)]
    said = [mood_word(mood, is_chinese=words is _CHINESE) for mood in moods]
    runs = [said[0], *(after for before, after in pairwise(said) if after != before)]
    course = " → ".join((["…"] if len(runs) > MOODS_AT_MOST else []) + runs[-MOODS_AT_MOST:])
    return course + words.brackets.format(words.now.format(level=level, trend=trend))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTED else line[: QUOTED - 1].rstrip() + "…"
