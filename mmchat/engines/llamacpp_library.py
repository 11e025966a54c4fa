"""llama.cpp's binding, imported only once what it needs of the system is there."""

from __future__ import annotations

from mmchat.openmp import bring_runtime

bring_runtime()

import xllamacpp  # noqa: E402

__all__ = ["xllamacpp"]
