"""Decoding what users have, refusing what cannot be heard, writing what they recorded."""

from __future__ import annotations

import os
import stat
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmchat.engines.audio_io import (
    SAMPLE_RATE_HZ,
    decode_audio,
    is_digital_silence,
    is_silent,
    peak_dbfs,
    resample,
    write_wav,
)
from mmchat.errors import AudioError

FORMATS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "m4a": ("ipod", "aac"),
    "ogg": ("ogg", "vorbis"),
    "opus": ("ogg", "libopus"),
    "webm": ("webm", "libopus"),
    "aiff": ("aiff", "pcm_s16be"),
}


def tone(duration_s: float, rate_hz: int = SAMPLE_RATE_HZ, frequency_hz: float = 440.0) -> NDArray[np.float32]:
    times_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def encode(path: Path, pcm: NDArray[np.float32], box_format: str, codec: str, rate_hz: int, layout: str) -> None:
    """Write sound with ffmpeg's encoders. pcm: (S,), the same on every channel."""
    with av.open(str(path), "w", format=box_format) as box:
        stream = box.add_stream(codec, rate=rate_hz, layout=layout, options={"strict": "experimental"})
        assert isinstance(stream, av.AudioStream)
        samples = np.round(pcm * 32767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = rate_hz
        convert = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate_hz)
        fifo = av.AudioFifo()
        for converted in [*convert.resample(frame), *convert.resample(None)]:
            fifo.write(converted)
        while (part := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
            box.mux(stream.encode(part))
        box.mux(stream.encode(None))


def write_video(path: Path) -> None:
    """A second of moving pictures without sound."""
    with av.open(str(path), "w", format="mp4") as box:
        stream = box.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 10)
        for shade in range(10):
            pixels = np.full((32, 32, 3), shade * 20, dtype=np.uint8)
            box.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        box.mux(stream.encode(None))


def loudest_hz(pcm: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(pcm.size)))
    return float(np.argmax(spectrum) * SAMPLE_RATE_HZ / pcm.size)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_comes_out_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{name}"
    encode(path, tone(2.0, 48_000), *FORMATS[name], 48_000, "stereo")

    pcm = decode_audio(path)

    assert pcm.dtype == np.float32
    assert pcm.ndim == 1
    assert pcm.size == pytest.approx(2.0 * SAMPLE_RATE_HZ, rel=0.05)
    assert loudest_hz(pcm) == pytest.approx(440, abs=2)
    assert float(np.sqrt(np.mean(pcm**2))) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)


def test_content_counts_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "voice.txt"
    encode(path, tone(1.0), "flac", "flac", SAMPLE_RATE_HZ, "mono")
    assert decode_audio(path).size == SAMPLE_RATE_HZ


def test_the_sound_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w", format="matroska") as box:
        video = box.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        audio = box.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        pixels = np.zeros((32, 32, 3), dtype=np.uint8)
        for index in range(10):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 10)
            box.mux(video.encode(picture))
        samples = np.round(tone(1.0) * 32767).astype(np.int16)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
        box.mux([*video.encode(None), *audio.encode(frame), *audio.encode(None)])
    assert loudest_hz(decode_audio(path)) == pytest.approx(440, abs=2)


