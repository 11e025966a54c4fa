"""Drawing the next token from logits, alike on every device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmchat.domain import GenerateOptions

REPETITION_WINDOW_TOKENS = 256


class Sampler:
    """Draws tokens for one reply. On the CPU with its own generator, so a seed means the same everywhere."""

    def __init__(self, options: GenerateOptions, prompt_ids: Sequence[int]) -> None:
        self._options = options
        self._recent = list(prompt_ids)[-REPETITION_WINDOW_TOKENS:]
        self._generator = torch.Generator()
        if options.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(options.seed)

    def draw(self, logits: torch.Tensor) -> int:
        """The next token.

        Args:
            logits: (V,) of any float type on any device.
        """
        scores = logits.detach().to("cpu", torch.float32, copy=True)
        self._penalise(scores)
        token = int(scores.argmax()) if self._options.temperature <= 0 else self._sample(scores)
        self._recent = [*self._recent[-REPETITION_WINDOW_TOKENS + 1 :], token]
        return token

    def _penalise(self, scores: torch.Tensor) -> None:
        """Keskar et al. 2019, section 4.1: recent tokens lose, whatever the sign of their score.

        Ids behind the vocabulary are places of pictures, which no token repeats.
        """
        penalty = self._options.repetition_penalty
        if penalty == 1.0 or not self._recent:
            return
        recent = torch.tensor(sorted({each for each in self._recent if each < len(scores)}), dtype=torch.long)
        values = scores[recent]
        scores[recent] = torch.where(values > 0, values / penalty, values * penalty)

    def _sample(self, scores: torch.Tensor) -> int:
        top_k = self._options.top_k if self._options.top_k > 0 else scores.numel()
        values, tokens = scores.topk(min(top_k, scores.numel()))  # best first
        probabilities = (values / self._options.temperature).softmax(dim=0)
        if self._options.top_p < 1.0:
            before = probabilities.cumsum(dim=0) - probabilities
            probabilities = torch.where(before < self._options.top_p, probabilities, torch.zeros(()))
        index = torch.multinomial(probabilities, 1, generator=self._generator)
        return int(tokens[index])
