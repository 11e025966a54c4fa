"""What is known of the user: facts learnt from their messages, and those that bear on the present one.

Few are told, and only where they are of use: a 135M model drowns in notes. Which are, is a matter of words and
vectors, and of kinds: who asks what to cook is to be told of an allergy, which shares no word with the question.
"""

# ruff: noqa: E501 - a pattern is read as a line

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from mmchat.chat.masked import Masking
from mmchat.domain import Fact, Recalled, Turn
from mmchat.errors import MmchatError, UsageError
from mmchat.later import np
from mmchat.memory import facts as rows
from mmchat.memory.facts import ForgottenFact
from mmchat.memory.question import can_compare, is_chinese
from mmchat.memory.text_search import STOP_WORDS, is_cjk, is_function_pair, terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmchat.memory.recall import Embeds
    from mmchat.memory.store import MemoryStore

log = logging.getLogger(__name__)

MAX_TOLD = 2
MAX_TOLD_OF_SELF = 3
"""To those who ask what is known of them."""
COSINE_FLOOR = 0.35
COVERAGE_FLOOR = 0.34
"""A fact bears on a message that speaks of the user when it is this near, or holds this share of its words."""
CJK_COVERAGE_FLOOR = 0.15
"""Chinese is counted in pairs of characters, many of which lie across words."""
FAR_COSINE_FLOOR = 0.5
FAR_WORDS = 2
"""As much it takes for one that does not: "Why is the sky blue?" asks for nobody's blue car."""
NEXT_SHARE = 0.45
"""A further fact is told if it bears on the message at least this much beside the best one."""
OUTDATED_SHARE = 0.6
"""A turn of which this share is a fact that a newer one took the place of says nothing else worth telling."""
SURE = 0.5
"""What a message asks for by kind, beside what is like it in words and meaning. Measured with
`benchmarks/fact_telling.py`, as the floors are."""

