"""The quick dropout: how much it drops, what it does to the others, what follows from a seed."""

from __future__ import annotations

from collections.abc import Callable

import peft
import pytest
import torch

from mmchat.train.dropout import QuickDropout, quickened

FORMATS = (torch.float32, torch.bfloat16)
COUNT = 400_001  # not a multiple of the four that are drawn at once


def _drop(share: float, given: torch.Tensor, *, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    dropped = QuickDropout(share)(given)
    assert isinstance(dropped, torch.Tensor)
    return dropped


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_it_drops_the_share_and_enlarges_the_rest(dtype: torch.dtype, share: float) -> None:
    dropped = _drop(share, torch.ones(COUNT, dtype=dtype))

    assert dropped.dtype == dtype
    deviation = (share * (1 - share) / COUNT) ** 0.5
    assert float((dropped == 0).float().mean()) == pytest.approx(share, abs=5 * deviation)
    assert dropped.max() == torch.tensor(1 / (1 - share)).to(dtype)
    assert len(set(dropped.tolist())) == 2


def test_neighbours_are_dropped_independently() -> None:
    is_dropped = (_drop(0.5, torch.ones(COUNT)) == 0).float() - 0.5

    for distance in (1, 2, 3, 4):  # within and across the words that are drawn
        together = float((is_dropped[:-distance] * is_dropped[distance:]).mean()) * 4
        assert abs(together) < 5 / COUNT**0.5


def test_gradients_pass_where_numbers_did() -> None:
    given = torch.randn(40, 8, requires_grad=True)

    dropped = _drop(0.3, given)
    torch.autograd.backward(dropped.sum())

    assert given.grad is not None
    assert torch.equal(given.grad == 0, dropped == 0)
    assert torch.allclose(given.grad[dropped != 0], torch.tensor(1 / 0.7))


def test_a_seed_says_what_is_dropped() -> None:
    given = torch.ones(999)

    assert torch.equal(_drop(0.3, given, seed=4), _drop(0.3, given, seed=4))
    assert not torch.equal(_drop(0.3, given, seed=4), _drop(0.3, given, seed=5))


@pytest.mark.parametrize("prepare", [lambda each: each.eval(), lambda each: each])
def test_nothing_is_dropped_where_nothing_shall_be(prepare: Callable[[QuickDropout], QuickDropout]) -> None:
    given = torch.randn(100)
    dropout = prepare(QuickDropout(0.3))
    share = 0.3 if not dropout.training else 0.0

    assert torch.equal(given, prepare(QuickDropout(share))(given))


@pytest.mark.parametrize("use_dora", [False, True])
def test_an_adapter_learns_the_same_from_narrow_inputs(use_dora: bool) -> None:
    """Against PEFT as it is, in the arithmetic that bfloat16 bases are trained in."""

    def gradients(prepare: Callable[[peft.PeftModel], peft.PeftModel]) -> list[torch.Tensor]:
        torch.manual_seed(2)
        base = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.Linear(24, 4)).to(torch.bfloat16)
        config = peft.LoraConfig(
            target_modules=["0", "1"], lora_dropout=0.0, use_dora=use_dora, init_lora_weights=False
        )
        model = prepare(peft.get_peft_model(base, config))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(torch.randn(5, 16).to(torch.bfloat16))
        torch.autograd.backward(output.float().square().sum())
        return [each.grad for each in model.parameters() if each.grad is not None]

    ours, plain = gradients(quickened), gradients(lambda model: model)

    assert len(ours) == len(plain) > 0
    for own, other in zip(ours, plain, strict=True):
        assert torch.allclose(own, other, rtol=1e-2, atol=1e-3 * float(other.abs().max()))
