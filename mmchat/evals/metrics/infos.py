"""Every metric in one light table: what `mmchat eval --list` says, without importing what computes it."""

from __future__ import annotations

from collections.abc import Iterable

from mmchat.evals.base import MetricInfo, TaskName

_SACREBLEU = "sacrebleu (Post 2018)"
_ROUGE = "rouge-score (Lin 2004)"
_DISTINCT = "Li et al. 2016"
_SQUAD = "SQuAD (Rajpurkar et al. 2016)"
_JIWER = "jiwer"
_CLIP = "retrieval as for CLIP (Radford et al. 2021)"
_SKLEARN = "scikit-learn"
_DIALOGUE: tuple[TaskName, ...] = ("dialogue",)

_DIALOGUE_INFOS = (
    MetricInfo(
        "bleu",
        "BLEU",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "words shared with the reference in runs of 1 to 4, counted over all replies; replies under four words "
        "add nothing for long runs, so look at sentence-bleu and chrf++ too",
        _SACREBLEU,
        decimals=2,
    ),
    MetricInfo(
        "sentence-bleu",
        "sentence BLEU",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "mean of each reply's own BLEU, with runs no longer than the reply (effective order)",
        _SACREBLEU,
        decimals=2,
    ),
    MetricInfo(
        "chrf++",
        "chrF++",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "runs of 1 to 6 characters and 1 to 2 words shared with the reference; fair to short replies",
        f"{_SACREBLEU}, Popović 2017",
        decimals=2,
    ),
    MetricInfo(
        "ter",
        "TER",
        _DIALOGUE,
        "lower",
        "0 upwards",
        "edits that turn a reply into its reference, per 100 reference words",
        f"{_SACREBLEU}, Snover et al. 2006",
        decimals=2,
    ),
    MetricInfo(
        "rouge-1",
        "ROUGE-1",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "F1 of words shared with the reference, mean over replies; characters for Chinese",
        _ROUGE,
        decimals=2,
    ),
    MetricInfo(
        "rouge-2",
        "ROUGE-2",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "F1 of pairs of words shared with the reference, mean over replies; characters for Chinese",
        _ROUGE,
        decimals=2,
    ),
    MetricInfo(
        "rouge-l",
        "ROUGE-L",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "F1 of the longest sequence of words shared with the reference, gaps allowed, mean over replies",
        _ROUGE,
        decimals=2,
    ),
    MetricInfo(
        "dist-1",
        "Dist-1",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "different words per 100 words of all replies: how varied they are; falls as there are more replies",
        _DISTINCT,
        decimals=2,
    ),
    MetricInfo(
        "dist-2",
        "Dist-2",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "different pairs of words per 100 pairs of all replies; falls as there are more replies",
        _DISTINCT,
        decimals=2,
    ),
    MetricInfo(
        "embedding",
        "embedding",
        _DIALOGUE,
        "higher",
        "-1 to 1",
        "nearness in meaning of reply and reference, by a sentence encoder that knows the language",
        "cosine (Reimers and Gurevych 2019)",
        decimals=3,
    ),
    MetricInfo(
        "exact-match",
        "exact match",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "percent of replies that are the reference, apart from case, punctuation and articles",
        _SQUAD,
    ),
    MetricInfo(
        "token-f1",
        "token F1",
        _DIALOGUE,
        "higher",
        "0 to 100",
        "F1 of words shared with the reference, apart from case, punctuation and articles; characters for Chinese",
        _SQUAD,
        decimals=2,
    ),
    MetricInfo(
        "reply-length",
        "reply length",
        _DIALOGUE,
        "neither",
        "0 upwards",
        "mean number of words in a reply; characters for Chinese",
        "mmchat",
    ),
)