_CUES: Mapping[str, str] = {
    "name": r"\bmy (?:full |first |last )?name\b|\bwho am i\b|\b(?:call|address|greet) me\b|\bsign(?:ed|ature)?\b|\bintroduc\w+ (?:me|myself)\b"
    r"|我叫什么|我的?名字|我是谁|(?:称呼|怎么叫)我|署名|落款|自我介绍",
    "home": r"\bwhere (?:do|did) (?:i|we) live\b|\bmy (?:city|town|area|neighbou?rhood|region|country|home town|address)\b|\bnear(?:by| me| us)\b|\baround here\b|\bin my area\b|\blocal\b|\bwhere i live\b"
    r"|我住|我家在|我们家在|附近|本地|我(?:所在)?的?城市|周边",
    "origin": r"\bwhere (?:am|was) i (?:from|born)\b|\bmy (?:home country|roots|origin)\b|\bwhere do i come from\b|我(?:是)?哪里人|我来自|我的?(?:老家|家乡)",
    "birthplace": r"\bwhere (?:was|am) i (?:born|from)\b|我(?:在)?哪(?:里|儿)?出生",
    "age": r"\bhow old am i\b|\bmy age\b|我(?:今年)?(?:多大|几岁)|我的?年龄",
    "birthday": r"\bmy birthday\b|\bwhen was i born\b|\bhow old am i\b|我(?:的)?生日|我(?:什么时候|哪年|几月)(?:出生|生)",
    "work": r"\bmy (?:job|work|career|profession|boss|colleagues?|cv|résumé|resume|office|commute|workplace)\b|\bwhat do i do\b|\bwhere do i work\b|\bfor a living\b|\bcover letter\b"
    r"|我(?:的)?(?:工作|职业|同事|老板|事业)|我是做什么|我在哪(?:里|儿)?(?:工作|上班)|简历|求职",
    "study": r"\bwhat (?:do|am|did) i stud(?:y|ying)\b|\bmy (?:studies|degree|course|major)\b|我(?:的)?(?:专业|学业)|我学(?:的)?(?:是)?什么",
    "allergy": r"\b(?:cook\w*|recipes?|eat(?:ing)?|meals?|dinners?|lunch\w*|breakfasts?|snacks?|restaurants?|menus?|dish(?:es)?|bak(?:e|ing)|allerg\w+|food|dessert|ingredients?|medicines?|antibiotics?)\b"
    r"|吃|菜|餐|饭|食谱|做点|点心|零食|过敏|食物|甜点|外卖|药",
    "diet": r"\b(?:cook\w*|recipes?|eat(?:ing)?|meals?|dinners?|lunch\w*|breakfasts?|snacks?|restaurants?|menus?|dish(?:es)?|bak(?:e|ing)|diet|food|dessert|barbecue|drinks?|wine)\b"
    r"|吃|菜|餐|饭|食谱|点心|零食|食物|甜点|外卖|喝",
    "health": r"\b(?:my (?:health|condition|doctor|symptoms?)|exercises?|workout|fitness|sport|is it safe for me|medicines?|medication|pills?)\b|我的?(?:身体|健康|病)|锻炼|运动|健身|吃药|药",
    "medicine": r"\b(?:my (?:medication|medicine|pills)|interact\w*|side effects?)\b|我吃的药|副作用|一起吃",
    "speaks": r"\b(?:what|which) languages? do i\b|\bmy (?:mother tongue|native language)\b|我会(?:说|讲)?(?:什么|哪)|我的母语",
    "plan": r"\bmy (?:plans?|trip|holiday|vacation|schedule|calendar|appointments?|week|weekend|agenda)\b|\bpack(?:ing)?\b|我的?(?:计划|行程|安排|旅行|日程)|行李|我什么时候",
    "have": r"\bmy (?:pets?|kids|children|family|siblings)\b|\bdo i have\b|\bhow many \w+ do i have\b|我(?:有几|有多少|的?宠物|的?孩子|家里)|我有(?:什么|哪)",
    "about": r"\bmy (?:family|relatives|parents|kids|children|pets?)\b|我的?(?:家人|家里人|亲戚|父母|宠物|孩子)",
    "taste": r"\b(?:what|which) (?:\w+ ){0,3}do i (?:like|love|enjoy|hate|prefer)\b|\bmy (?:tastes?|hobb(?:y|ies)|interests|preferences)\b|\b(?:gift|present)s? for me\b"
    r"|我(?:最)?喜欢(?:什么|哪|吃什么|做什么)|我的?(?:爱好|兴趣|口味)",
}
"""What a message asks for → the kinds of facts that bear on it, whatever their words."""
_OF_SELF = re.compile(
    r"\bwhat do you (?:know|remember) (?:about|of) me\b|\b(?:everything|anything) you (?:know|remember) about me\b|\btell me about (?:me|myself)\b"
    r"|\bwho am i\b|\bdescribe me\b|\bdo you (?:know|remember) me\b"
    r"|你(?:都|还)?(?:知道|记得|了解)(?:关于)?我(?:的)?(?:什么|哪些|多少|吗)|我是(?:谁|什么样的人)|介绍一下我|你(?:还)?(?:记得|认识)我",
    re.IGNORECASE,
)
_SELF_ORDER = ("name", "home", "work", "age", "origin", "have", "about", "allergy", "diet", "health", "taste")
_OF_ME = re.compile(r"\b(?:i|i'm|i've|i'd|my|me|mine|myself|we|our|us|recommend|suggest)\b|我|咱|推荐", re.IGNORECASE)
_LIKE_ONE = re.compile(r"(?:'s|ies|es|s|ing|ed)$")


