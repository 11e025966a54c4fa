"""The sentences around what a model is told, in several styles; `chat.wording` puts them together."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class NoteStyle:
    """Sentences around what the model is told; `{}` takes the content."""

    photo: str
    """Before the user's words, in the user's voice."""
    photo_unclear: str
    photo_text: str
    sound: str
    sound_empty: str
    memory: str
    """Before the user's words; `{}` takes the quoted turns."""
    memory_user: str
    """One quoted turn of the user's."""
    memory_assistant: str
    memory_asked: str
    """A question of the user's and how it was answered."""
    memory_answered: str
    """A question of the model's and what the user answered."""
    memory_photo: str
    """One recalled picture; `{}` takes what was seen in it."""
    photo_nth: str
    """One of several photos that were sent together: `{nth}` which, `{}` what is in it."""
    photo_named: str
    """The same where the message calls it by its file name, `{nth}`."""
    photos: str
    """Before those; `{}` takes how many."""
    photo_nothing: str
    """What is in a photo of several in which nothing is clear."""
    photo_alone: str
    """What a photo without a word asks."""
    memory_nth: str
    """One of the photos of the same conversation: `{nth}` which, `{}` what is in it."""
    memory_same: str
    """The same where the message does not count them."""
    memory_nth_shown: str
    """Where the photo itself is shown again; `{nth}` which."""
    memory_shown: str
    ordinals: str
    """Words for `{nth}`, from the first; `figure` goes on where they end."""
    figure: str
    numbers: str
    """Words for how many, from one."""
    photo_answer: str = ""
    """When set, the picture is told as the assistant's own words, in an exchange before the question."""
    photo_ask: str = ""
    memory_answer: str = ""
    """When set, the memory is told as the assistant's own words, in an exchange before the question."""
    memory_ask: str = ""
    passage: str = ""
    """What a document says: `{}` its words, quoted, and `{place}` the heading or file that they stand under."""
    passage_ask: str = ""
    """Between what the documents say and the user's own words."""
    passage_chars: int = 1200
    """So much of a passage is told, the part that bears most on the question: a page is too much for a small model."""
    should_tell_asked_only: bool = False
    """Of several photos, only those that the message asks about: a small model mixes them up."""


_SPOKEN_ENGLISH = NoteStyle(
    photo="I am showing you a photo of {}.",
    photo_unclear="I am showing you a photo, but it is hard to make out.",
    photo_text='The photo has this text in it: "{}".',
    sound='I am playing you a recording. It says: "{}".',
    sound_empty="I am playing you a recording in which nobody speaks.",
    memory="{}",
    memory_user='Earlier I told you: "{}".',
    memory_assistant='Earlier you told me: "{}".',
    memory_asked='Earlier I asked you: "{}" You told me: "{}".',
    memory_answered='Earlier you asked me: "{}" I told you: "{}".',
    memory_photo="Earlier I showed you a photo of {}.",
    photo_nth="The {nth} photo shows {}.",
    photo_named="The photo {nth} shows {}.",
    photos="I am showing you {} photos.",
    photo_nothing="something unclear",
    photo_alone="What do you see?",
    passage='Our documents say under "{place}": "{}"',
    memory_nth="In the {nth} photo I showed you there is {}.",
    memory_same="In the photo I showed you there is {}.",
    memory_nth_shown="This is the {nth} photo that I showed you before.",
    memory_shown="This is the photo that I showed you before.",
    ordinals="first second third fourth fifth sixth seventh eighth ninth tenth",
    figure="number {}",
    numbers="one two three four five six seven eight nine ten",
)
_SPOKEN_CHINESE = NoteStyle(
    photo="我给你看一张照片，上面有{}。",
    photo_unclear="我给你看一张照片，但看不太清楚。",
    photo_text="照片里写着：“{}”。",
    sound="我给你放一段录音，内容是：“{}”。",
    sound_empty="我给你放一段录音，里面没有人说话。",
    memory="{}",
    memory_user="我以前告诉过你：“{}”。",
    memory_assistant="你以前告诉过我：“{}”。",
    memory_asked="我以前问过你：“{}”你告诉我：“{}”。",
    memory_answered="你以前问过我：“{}”我告诉你：“{}”。",
    memory_photo="我以前给你看过一张照片，上面有{}。",
    photo_nth="第{nth}张照片上有{}。",
    photo_named="照片{nth}上有{}。",
    photos="我给你看{}张照片。",
    photo_nothing="看不清楚的东西",
    photo_alone="你看到了什么？",
    passage="文件里“{place}”这一节写着：“{}”。",
    memory_nth="我给你看的第{nth}张照片里有{}。",
    memory_same="我给你看的照片里有{}。",
    memory_nth_shown="这是我以前给你看过的第{nth}张照片。",
    memory_shown="这是我以前给你看过的照片。",
    ordinals="一 二 三 四 五 六 七 八 九 十",
    figure="{}",
    numbers="一 两 三 四 五 六 七 八 九 十",
)

