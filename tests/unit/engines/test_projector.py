"""Places of pictures in a language model's input, and the folder of a projector."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from mmchat.engines.lm_projector import PictureNumbers
from mmchat.engines.projector import PictureEmbedding, Projector, ProjectorSizes, load_projector, save_projector
from mmchat.errors import ImageError

SIZES = ProjectorSizes(features=6, grid=2, width=5, hidden=3, vision="eyes")


def projector() -> Projector:
    torch.manual_seed(0)
    made = Projector(SIZES).eval()
    nn.init.normal_(made.down.weight)
    nn.init.normal_(made.place)
    return made


def test_words_and_places_stand_side_by_side() -> None:
    words, eyes = nn.Embedding(10, 5), projector()
    patches = torch.randn(3, 4, 6)
    embedding = PictureEmbedding(words, eyes, lambda number: patches[number], first=10).eval()
    ids = torch.tensor([[1, 18, 19, 20, 21, 2], [3, 10, 11, 12, 13, 4]])  # pictures 2 and 0
    found = embedding(ids)
    assert torch.allclose(found[0, 1:5], eyes(patches[2:3])[0])
    assert torch.allclose(found[1, 1:5], eyes(patches[:1])[0])
    assert torch.equal(found[:, [0, 5]], words(ids[:, [0, 5]]))
    alone = torch.tensor([[12]])  # a prompt may be read from the middle of a picture on
    assert torch.allclose(embedding(alone)[0, 0], eyes(patches[:1])[0, 2])
    assert torch.equal(embedding(ids[:, :1]), words(ids[:, :1]))


def test_every_parameter_has_a_gradient_even_without_a_picture() -> None:
    eyes = projector().train()
    embedding = PictureEmbedding(nn.Embedding(10, 5), eyes, lambda number: torch.zeros(4, 6), first=10).train()
    embedding(torch.tensor([[1, 2]])).sum().backward()
    assert all(each.grad is not None and not each.grad.any() for each in eyes.parameters())


def test_a_projector_comes_back_from_its_folder(tmp_path: Path) -> None:
    made = projector()
    save_projector(made, tmp_path / "eyes")
    again = load_projector(tmp_path / "eyes", "mine")
    patches = torch.randn(2, 4, 6)
    assert asdict(again.sizes) == asdict(SIZES)
    assert torch.equal(again(patches), made(patches))
    assert not any(each.requires_grad for each in again.parameters())


def test_a_picture_keeps_its_number_until_its_file_changes(tmp_path: Path) -> None:
    numbers = PictureNumbers(first=100, places=4)
    first, other = tmp_path / "a.png", tmp_path / "b.png"
    for path in (first, other):
        Image.new("RGB", (4, 4)).save(path)
    assert [numbers.number(path) for path in (first, other, first)] == [0, 1, 0]
    assert numbers.ids(1) == [104, 105, 106, 107]
    os.utime(first, ns=(1, 1))
    assert numbers.number(first) == 2
    assert numbers.paths == (first, other, first)
    with pytest.raises(ImageError):
        numbers.number(tmp_path / "nowhere.png")
