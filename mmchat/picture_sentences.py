"""What was seen in a picture as one sentence that keeps its doubt, in English or Chinese. Wording is our own.

"A dog on grass, probably with a ball." Only tags go in, so the sentence can be made in either language whenever it
is shown. It says what a tag's score allows: stated, "probably", "perhaps" where there is nothing better,
or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmchat.domain import Seen, Tag
from mmchat.picture_words import chinese_names

SURE, LIKELY, POSSIBLE = 0.8, 0.5, 0.25
"""From here on a tag is stated, called probable, called possible; what is below is not said."""
MAX_POSSIBLE = 2
"""Said only where there is nothing better: beside what is likely, guesses cost CIDEr 32.6 instead of 36.3."""
UNCOUNTED = (
    *("food", "fruit", "bread", "pasta", "soup", "meat", "broccoli", "water", "snow", "grass", "hay", "corn", "sky"),
    *("ice cream", "chocolate", "sport", "rain", "toilet paper", "guacamole", "skis", "jeans", "glasses", "potatoes"),
    *("scissors", "velvet fabric", "wool", "hot pot", "darkness"),
)
"""Words without an article."""

MEDIA = {
    "black-and-white photo": "黑白照片",
    "drawing": "图画",
    "screenshot": "屏幕截图",
    "chart": "图表",
    "page of text": "一页文字",
    "blank picture": "空白图片",
}
"""What a picture is, where it is no photo in colour."""
PLACES = {
    "kitchen": ("in a kitchen", "在厨房里"),
    "bathroom": ("in a bathroom", "在浴室里"),
    "office": ("in an office", "在办公室里"),
    "bedroom": ("in a bedroom", "在卧室里"),
    "living room": ("in a living room", "在客厅里"),
    "street": ("on a street", "在街上"),
    "snow": ("in the snow", "在雪地里"),
    "sea": ("by the sea", "在海边"),
    "lake": ("by a lake", "在湖边"),
    "swimming pool": ("in a swimming pool", "在游泳池里"),
    "playground": ("on a playground", "在游乐场上"),
    "sports field": ("on a sports field", "在运动场上"),
    "grass": ("on grass", "在草地上"),
    "beach": ("on a beach", "在海滩上"),
    "patio": ("on a patio", "在露台上"),
    "restaurant": ("in a restaurant", "在餐厅里"),
    "store": ("in a store", "在商店里"),
    "library": ("in a library", "在图书馆里"),
    "stage": ("on a stage", "在舞台上"),
    "church": ("at a church", "在教堂"),
    "greenhouse": ("in a greenhouse", "在温室里"),
    "dock": ("at a dock", "在码头"),
    "mountain": ("by a mountain", "在山边"),
}
"""Where the things are, in both languages."""
DOINGS = {
    "playing baseball": "打棒球",
    "playing tennis": "打网球",
    "playing basketball": "打篮球",
    "playing soccer": "踢足球",
    "playing football": "打橄榄球",
    "playing volleyball": "打排球",
    "playing hockey": "打冰球",
    "playing golf": "打高尔夫球",
    "playing table tennis": "打乒乓球",
    "playing pool": "打台球",
    "skiing": "滑雪",
    "sledding": "坐雪橇",
    "swimming": "游泳",
    "rowing": "划船",
    "sailing": "驾驶帆船",
    "riding a bicycle": "骑自行车",
    "riding a motorcycle": "骑摩托车",
    "riding a horse": "骑马",
    "racing": "赛车",
    "cooking": "做饭",
    "eating": "吃东西",
    "playing the guitar": "弹吉他",
    "playing music": "演奏音乐",
    "hiking": "徒步",
    "climbing": "攀爬",
    "shopping": "购物",
    "using a computer": "用电脑",
    "getting married": "举行婚礼",
    "parachuting": "跳伞",
    "camping": "露营",
    "doing gymnastics": "做体操",
    "lifting weights": "举重",
}
"""What somebody does."""
SPORT = ("sport", "doing sports", "运动")
"""The family word for what people do, and how it is said of somebody."""
COLOURS = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
}
_MOSTLY = "mostly "


@dataclass(frozen=True, slots=True)
class _Scene:
    """Tags sorted by the part they play in the sentence; each list best first."""

    medium: str
    sure: list[str]
    likely: list[str]
    possible: list[str]
    place: Tag | None
    doing: tuple[Tag, str, str] | None
    """With its words in both languages."""
    colour: str
    is_dark: bool


def caption_of(seen: Seen, *, is_chinese: bool) -> str:
    """The sentence of a picture in the language of who reads it. One that came with the picture stays as it is."""
    return describe(seen.tags, is_chinese=True) if is_chinese and seen.tags and seen.caption else seen.caption


def describe(tags: Sequence[Tag], *, is_chinese: bool = False) -> str:
    """Tags as one sentence that keeps their doubt. Empty where nothing is likely enough to be said."""
    scene = _sorted(tags)
    return _in_chinese(scene) if is_chinese else _in_english(scene)


def likely_words(tags: Sequence[Tag], floor: float, most: int, *, is_chinese: bool = False) -> list[str]:
    """Tags from a score on as words to list: what it is, what is there, and somebody with what he does."""
    said = [tag.label for tag in tags if tag.score >= floor and tag.label not in DOINGS]
    labels = [label for label in said if label in MEDIA or not is_look(label)][:most]
    doing = next((tag.label for tag in tags if tag.label in DOINGS and tag.score >= max(floor, LIKELY)), None)
    words = []
    for label in labels:
        word = chinese_word(label) if is_chinese else with_article(label)
        if label == "person" and doing is not None:
            word = f"{DOINGS[doing]}的人" if is_chinese else f"{word} {doing}"
        words.append(word)
    return words


def chinese_word(label: str) -> str:
    """A tag's Chinese name; the tag itself where it has none."""
    if label in MEDIA:
        return MEDIA[label]
    if label.startswith(_MOSTLY):
        return COLOURS.get(label.removeprefix(_MOSTLY), label)
    return next(iter(chinese_names(label)), label) if label not in DOINGS else DOINGS[label]


