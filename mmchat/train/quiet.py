"""Libraries that train talk a lot: progress bars, advice to developers, prints. None of it is for the user."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import transformers

_LIBRARIES = ("transformers", "trl", "peft", "accelerate", "datasets", "tensorboard", "torch")
_MODULES = rf"({'|'.join(_LIBRARIES)})(\.|$)"


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries of training, and them alone; their errors still come as exceptions."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    levels = {name: logging.getLogger(name).level for name in _LIBRARIES}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=_MODULES)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
