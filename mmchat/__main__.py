"""`python -m mmchat`."""

from __future__ import annotations

import sys

from mmchat.cli.exits import main

if __name__ == "__main__":
    sys.exit(main())
