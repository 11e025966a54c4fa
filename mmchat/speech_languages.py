"""The languages that Whisper knows, by code and by name."""

from __future__ import annotations

from mmchat.errors import UsageError

_NAMES = """
en English|zh Chinese|de German|es Spanish|ru Russian|ko Korean|fr French|ja Japanese|pt Portuguese|tr Turkish|pl Polish
ca Catalan|nl Dutch|ar Arabic|sv Swedish|it Italian|id Indonesian|hi Hindi|fi Finnish|vi Vietnamese|he Hebrew
uk Ukrainian|el Greek|ms Malay|cs Czech|ro Romanian|da Danish|hu Hungarian|ta Tamil|no Norwegian|th Thai|ur Urdu
hr Croatian|bg Bulgarian|lt Lithuanian|la Latin|mi Maori|ml Malayalam|cy Welsh|sk Slovak|te Telugu|fa Persian|lv Latvian
bn Bengali|sr Serbian|az Azerbaijani|sl Slovenian|kn Kannada|et Estonian|mk Macedonian|br Breton|eu Basque|is Icelandic
hy Armenian|ne Nepali|mn Mongolian|bs Bosnian|kk Kazakh|sq Albanian|sw Swahili|gl Galician|mr Marathi|pa Punjabi
si Sinhala|km Khmer|sn Shona|yo Yoruba|so Somali|af Afrikaans|oc Occitan|ka Georgian|be Belarusian|tg Tajik|sd Sindhi
gu Gujarati|am Amharic|yi Yiddish|lo Lao|uz Uzbek|fo Faroese|ht Haitian Creole|ps Pashto|tk Turkmen|nn Nynorsk
mt Maltese|sa Sanskrit|lb Luxembourgish|my Burmese|bo Tibetan|tl Tagalog|mg Malagasy|as Assamese|tt Tatar|haw Hawaiian
ln Lingala|ha Hausa|ba Bashkir|jw Javanese|su Sundanese|yue Cantonese
"""
NAMES: dict[str, str] = {
    code: name
    for line in _NAMES.split("\n")
    for code, _, name in (each.partition(" ") for each in line.split("|") if each)
}
"""Code → English name, as Whisper has them."""
_OTHER_NAMES = {
    **{
        "mandarin": "zh",
        "中文": "zh",
        "汉语": "zh",
        "漢語": "zh",
        "普通话": "zh",
        "普通話": "zh",
        "国语": "zh",
        "國語": "zh",
    },
    **{
        "英语": "en",
        "英語": "en",
        "英文": "en",
        "粤语": "yue",
        "粵語": "yue",
        "日语": "ja",
        "日本語": "ja",
        "한국어": "ko",
    },
    **{"deutsch": "de", "français": "fr", "francais": "fr", "español": "es", "espanol": "es", "italiano": "it"},
    **{"português": "pt", "русский": "ru", "norwegian": "no", "javanese": "jw", "jv": "jw", "nb": "no", "fil": "tl"},
}


def code_of(words: str) -> str:
    """The code of a language.

    Args:
        words: a code (`zh`, also `zh-CN`), or a name in English or, for some, in the language itself.

    Raises:
        UsageError: no such language.
    """
    wanted = words.strip().casefold()
    code = wanted.replace("_", "-").partition("-")[0]
    if code in NAMES:
        return code
    by_name = {name.casefold(): code for code, name in NAMES.items()} | _OTHER_NAMES
    if wanted in by_name:
        return by_name[wanted]
    if code in by_name:
        return by_name[code]
    raise UsageError(
        f"'{words.strip()}' is no language that speech models know.",
        hint="Give a code or a name such as en, zh, German or 日本語, or auto.",
    )


def name_of(code: str) -> str:
    """A language's English name; the code itself where it has none here."""
    return NAMES.get(code, code)
