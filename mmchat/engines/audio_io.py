"""Sound files in, 16 kHz mono out; recordings written privately; the first two gates against silence.

Decoding goes through PyAV, so no ffmpeg program is needed. Memory is bounded: ten seconds at a time, or, where the
whole sound is asked for, one array of its size, grown in place.
"""

from __future__ import annotations

import os
import stat
import tempfile
import wave
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from mmchat.errors import AudioError

SAMPLE_RATE_HZ = 16_000
MAX_DURATION_S = 4 * 3600.0
"""Four hours are 0.9 GB of float32."""
MAX_STREAM_S = 24 * 3600.0
"""For sounds that are never held as a whole."""
MAX_SIZE_BYTES = 4 << 30
MIN_RATE_HZ = 1_000
"""A header that says less is wrong: a few kilobytes would become hours of sound."""
SILENT_DBFS = -96.0
"""What level meters show for digital silence (16 bits)."""
QUIET_RMS = 0.001
"""A sound whose loudest tenth of a second lies below this (-60 dBFS) is a microphone's own noise."""

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("wav", "mp3", "flac", "m4a", "m4b", "aac", "ogg", "oga", "opus", "webm"),
        *("aiff", "aif", "wma", "amr", "caf", "mp4", "mkv", "mov"),
    )
)
"""File names that are taken for sound when nothing else is known. Decoding looks at the bytes, not at the name."""

# Only self-contained containers: playlists (HLS, DASH, concat) name other files and addresses, which a chat that
# promises to stay offline must not follow.
_DEMUXERS = (
    "wav,w64,mp3,flac,mov,mp4,m4a,3gp,3g2,mj2,ogg,matroska,webm,aiff,aac,ac3,eac3,amr,amrnb,amrwb,caf,au,asf,avi,"
    "mpeg,mpegts,flv,ape,wv,tta,dts,voc"
)
# Formats whose header says how long the sound is; others only guess, or say it at the end.
_FORMATS_WITH_DURATION = ("wav", "flac", "mov", "aiff", "matroska", "w64", "caf")
_UNKNOWN_WAV_BYTES = 0x7FFF_0000
_GROWTH_SAMPLES = 60 * SAMPLE_RATE_HZ
_PIECE_SAMPLES = 10 * SAMPLE_RATE_HZ


def decode_audio(path: Path, *, max_duration_s: float = MAX_DURATION_S) -> NDArray[np.float32]:
    """Read a sound file, or the sound of a video.

    Args:
        path: wav, mp3, flac, m4a, ogg, opus, webm, aiff, or a video; told apart by content.
        max_duration_s: longer files are refused before they fill the memory.

    Returns:
        (S,) float32 in [-1, 1], 16 000 Hz, channels averaged; never empty.

    Raises:
        AudioError: missing, unreadable, empty, not a sound, cut short, too long, or without a sound track.
    """
    pcm = np.zeros(0, dtype=np.float32)

    def make_room(seconds: float) -> None:
        pcm.resize(int((seconds + 1) * SAMPLE_RATE_HZ), refcheck=False)

    filled = 0
    for block in stream_audio(path, max_duration_s=max_duration_s, on_length=make_room):
        end = filled + block.size
        if end > pcm.size:
            pcm.resize(max(end, pcm.size + _GROWTH_SAMPLES), refcheck=False)  # in place: no second copy
        pcm[filled:end] = block
        filled = end
    pcm.resize(filled, refcheck=False)
    return pcm


def stream_audio(
    path: Path, *, max_duration_s: float = MAX_STREAM_S, on_length: Callable[[float], object] = lambda seconds: None
) -> Generator[NDArray[np.float32], None, None]:
    """Read a sound file, or the sound of a video, piece by piece, so that no length of it fills the memory.

    Args:
        path: as for `decode_audio`.
        max_duration_s: longer files are refused, when they say so or when it turns out.
        on_length: told, before the first piece, how many seconds the file says it has; 0 where it does not say.

    Yields:
        (S,) float32 in [-1, 1], 16 000 Hz, channels averaged; about ten seconds each, never empty, at least one.

    Raises:
        AudioError: as `decode_audio`; that a file is damaged or was cut short may come after pieces of it.
    """
    with _opened(path, max_duration_s) as (box, stream, expected_s):
        _refuse_missing_bytes(path)
        on_length(expected_s)
        got = 0
        for piece in _pieces(_mono_blocks(path, box, stream)):
            got += piece.size
            if got > max_duration_s * SAMPLE_RATE_HZ:
                raise _too_long(path, max_duration_s)
            yield piece
        is_exact = box.format.name.startswith(_FORMATS_WITH_DURATION)
    got_s = got / SAMPLE_RATE_HZ
    if not got:
        raise AudioError(f"'{path.name}' has a sound track, but no sound in it.", hint="Record or export it again.")
    if is_exact and got_s < expected_s - max(0.5, 0.02 * expected_s):
        raise _cut_short(path, f"of {expected_s:.1f} s only {got_s:.1f} s are there")