STYLES: dict[str, dict[str, NoteStyle]] = {
    "spoken": {"en": _SPOKEN_ENGLISH, "zh": _SPOKEN_CHINESE},
    "witness": {
        "en": replace(
            _SPOKEN_ENGLISH,
            photo="{}",
            photo_ask="Please look at the photo I am showing you.",
            photo_answer="I can see {} in your photo.",
            memory_ask="Do you remember what we said before?",
            memory_answer="Yes, I remember. {}",
            memory_user='You told me: "{}".',
            memory_assistant='I told you: "{}".',
            memory_asked='You asked me: "{}" I told you: "{}".',
            memory_answered='I asked you: "{}" You told me: "{}".',
            memory_photo="You showed me a photo of {}.",
        ),
        "zh": replace(
            _SPOKEN_CHINESE,
            photo="{}",
            photo_ask="请看看我给你的照片。",
            photo_answer="我在照片里看到了{}。",
            memory_ask="你还记得我们以前说过什么吗？",
            memory_answer="记得。{}",
            memory_user="你告诉过我：“{}”。",
            memory_assistant="我告诉过你：“{}”。",
            memory_asked="你问过我：“{}”我告诉你：“{}”。",
            memory_answered="我问过你：“{}”你告诉我：“{}”。",
            memory_photo="你给我看过一张照片，上面有{}。",
        ),
    },
    "plain": {
        "en": replace(
            _SPOKEN_ENGLISH,
            sound="In the recording somebody says: {}",
            sound_empty="In the recording nobody speaks.",
            memory_user="{}",
            passage='{place}: "{}"',
            passage_ask="\n\nUsing only the text above: ",
            passage_chars=160,
            should_tell_asked_only=True,
        ),
        "zh": replace(
            _SPOKEN_CHINESE,
            sound="录音里有人说：{}",
            sound_empty="录音里没有人说话。",
            memory_user="{}",
            passage="{place}：“{}”",
            passage_ask="\n\n只根据上面的文字回答：",
            passage_chars=80,
            should_tell_asked_only=True,
        ),
    },
    "bracket": {
        "en": NoteStyle(
            photo="[Photo: {}]",
            photo_unclear="[Photo: unclear]",
            photo_text="[Text in the photo: {}]",
            sound="[Recording: {}]",
            sound_empty="[Recording: no speech]",
            memory="[Notes from earlier conversations: {}]",
            memory_user="the user said: {}",
            memory_assistant="the assistant said: {}",
            memory_asked="the user asked: {} the assistant said: {}",
            memory_answered="the assistant asked: {} the user said: {}",
            memory_photo="the user showed a photo of {}",
            photo_nth="[Photo {nth}: {}]",
            photo_named="[Photo {nth}: {}]",
            photos="[{} photos]",
            photo_nothing="something unclear",
            photo_alone="What do you see?",
            passage='[Document, "{place}": "{}"]',
            memory_nth="photo {nth} of this conversation: {}",
            memory_same="the photo of this conversation: {}",
            memory_nth_shown="[Photo {nth} of this conversation, again]",
            memory_shown="[A photo of this conversation, again]",
            ordinals="",
            figure="{}",
            numbers="",
        ),
        "zh": NoteStyle(
            photo="[照片：{}]",
            photo_unclear="[照片：不清楚]",
            photo_text="[照片里的文字：{}]",
            sound="[录音：{}]",
            sound_empty="[录音：没有人说话]",
            memory="[以前的对话：{}]",
            memory_user="用户说：{}",
            memory_assistant="助手说：{}",
            memory_asked="用户问：{}助手说：{}",
            memory_answered="助手问：{}用户说：{}",
            memory_photo="用户给看过一张照片：{}",
            photo_nth="[照片{nth}：{}]",
            photo_named="[照片{nth}：{}]",
            photos="[{}张照片]",
            photo_nothing="看不清楚的东西",
            photo_alone="你看到了什么？",
            passage="[文件“{place}”：“{}”]",
            memory_nth="这次对话的照片{nth}：{}",
            memory_same="这次对话的照片：{}",
            memory_nth_shown="[再看一次照片{nth}]",
            memory_shown="[再看一次照片]",
            ordinals="",
            figure="{}",
            numbers="",
        ),
    },
}