def with_article(label: str) -> str:
    """A tag as it stands in an English sentence: "an elephant", "grass", "the sea"."""
    if label in UNCOUNTED or label in DOINGS or label.startswith((_MOSTLY, "a ", "an ", "the ")):
        return label
    if label in ("sea", "street"):
        return f"the {label}"
    return f"{'an' if label[:1].lower() in 'aeiou' else 'a'} {label}"


def is_look(label: str) -> bool:
    """Whether a tag says how a picture looks or what kind it is, and nothing of what is in it."""
    return label in MEDIA or label == "darkness" or label.startswith(_MOSTLY)


def _sorted(tags: Sequence[Tag]) -> _Scene:
    said = [tag for tag in tags if tag.score >= POSSIBLE]
    looks = [tag.label for tag in said if is_look(tag.label)]
    has_person = any(tag.label == "person" and tag.score >= LIKELY for tag in said)
    doing = next((tag for tag in said if tag.label in DOINGS and tag.score >= LIKELY), None)
    sport = next((tag for tag in said if has_person and tag.label == SPORT[0] and tag.score >= LIKELY), None)
    done = (doing, doing.label, DOINGS[doing.label]) if doing else (sport, *SPORT[1:]) if sport else None
    place = next((tag for tag in said if tag.label in PLACES and tag.score >= LIKELY), None)
    things = [tag for tag in said if not is_look(tag.label) and tag.label not in DOINGS and tag not in (place, sport)]
    return _Scene(
        next((label for label in looks if label in MEDIA), ""),
        [tag.label for tag in things if tag.score >= SURE],
        [tag.label for tag in things if LIKELY <= tag.score < SURE],
        [tag.label for tag in things if tag.score < LIKELY][:MAX_POSSIBLE],
        place,
        done if has_person else None,
        next((label.removeprefix(_MOSTLY) for label in looks if label.startswith(_MOSTLY)), ""),
        "darkness" in looks,
    )