def test_what_cannot_be_heard_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "notes.mp3").write_text("Buy milk. " * 100)
    (tmp_path / "zeros.m4a").write_bytes(bytes(5000))
    write_video(tmp_path / "silent-film.mp4")
    with wave.open(str(tmp_path / "header-only.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
    os.mkfifo(tmp_path / "pipe.wav")
    expected = {
        "missing.wav": "There is no file",
        "empty.wav": "is empty",
        "notes.mp3": "is not a sound file",
        "zeros.m4a": "is not a sound file",
        "silent-film.mp4": "no sound track",
        "header-only.wav": "no sound in it",
        "pipe.wav": "a device or a pipe",
        ".": "is a folder",
        "empty.wav/inside.wav": "There is no file",
        "a\0b.wav": "cannot be read",
    }
    for name, words in expected.items():
        with pytest.raises(AudioError, match=words) as caught:
            decode_audio(tmp_path / name)
        assert caught.value.hint, name


@pytest.mark.parametrize("name", ["wav", "flac", "m4a", "aiff", "webm"])
def test_a_file_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{name}"
    encode(path, tone(20.0), *FORMATS[name], 48_000 if name == "webm" else SAMPLE_RATE_HZ, "mono")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="cut short|damaged|not a sound file"):
        decode_audio(path)


def test_a_stream_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "live.wav"
    write_wav(path, tone(3.0))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # what programs that write to a pipe put there
    path.write_bytes(data)
    assert decode_audio(path).size == 3 * SAMPLE_RATE_HZ


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    sound = tmp_path / "secret.ts"
    encode(sound, tone(1.0, 48_000), "mpegts", "aac", 48_000, "mono")
    playlist = tmp_path / "song.wav"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{sound.as_uri()}\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(AudioError, match="not a sound file"):
        decode_audio(playlist)
    concat = tmp_path / "list.mp3"
    concat.write_text(f"ffconcat version 1.0\nfile {sound.name}\n")
    with pytest.raises(AudioError, match="not a sound file"):
        decode_audio(concat)


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(Path("http:"), tone(0.5))
    assert decode_audio(Path("http:")).size == SAMPLE_RATE_HZ // 2


def test_too_long_is_refused_before_memory_fills(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    write_wav(path, tone(3.0))
    with pytest.raises(AudioError, match="longer than"):
        decode_audio(path, max_duration_s=2.0)


def test_undefined_samples_become_silence(tmp_path: Path) -> None:
    samples = tone(1.0)
    samples[100], samples[200] = np.nan, np.inf
    path = tmp_path / "broken-floats.wav"
    with av.open(str(path), "w", format="wav") as box:
        stream = box.add_stream("pcm_f32le", rate=SAMPLE_RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.rate = SAMPLE_RATE_HZ
        box.mux([*stream.encode(frame), *stream.encode(None)])
    pcm = decode_audio(path)
    assert np.all(np.isfinite(pcm))
    assert float(np.max(np.abs(pcm))) <= 1.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(values=st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=500))
def test_what_is_written_is_read_back(values: list[float], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "take.wav"
    pcm = np.array(values, dtype=np.float32)
    write_wav(path, pcm)
    read = decode_audio(path)
    assert read.size == pcm.size
    assert np.allclose(read, np.clip(pcm, -1, 1), atol=1.01 / 32768)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["take.wav"]


def test_a_recording_that_cannot_be_saved(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AudioError, match="could not be saved"):
        write_wav(tmp_path / "file" / "take.wav", tone(0.1))


def test_silence_is_told_from_quiet_speech() -> None:
    rng = np.random.default_rng(7)
    zeros = np.zeros(SAMPLE_RATE_HZ * 70, dtype=np.float32)
    own_noise = (rng.standard_normal(SAMPLE_RATE_HZ * 3) * 5e-4).astype(np.float32)
    one_word = zeros.copy()
    one_word[-SAMPLE_RATE_HZ // 5 :] = 0.02 * tone(0.2)
    assert is_digital_silence(zeros)
    assert is_silent(zeros)
    assert is_silent(own_noise)
    assert not is_digital_silence(own_noise)
    assert not is_silent(one_word)
    assert is_silent(np.zeros(10, dtype=np.float32))


def test_levels() -> None:
    assert peak_dbfs(np.zeros(10, dtype=np.float32)) == -96
    assert peak_dbfs(np.zeros(0, dtype=np.float32)) == -96
    assert peak_dbfs(np.array([0.1, -1.0], dtype=np.float32)) == 0
    assert peak_dbfs(np.array([0.5], dtype=np.float32)) == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_resampling_keeps_pitch_and_length(rate_hz: int) -> None:
    out = resample(tone(1.0, rate_hz), rate_hz)
    assert out.size == pytest.approx(SAMPLE_RATE_HZ, abs=32)
    assert loudest_hz(out) == pytest.approx(440, abs=2)