def check_audio(path: Path, *, max_duration_s: float = MAX_DURATION_S) -> None:
    """Make sure that a file begins as a sound, quickly: only its first second or so is decoded.

    Raises:
        AudioError: missing, unreadable, empty, not a sound, too long, or without a sound track.
    """
    with _opened(path, max_duration_s) as (box, stream, _):
        if next((block for block in _mono_blocks(path, box, stream) if block.size), None) is None:
            raise AudioError(f"'{path.name}' has a sound track, but no sound in it.", hint="Record or export it again.")


@contextmanager
def _opened(path: Path, max_duration_s: float) -> Iterator[tuple[av.container.InputContainer, AudioStream, float]]:
    """The container, its first sound track and how long it says to be; what goes wrong within, as AudioError."""
    _check_file(path)
    try:
        with path.open("rb") as file, av.open(file, mode="r", metadata_errors="ignore", options=_open_options()) as box:
            stream = next(iter(box.streams.audio), None)
            if stream is None:
                raise AudioError(f"'{path.name}' holds no sound track.", hint="Give a file with sound in it.")
            rate_hz = int(getattr(stream.codec_context, "sample_rate", 0))  # without a decoder there is no context
            if 0 < rate_hz < MIN_RATE_HZ:
                raise AudioError(
                    f"'{path.name}' is said to have {rate_hz} samples a second, which is no sound.",
                    hint="Its header is damaged; copy or export it again.",
                )
            expected_s = _expected_duration_s(box.duration, stream)
            if expected_s > max_duration_s:
                raise _too_long(path, max_duration_s)
            yield box, stream, expected_s
    except av.FFmpegError as error:
        raise AudioError(
            f"'{path.name}' is not a sound file that can be read ({_reason(error)}).",
            hint="It may be damaged or of another type; wav, mp3, flac, m4a, ogg, opus, webm and aiff work.",
        ) from error
    except OSError as error:
        raise AudioError(
            f"'{path}' cannot be read: {error.strerror or error}.", hint="Check the file's permissions."
        ) from error


def peak_dbfs(pcm: NDArray[np.float32]) -> float:
    """Peak of (S,) float32 in [-1, 1], in dBFS; -96 for digital silence or no samples."""
    peak = float(np.max(np.abs(pcm))) if pcm.size else 0.0
    return max(20 * float(np.log10(peak)), SILENT_DBFS) if peak > 0 else SILENT_DBFS


def is_digital_silence(pcm: NDArray[np.float32]) -> bool:
    """Every sample is exactly zero: a muted device, or a permission that was not given."""
    return not np.any(pcm)


