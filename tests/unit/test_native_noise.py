"""C-level prints go to the log; Python's own output still reaches the user."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmchat.native_noise import MAX_LOG_BYTES


def run(script: str, log_path: Path) -> subprocess.CompletedProcess[str]:
    prelude = "import os, sys\nfrom pathlib import Path\nfrom mmchat.native_noise import *\nlog = Path(sys.argv[1])\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + script, str(log_path)], capture_output=True, text=True, timeout=60, check=True
    )


def test_descriptor_two_goes_to_the_log_and_python_to_the_user(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "native.log"
    done = run(
        "import gc\n"
        "redirect_native_stderr(log)\n"
        "gc.collect()\n"
        "os.write(2, b'ALSA lib noise\\n')\n"
        "print('for you', file=sys.stderr)\n"
        "print('and here', file=sys.__stderr__)\n"
        "print('data')\n",
        log,
    )
    assert done.stderr == "for you\nand here\n"
    assert done.stdout == "data\n"
    assert log.read_text() == "ALSA lib noise\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_within_a_block_both_descriptors_are_quiet_and_come_back(tmp_path: Path) -> None:
    log = tmp_path / "native.log"
    done = run(
        "print('before', flush=True)\n"
        "with native_noise_to(log, is_stdout_too=True):\n"
        "    with native_noise_to(log):\n"
        "        os.write(1, b'native one\\n'); os.write(2, b'native two\\n')\n"
        "        print('json'); print('words', file=sys.stderr)\n"
        "os.write(1, b'after\\n'); os.write(2, b'after\\n')\n"
        "assert sys.stdout is sys.__stdout__ and sys.stdout.fileno() == 1\n"
        "print('end')\n",
        log,
    )
    assert done.stdout == "before\njson\nafter\nend\n"
    assert done.stderr == "words\nafter\n"
    assert log.read_text() == "native one\nnative two\n"


def test_a_log_that_cannot_be_written_drops_the_noise(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("redirect_native_stderr(log)\nos.write(2, b'noise')\nprint('x')\n", tmp_path / "file" / "native.log")
    assert (done.stdout, done.stderr) == ("x\n", "")


@pytest.mark.parametrize(("size", "expected"), [(10, 11), (MAX_LOG_BYTES + 1, 1)])
def test_the_log_does_not_grow_for_ever(size: int, expected: int, tmp_path: Path) -> None:
    log = tmp_path / "native.log"
    log.write_bytes(b"x" * size)
    run("redirect_native_stderr(log)\nos.write(2, b'!')\n", log)
    assert log.stat().st_size == expected