class KnownFacts:
    """Facts in the store. Safe from any thread."""

    def __init__(
        self,
        store: MemoryStore,
        embedder: Callable[[], Embeds | None],
        masking: Callable[[], Masking] = Masking,
    ) -> None:
        """What they are kept and found with.

        Args:
            store: where they are.
            embedder: called (it may block while loading) only when vectors are needed.
            masking: takes personal data out of what is told outright.
        """
        self._masking = masking
        self._store = store
        self._embedder = embedder

    # --- looking --------------------------------------------------------------------------------

    def all(self, query: str = "") -> tuple[Fact, ...]:
        """The last said first; with a query, those that hold all its words."""
        facts = with_superseded(rows.list_facts(self._store))
        wanted = query.casefold().split()
        return tuple(fact for fact in facts if all(word in fact.text.casefold() for word in wanted))

    def get(self, fact_id: str) -> Fact:
        """By id, or a unique beginning or end of it. Raises UsageError."""
        return rows.get_fact(self._store, fact_id)

    # --- changing -------------------------------------------------------------------------------

    def learn(self, turn: Turn) -> tuple[Fact, ...]:
        """Keep what a message of the user's says of them; what it said before, or was forgotten, is not kept anew."""
        from mmchat.chat.facts import find_facts  # the rules: not before the first reply is drawn

        learnt = [
            rows.add_fact(self._store, found.text, found.topic, turn_id=turn.id)
            for found in find_facts(own_words(turn))
        ]
        return tuple(fact for fact in learnt if fact is not None)

    def unlearnt(self, on_read: Callable[[int], None] = lambda count: None) -> tuple[Fact, ...]:
        """What all earlier messages say of the user and is not known yet, oldest first; nothing is kept by it.

        Args:
            on_read: told now and then how many messages were read.
        """
        from mmchat.chat.facts import find_facts

        found: dict[str, Fact] = {}
        for count, (turn_id, said_at, text) in enumerate(rows.user_texts(self._store)):
            if count % READ_STEP == 0:
                on_read(count)
            for fact in find_facts(text):
                if not rows.is_known(self._store, fact.text):
                    key = rows.said_key(fact.text)
                    found.pop(key, None)
                    found[key] = Fact("", fact.text, "said", said_at, said_at, fact.topic, turn_id)
        return tuple(found.values())

    def keep(self, facts: Iterable[Fact]) -> int:
        """Keep facts that `unlearnt` found; returns how many are new."""
        kept = [
            rows.add_fact(self._store, fact.text, fact.topic, turn_id=fact.turn, said_at=fact.updated_at)
            for fact in facts
        ]
        return sum(fact is not None for fact in kept)

    def remember(self, text: str) -> Fact:
        """Keep what the user tells outright, without what is masked.

        Raises:
            UsageError: there are no words, or too many.
        """
        from mmchat.chat.facts import topic_of

        text = self._masking().words(" ".join(text.split()))
        if not text:
            raise UsageError("There is nothing to remember.", hint="For example: /remember I'm allergic to peanuts")
        if len(text) > MAX_TOLD_CHARACTERS:
            raise UsageError(
                f"A fact takes at most {MAX_TOLD_CHARACTERS} characters, and this has {len(text)}.",
                hint="Say it shorter, or in several facts.",
            )
        fact = rows.add_fact(self._store, text, topic_of(text))
        if fact is None:
            raise RuntimeError("a fact that was told outright was not kept")
        return fact

    def edit(self, fact_id: str, text: str) -> Fact:
        """Put other words in the place of a fact's. Raises UsageError."""
        from mmchat.chat.facts import topic_of

        text = self._masking().words(" ".join(text.split()))
        if len(text) > MAX_TOLD_CHARACTERS:
            raise UsageError(f"A fact takes at most {MAX_TOLD_CHARACTERS} characters.", hint="Say it shorter.")
        return rows.edit_fact(self._store, fact_id, text, topic_of(text))

    def forget(self, facts: Iterable[Fact]) -> tuple[ForgottenFact, ...]:
        """Delete facts for good; what comes back takes it back, as long as it is held."""
        return rows.forget_facts(self._store, facts)

    def restore(self, forgotten: Iterable[ForgottenFact]) -> tuple[Fact, ...]:
        """Take a forgetting back."""
        return rows.restore_facts(self._store, forgotten)

    # --- telling --------------------------------------------------------------------------------

    def bearing_on(
        self,
        query: str,
        *,
        hidden: Sequence[str] = (),
        use_vectors: bool = True,
        among: Sequence[Fact] | None = None,
    ) -> tuple[Recalled, ...]:
        """The few facts that bear on a message, best first, as notes.

        Args:
            query: the message.
            hidden: ids of turns and facts that the model sees anyway; what they say needs no telling.
            use_vectors: False goes by words and kinds, and never waits for the embedder.
            among: all facts, where they were read already.

        Raises:
            MmchatError: what the embedder says.
        """
        facts = [
            fact
            for fact in (self.all() if among is None else among)
            if not fact.is_superseded and fact.id not in hidden and (not fact.turn or fact.turn not in hidden)
            if not is_over(fact)
        ]
        if not facts:
            return ()
        if _OF_SELF.search(query):
            rank = {kind: place for place, kind in enumerate(_SELF_ORDER)}
            facts.sort(key=lambda fact: rank.get(fact.topic.partition(":")[0], len(rank)))
            return tuple(rows.as_note(fact, SURE) for fact in facts[:MAX_TOLD_OF_SELF])
        scores = _by_kind_and_words(query, facts)
        if use_vectors:
            self._add_vectors(scores, query, facts)
        found = sorted((fact for fact in facts if scores[fact.id] > 0), key=lambda fact: -scores[fact.id])
        least = NEXT_SHARE * scores[found[0].id] if found else 0.0
        return tuple(rows.as_note(fact, scores[fact.id]) for fact in found[:MAX_TOLD] if scores[fact.id] >= least)

    def beside(
        self,
        query: str,
        facts: Sequence[Recalled],
        turns: Sequence[Recalled],
        *,
        among: Sequence[Fact] | None = None,
    ) -> tuple[Recalled, ...]:
        """Facts and recalled turns together, best first, without what is said twice, was forgotten or is outdated.

        A turn of which something was forgotten is not told again by itself, nor is one that says little else than
        what a newer fact has taken the place of. Both are still found by those who search.
        """
        if not turns:
            return tuple(facts)
        partners = [turn.partner.turn for turn in turns if turn.partner is not None]
        forgotten = rows.forgotten_turns(self._store, [*(turn.turn for turn in turns), *partners])
        known = self.all() if among is None else among
        outdated = {fact.turn: fact.text for fact in known if fact.is_superseded and fact.turn}
        kept = [
            replace(turn, partner=None) if turn.partner is not None and turn.partner.turn in forgotten else turn
            for turn in turns
            if turn.turn not in forgotten and len(outdated.get(turn.turn, "")) < OUTDATED_SHARE * len(turn.text)
        ]
        return without_doubles(query, facts, kept)

    def index(self) -> None:
        """Give vectors to facts that have none. Slow: for after the reply. Raises what the embedder says."""
        embedder = self._embedder()
        if embedder is None:
            return
        facts = rows.facts_without_vector(self._store, embedder.name)
        if facts:
            vectors = embedder.embed([fact.text for fact in facts])
            rows.save_vectors(self._store, embedder.name, {f.id: v for f, v in zip(facts, vectors, strict=True)})

    def index_quietly(self) -> None:
        """As `index`; where it fails, facts are found by words until the next time."""
        try:
            self.index()
        except MmchatError:
            log.warning("facts not embedded", exc_info=True)

    def _add_vectors(self, scores: dict[str, float], query: str, facts: Sequence[Fact]) -> None:
        embedder = self._embedder()
        if embedder is None or not can_compare(embedder, query):
            return
        vectors = rows.fact_vectors(self._store, embedder.name)
        known = [fact.id for fact in facts if fact.id in vectors]
        if not known:
            return
        asked: NDArray[np.float32] = embedder.embed([query])[0]
        cosines = np.stack([vectors[fact_id] for fact_id in known]) @ asked
        floor = COSINE_FLOOR if _OF_ME.search(query) else FAR_COSINE_FLOOR
        for fact_id, cosine in zip(known, cosines.tolist(), strict=True):
            if cosine >= floor:
                scores[fact_id] += cosine
            elif scores[fact_id]:
                scores[fact_id] += max(cosine, 0.0)  # among those of one kind, the nearest first