# --- English --------------------------------------------------------------------------------------


def _in_english(scene: _Scene) -> str:
    sentence = _english_things(scene)
    if scene.medium:
        doubt = next((word for word in ("probably ", "perhaps ") if sentence.startswith(word)), "")
        of = f"{', ' if doubt else ' '}{doubt}of {sentence.removeprefix(doubt)}" if sentence else ""
        sentence = with_article(scene.medium) + of
    if not sentence:
        return ""
    if scene.colour:
        sentence += f", mostly in {scene.colour}" if scene.medium or not scene.is_dark else f", dark and {scene.colour}"
    elif scene.is_dark:
        sentence += ", in the dark"
    return sentence[0].upper() + sentence[1:] + "."


def _english_things(scene: _Scene) -> str:
    sure, likely = _person_last(scene.sure), _person_last(scene.likely)
    is_doubted = not sure  # said once, "probably" covers what follows it
    is_place_left = scene.place is not None
    text = ""
    if sure:
        text = _joined(sure, "and")
    elif likely:
        text, likely = f"probably {_joined(likely, 'and')}", []
    elif scene.place is not None:
        text = ("" if scene.place.score >= SURE else "probably ") + with_article(scene.place.label)
        is_place_left = False
    elif scene.possible:
        text = f"perhaps {_joined(scene.possible, 'or')}"
    follow: list[tuple[str, float]] = []
    if scene.doing is not None:
        follow.append((scene.doing[1], scene.doing[0].score))
    if scene.place is not None and is_place_left:
        follow.append((PLACES[scene.place.label][0], scene.place.score))
    if likely:
        follow.append((f"with {_joined(likely, 'and')}", LIKELY))
    for words, score in sorted(follow, key=lambda each: each[1] < SURE):
        text += f" {words}" if score >= SURE or is_doubted else f", probably {words}"
        is_doubted = is_doubted or score < SURE
    return text


def _person_last(labels: Sequence[str]) -> list[str]:
    """What somebody does follows who does it."""
    return [*(label for label in labels if label != "person"), *(label for label in labels if label == "person")]


def _joined(labels: Sequence[str], word: str) -> str:
    items = [with_article(label) for label in labels]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"


# --- Chinese --------------------------------------------------------------------------------------


def _in_chinese(scene: _Scene) -> str:
    sure, likely = _person_last(scene.sure), _person_last(scene.likely)
    opening = f"{MEDIA[scene.medium]}，里面" if scene.medium else "照片里"
    clauses: list[str] = []
    if sure:
        clauses.append(f"{opening}有{_listed(sure, '和')}")
    elif likely:
        clauses.append(f"{opening}可能有{_listed(likely, '和')}")
        likely = []
    elif scene.place is not None:
        clauses.append(f"{opening}{'' if scene.place.score >= SURE else '可能'}是{chinese_word(scene.place.label)}")
    elif scene.possible:
        clauses.append(f"{opening}也许有{_listed(scene.possible, '或')}")
    elif scene.medium:
        clauses.append(MEDIA[scene.medium])
    if not clauses:
        return ""
    if scene.place is not None and (sure or scene.likely):
        clauses.append(f"{'' if scene.place.score >= SURE else '可能'}{PLACES[scene.place.label][1]}")
    if scene.doing is not None:
        clauses.append(f"{'' if scene.doing[0].score >= SURE else '可能'}在{scene.doing[2]}")
    if likely:
        clauses.append(f"可能还有{_listed(likely, '和')}")
    if scene.colour:
        clauses.append(f"画面以{COLOURS[scene.colour]}为主")
    if scene.is_dark:
        clauses.append("画面很暗")
    return "，".join(clauses) + "。"


def _listed(labels: Sequence[str], word: str) -> str:
    names = [chinese_word(label) for label in labels]
    return names[0] if len(names) == 1 else f"{'、'.join(names[:-1])}{word}{names[-1]}"