def is_silent(pcm: NDArray[np.float32]) -> bool:
    """Nothing rises above a microphone's own noise, so no recogniser need be asked.

    The loudest tenth of a second decides, so that one word in a long silence still counts.
    """
    frame = SAMPLE_RATE_HZ // 10
    for start in range(0, pcm.size, _GROWTH_SAMPLES):
        block = pcm[start : start + _GROWTH_SAMPLES]
        whole = block[: block.size // frame * frame].reshape(-1, frame)
        rest = block[whole.size :]
        energies = [float(np.max(np.mean(np.square(whole), axis=1)))] if whole.size else []
        if rest.size:
            energies.append(float(np.sum(np.square(rest))) / frame)
        if max(energies) >= QUIET_RMS**2:
            return False
    return True


def write_wav(path: Path, pcm: NDArray[np.float32], *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write (S,) float32 in [-1, 1] as 16-bit mono, readable by its owner alone, in one step.

    Raises:
        AudioError: the folder or the disk does not take it.
    """
    samples = np.clip(np.round(pcm * 32768.0), -32768, 32767).astype("<i2")  # the inverse of how it is read
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".rec-", suffix=".wav")  # mkstemp: mode 0600
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file, wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(sample_rate_hz)
            out.writeframes(samples.tobytes())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise AudioError(
            f"The recording could not be saved to '{path}': {error.strerror or error}.",
            hint="Check the free space and the folder's permissions.",
        ) from error


def resample(pcm: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """(S,) float32 at `rate_hz` to (S',) float32 at 16 000 Hz."""
    if rate_hz == SAMPLE_RATE_HZ or pcm.size == 0:
        return pcm
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm[np.newaxis]), format="flt", layout="mono")
    frame.rate = rate_hz
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    parts = [block for each in (frame, None) for block in _samples(resampler, each)]
    return np.concatenate(parts).clip(-1.0, 1.0)


def _samples(resampler: AudioResampler, frame: AudioFrame | None) -> list[NDArray[np.float32]]:
    """(S,) float32 blocks for one decoded frame; None flushes."""
    return [out.to_ndarray().reshape(-1).astype(np.float32, copy=False) for out in resampler.resample(frame)]


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AudioError(f"There is no file '{path}'.", hint="Check the path.") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"'{path}' cannot be read: {error}.", hint="Check the path and its permissions.") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"'{path}' is a folder, not a sound file.", hint="Name the files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"'{path}' is a device or a pipe, not a sound file.", hint="Save the sound to a file first.")
    if status.st_size == 0:
        raise AudioError(f"'{path.name}' is empty (0 bytes).", hint="Record, copy or download it again.")
    if status.st_size > MAX_SIZE_BYTES:
        raise AudioError(
            f"'{path.name}' is {status.st_size / (1 << 30):.1f} GB, more than the {MAX_SIZE_BYTES >> 30} GB allowed.",
            hint="Extract its sound track, or split it.",
        )


def _open_options() -> dict[str, str]:
    return {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}


def _expected_duration_s(container_duration: int | None, stream: AudioStream) -> float:
    """What the file says of its length; 0 where it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, container_duration / av.time_base) if container_duration is not None else 0.0


def _missing_wav_bytes(path: Path) -> int:
    """How many bytes a WAV file lacks of what its header says; ffmpeg takes a cut file for a short one."""
    with path.open("rb") as file:
        riff = file.read(12)
        if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
            return 0
        while len(header := file.read(8)) == 8:
            size = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                there = path.stat().st_size - file.tell()
                # Programs that write to a pipe do not know the length, and put a very large one or none;
                # sloppy ones are off by a few bytes.
                is_cut = size < _UNKNOWN_WAV_BYTES and size - there > size // 100
                return size - there if is_cut else 0
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0


def _mono_blocks(path: Path, box: av.container.InputContainer, stream: AudioStream) -> Iterator[NDArray[np.float32]]:
    """Decoded sound, resampled; a stream that changes its format midway gets a new resampler."""
    resampler: AudioResampler | None = None
    shape: tuple[str, str, int] | None = None
    try:
        for frame in box.decode(stream):
            frame.pts = None  # wrong timestamps are common in recordings, and the resampler would trip over them
            frame_shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if frame_shape != shape:
                if resampler is not None:
                    yield from _samples(resampler, None)
                resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
                shape = frame_shape
            assert resampler is not None
            yield from _samples(resampler, frame)
    except av.FFmpegError as error:
        if resampler is None:
            raise
        raise AudioError(
            f"'{path.name}' is damaged: its sound breaks off midway ({_reason(error)}).",
            hint="Copy or download it again.",
        ) from error
    if resampler is not None:
        yield from _samples(resampler, None)


def _pieces(blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The blocks joined to pieces of a handy size, and their values within bounds."""
    held: list[NDArray[np.float32]] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += block.size
        if size >= _PIECE_SAMPLES:
            yield _bounded(np.concatenate(held))
            held, size = [], 0
    if size:
        yield _bounded(np.concatenate(held))


def _bounded(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    np.nan_to_num(pcm, copy=False, posinf=1.0, neginf=-1.0)
    return np.clip(pcm, -1.0, 1.0, out=pcm)


def _refuse_missing_bytes(path: Path) -> None:
    if missing := _missing_wav_bytes(path):
        raise _cut_short(path, f"{missing:,} bytes are missing")


def _cut_short(path: Path, how: str) -> AudioError:
    return AudioError(
        f"'{path.name}' is cut short: {how}.",
        hint="Copy or download it again; to use what is there, save it anew with a sound editor.",
    )


def _too_long(path: Path, max_duration_s: float) -> AudioError:
    return AudioError(
        f"'{path.name}' is longer than the {max_duration_s / 3600:.3g} hours that are read in one go.",
        hint="Split it into shorter files.",
    )


def _reason(error: av.FFmpegError) -> str:
    return (error.strerror or type(error).__name__).strip().rstrip(".").lower()