SOON = timedelta(days=14)
_SOON = re.compile(
    r"\b(?:today|tonight|tomorrow|this (?:week|weekend)|next week|(?:on |this |next )?(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
    r"|[今明后]天|大后天|今晚|明晚|这周|本周|下?个?(?:周|星期|礼拜)[一二三四五六日天末]|下周",
    re.IGNORECASE,
)
"""Days that are named by where they lie from the day on which it was said."""
READ_STEP = 500
"""Messages read between two words about it."""
MAX_TOLD_CHARACTERS = 240
"""Of a fact that is told outright: what a note is quoted up to."""


def own_words(turn: Turn) -> str:
    """What the user said themselves in a turn: what was typed, or a message that is nothing but speech."""
    if turn.role != "user" or turn.text:
        return turn.text if turn.role == "user" else ""
    if any(attachment.kind != "audio" for attachment in turn.attachments):
        return ""
    return " ".join(attachment.heard.text for attachment in turn.attachments if attachment.heard)


def is_over(fact: Fact, now: datetime | None = None) -> bool:
    """Whether a plan for "next week" is so old that it says nothing any more; it stays in the list."""
    if not fact.topic.startswith("plan") or not _SOON.search(fact.text):
        return False
    said = datetime.fromisoformat(fact.updated_at)
    return (now or datetime.now(UTC)) - said > SOON