_LIKELIHOOD_INFOS = (
    MetricInfo(
        "perplexity",
        "perplexity",
        ("likelihood",),
        "lower",
        "1 upwards",
        "how surprised the model is by a token of the reference; compares only models with one tokeniser",
        "exp of the mean negative log-likelihood (Jelinek et al. 1977)",
        decimals=2,
    ),
    MetricInfo(
        "byte-perplexity",
        "byte perplexity",
        ("likelihood",),
        "lower",
        "1 upwards",
        "how surprised the model is by a byte of the reference; compares models with different tokenisers",
        "exp of the negative log-likelihood per UTF-8 byte",
        decimals=3,
    ),
)

_SPEECH_INFOS = (
    MetricInfo(
        "wer",
        "WER",
        ("speech",),
        "lower",
        "0 upwards",
        "wrong, missing and added words per 100 spoken ones, after the normaliser that the score names",
        _JIWER,
        decimals=2,
    ),
    MetricInfo(
        "cer",
        "CER",
        ("speech",),
        "lower",
        "0 upwards",
        "wrong, missing and added characters per 100 spoken ones, after the normaliser that the score names",
        _JIWER,
        decimals=2,
    ),
)


def _retrieval_infos() -> Iterable[MetricInfo]:
    for direction, asked, wanted in (
        ("image-to-text", "pictures", "sentence"),
        ("text-to-image", "sentences", "picture"),
    ):
        for k in (1, 5, 10):
            yield MetricInfo(
                f"{direction}-r@{k}",
                f"{direction} R@{k}",
                ("retrieval",),
                "higher",
                "0 to 100",
                f"percent of {asked} whose right {wanted} is " + ("the first" if k == 1 else f"among the first {k}"),
                _CLIP,
            )
        yield MetricInfo(
            f"{direction}-median-rank",
            f"{direction} median rank",
            ("retrieval",),
            "lower",
            "1 upwards",
            f"where the right {wanted} stands for half of the {asked}, or nearer the top",
            _CLIP,
        )


_LABEL_INFOS = (
    MetricInfo(
        "accuracy",
        "accuracy",
        ("label",),
        "higher",
        "0 to 100",
        "percent of rows whose class was found",
        _SKLEARN,
    ),
    MetricInfo(
        "macro-f1",
        "macro F1",
        ("label",),
        "higher",
        "0 to 100",
        "F1 of each class, averaged, so that rare classes count as much as common ones",
        _SKLEARN,
    ),
    MetricInfo(
        "ece",
        "ECE",
        ("label",),
        "lower",
        "0 to 100",
        "how far stated confidence is from how often the model is right (expected calibration error)",
        "Guo et al. 2017",
    ),
)


def _memory_infos() -> Iterable[MetricInfo]:
    for k in (1, 5, 10):
        yield MetricInfo(
            f"recall@{k}",
            f"recall@{k}",
            ("memory",),
            "higher",
            "0 to 100",
            f"share of the turns with the answer that are among the first {k} found"
            if k > 1
            else "share of the turns with the answer that the first one found is",
            "Manning et al. 2008",
        )
    for kind, words in (("any", "at least one turn"), ("all", "every turn")):
        yield MetricInfo(
            f"recall@10-{kind}",
            f"recall@10 {kind}",
            ("memory",),
            "higher",
            "0 to 100",
            f"percent of questions for which {words} with the answer is among the first 10 found",
            "Manning et al. 2008",
        )
    yield MetricInfo(
        "mrr",
        "MRR",
        ("memory",),
        "higher",
        "0 to 1",
        "mean of one by the rank of the first turn with the answer",
        "Voorhees 1999",
        decimals=3,
    )
    yield MetricInfo(
        "tokens-injected",
        "tokens injected",
        ("memory",),
        "lower",
        "0 upwards",
        "mean number of tokens that recall adds to a prompt",
        "mmchat",
    )
    yield MetricInfo(
        "milliseconds",
        "milliseconds",
        ("memory",),
        "lower",
        "0 upwards",
        "mean time to search for a question",
        "mmchat",
    )


INFOS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        *_DIALOGUE_INFOS,
        *_LIKELIHOOD_INFOS,
        *_SPEECH_INFOS,
        *_retrieval_infos(),
        *_LABEL_INFOS,
        *_memory_infos(),
    )
}
"""By name, in the order of `mmchat eval --list`."""