def with_superseded(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Facts, newest first, of which those are marked whose topic a newer one has."""
    from mmchat.chat.facts import is_exclusive

    seen: set[str] = set()
    marked: list[Fact] = []
    for fact in facts:
        is_single = is_exclusive(fact.topic)
        marked.append(replace(fact, is_superseded=True) if is_single and fact.topic in seen else fact)
        if is_single:
            seen.add(fact.topic)
    return tuple(marked)


def without_doubles(query: str, facts: Sequence[Recalled], turns: Sequence[Recalled]) -> tuple[Recalled, ...]:
    """Facts and recalled turns together, nothing said twice: of a fact and its turn, what says more of what is asked.

    Args:
        query: the message.
        facts: facts that bear on it, best first.
        turns: turns that bear on it, best first.
    """
    asked = _words(query)
    kept_facts = list(facts)
    kept_turns: list[Recalled] = []
    for turn in turns:
        told = [fact for fact in kept_facts if fact.turn == turn.turn or _holds(turn.text, fact.text)]
        if not told:
            kept_turns.append(turn)
            continue
        in_facts = set().union(*(_words(fact.text) for fact in told))
        if turn.role == "user" and (asked & _words(turn.text)) - in_facts:
            kept_facts = [fact for fact in kept_facts if fact not in told]
            kept_turns.append(turn)
    return (*kept_facts, *kept_turns)


def _holds(text: str, part: str) -> bool:
    return " ".join(part.split()).casefold() in " ".join(text.split()).casefold()


@cache
def _cues() -> Mapping[str, re.Pattern[str]]:
    """Compiled with the first message that there are facts for; no start waits for it."""
    return {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _CUES.items()}


def _by_kind_and_words(query: str, facts: Sequence[Fact]) -> dict[str, float]:
    asked = _words(query)
    is_in_pairs = is_chinese(query)
    floor = CJK_COVERAGE_FLOOR if is_in_pairs else COVERAGE_FLOOR
    far_words = 1 if is_in_pairs or _OF_ME.search(query) else FAR_WORDS
    wanted = {kind for kind, cue in _cues().items() if cue.search(query)}
    scores: dict[str, float] = {}
    for fact in facts:
        shared = asked & _words(fact.text)
        share = len(shared) / len(asked) if asked else 0.0
        is_alike = share >= floor and len(shared) >= far_words
        is_wanted = fact.topic.partition(":")[0] in wanted
        scores[fact.id] = SURE * is_wanted + share * (is_wanted or is_alike)
    return scores


@lru_cache(maxsize=8192)
def _words(text: str) -> frozenset[str]:
    """What a text is about: words without their endings, Chinese in pairs, no words that stand everywhere."""
    found: set[str] = set()
    for term in terms(text):
        if not is_cjk(term):
            if term not in STOP_WORDS and len(term) > 1:
                found.add(_LIKE_ONE.sub("", term) if len(term) > 4 else term.removesuffix("s"))
        else:
            pairs = [term[at : at + 2] for at in range(len(term) - 1)]
            found |= {pair for pair in pairs if not is_function_pair(pair)}
    return frozenset(found)
