"""Damaged, hostile and odd sound files, synthesised here; the same for the same seed."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from benchmarks.odd_pictures import FORMATS, Odd, damaged, scene

RATE_HZ = 16_000
ENCODERS = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "flac": ("flac", "flac", 16_000),
    "mp3": ("mp3", "libmp3lame", 16_000),
    "m4a": ("ipod", "aac", 16_000),
    "mkv": ("matroska", "libmp3lame", 16_000),
    "opus": ("ogg", "libopus", 48_000),
    "webm": ("webm", "libopus", 48_000),
    "aiff": ("aiff", "pcm_s16be", 16_000),
}


def tones(rng: random.Random, seconds: float = 1.5, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """(S,) float32: a rising tone with a tremble, somewhat like a voice."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    pitch = rng.uniform(110, 220) * (1 + 0.3 * time)
    voice = np.sin(2 * np.pi * pitch * time) + 0.5 * np.sin(4 * np.pi * pitch * time)
    return np.asarray(0.2 * voice * (1 + np.sin(2 * np.pi * 4 * time)), np.float32)


def encoded(form: str, codec: str, rate_hz: int, pcm: NDArray[np.float32], *, picture: bytes = b"") -> bytes:
    """A sound file through PyAV; with a video track where a picture is given."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as box:
        stream = box.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(stream, AudioStream)
        frame = AudioFrame.from_ndarray(pcm[np.newaxis], format="flt", layout="mono")
        frame.rate = rate_hz
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate_hz)
        for each in [*resampler.resample(frame), *resampler.resample(None)]:
            box.mux(stream.encode(each))
        box.mux(stream.encode(None))
    return buffer.getvalue()


def wav(
    pcm: bytes, *, tag: int = 1, channels: int = 1, rate_hz: int = RATE_HZ, bits: int = 16, said: int = -1
) -> bytes:
    """A WAV file whose header may say anything. `said`: how many bytes of sound it claims."""
    align = max(1, channels * bits // 8) & 0xFFFF
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align & 0xFFFFFFFF, align, bits)
    size = len(pcm) if said < 0 else said
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + pcm
    return b"RIFF" + struct.pack("<I", min(0xFFFFFFFF, 4 + len(body))) + body


def odd_sounds(seed: int, *, is_quick: bool = False) -> Iterator[Odd]:
    """All of them; or those that are made and read in no time."""
    rng = random.Random(seed)
    yield from _damaged(rng)
    yield from _headers(rng)
    yield from _unusual(rng)
    yield from _strangers(rng)
    if not is_quick:
        yield from _hostile(rng)


def _damaged(rng: random.Random) -> Iterator[Odd]:
    for suffix, (form, codec, rate_hz) in ENCODERS.items():
        whole = encoded(form, codec, rate_hz, tones(rng, rate_hz=rate_hz))
        yield from damaged(rng, suffix, whole, turned_bits=(3, 63), kept_bytes=64, noise_bytes=8000)


def _headers(rng: random.Random) -> Iterator[Odd]:
    pcm = (tones(rng) * 32767).astype("<i2").tobytes()
    kind = "a header that lies"
    yield Odd(kind, "claims-4gb.wav", wav(pcm, said=0xFFFFFF00))
    yield Odd(kind, "claims-nothing.wav", wav(pcm, said=0))
    yield Odd(kind, "claims-more.wav", wav(pcm, said=len(pcm) * 3))
    for rate_hz in (0, 1, 70, 4_000_000_000):
        yield Odd(kind, f"rate-{rate_hz}.wav", wav(pcm, rate_hz=rate_hz))
    for channels in (0, 3, 255, 65_535):
        yield Odd(kind, f"channels-{channels}.wav", wav(pcm, channels=channels))
    for bits in (0, 1, 7, 12, 64, 999):
        yield Odd(kind, f"bits-{bits}.wav", wav(pcm, bits=bits))
    for tag in (0, 2, 17, 80, 0x2001, 0xFFFE):
        yield Odd(kind, f"codec-{tag}.wav", wav(pcm, tag=tag))


def _unusual(rng: random.Random) -> Iterator[Odd]:
    kind = "unusual but sound"
    pcm = tones(rng)
    clipped = np.clip(pcm * 9, -1, 1)
    yield Odd(kind, "8-bit.wav", wav(((pcm + 1) * 127).astype(np.uint8).tobytes(), bits=8))
    yield Odd(kind, "float.wav", wav(pcm.tobytes(), tag=3, bits=32))
    yield Odd(kind, "double.wav", wav(pcm.astype("<f8").tobytes(), tag=3, bits=64))
    yield Odd(kind, "mu-law.wav", encoded("wav", "pcm_mulaw", 8_000, tones(rng, rate_hz=8_000)))
    yield Odd(kind, "adpcm.wav", encoded("wav", "adpcm_ima_wav", 16_000, pcm))
    yield Odd(kind, "192-khz.wav", encoded("wav", "pcm_s24le", 192_000, tones(rng, rate_hz=192_000)))
    yield Odd(kind, "8-channels.wav", wav(np.repeat((pcm * 9000).astype("<i2"), 8).tobytes(), channels=8))
    yield Odd(kind, "clipped.wav", wav((clipped * 32767).astype("<i2").tobytes()))
    yield Odd(kind, "two-in-one.mkv", encoded("matroska", "pcm_s16le", 16_000, pcm))
    yield Odd(kind, "sound.mp4", encoded("mp4", "aac", 16_000, pcm))
    odd = pcm.copy()
    odd[::5], odd[1::7] = np.nan, np.inf
    yield Odd("not a number, infinite, far too loud", "nan.wav", wav(odd.tobytes(), tag=3, bits=32))
    yield Odd("not a number, infinite, far too loud", "loud.wav", wav((pcm * 1e30).tobytes(), tag=3, bits=32))
    for name, samples in (
        ("none", 0), ("one", 1), ("ten", 10), ("10-ms", 160), ("100-ms", 1600),
    ):  # fmt: skip
        yield Odd("hardly any sound", f"samples-{name}.wav", wav((pcm[:samples] * 32767).astype("<i2").tobytes()))
    yield Odd("nothing to hear", "digital-silence.wav", wav(bytes(64_000)))
    yield Odd("nothing to hear", "constant.wav", wav(np.full(32_000, 9000, "<i2").tobytes()))
    quiet = np.random.default_rng(rng.randrange(99)).normal(0, 3, 32_000)
    yield Odd("nothing to hear", "hiss.wav", wav(quiet.astype("<i2").tobytes()))
    noise = np.random.default_rng(rng.randrange(99)).normal(0, 4000, 32_000)
    yield Odd("nothing to hear", "noise.wav", wav(np.clip(noise, -32768, 32767).astype("<i2").tobytes()))


def _hostile(rng: random.Random) -> Iterator[Odd]:
    pcm = tones(rng)
    plain = wav((pcm * 32767).astype("<i2").tobytes())
    kind = "a playlist that names other files"
    hls = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    yield Odd(kind, "list.mp3", hls)
    yield Odd(kind, "list.m4a", hls.replace(b"file:///etc/passwd", b"http://192.0.2.1/a.ts"))
    yield Odd(kind, "concat.wav", b"ffconcat version 1.0\nfile '/etc/passwd'\n")
    yield Odd(kind, "dash.mp4", b'<?xml version="1.0"?><MPD><BaseURL>http://192.0.2.1/</BaseURL></MPD>')
    yield Odd(kind, "session.wav", b"v=0\no=- 0 0 IN IP4 192.0.2.1\ns=x\nc=IN IP4 192.0.2.1\nm=audio 9 RTP/AVP 0\n")
    kind = "a bomb"
    chunks = plain[:12] + (b"junk" + struct.pack("<I", 2) + b"ab") * 300_000
    yield Odd(kind, "chunks.wav", chunks + plain[12:])
    mp3 = encoded("mp3", "libmp3lame", 16_000, pcm)
    at = (
        0
        if mp3[:3] != b"ID3"
        else 10 + sum((byte & 127) << shift for byte, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=True))
    )
    yield Odd(kind, "tag-256mb.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + mp3[at:])
    yield Odd(kind, "tags.mp3", b"ID3\x04\0\0\0\0\0\x0a" * 100_000 + mp3[at:])
    yield Odd(kind, "large-tag.mp3", b"ID3\x04\0\0\x03\0\0\0" + bytes(3 << 21) + mp3[at:])
    m4a = encoded("ipod", "aac", 16_000, pcm)
    yield Odd(kind, "nested.m4a", m4a[:32] + struct.pack(">I4s", 8, b"moov") * 200_000 + m4a[32:])
    for size in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        yield Odd(kind, f"atom-{size}.m4a", m4a[:28] + struct.pack(">I4s", size, b"free") + m4a[28:])
    at = m4a.index(b"stts")
    yield Odd(kind, "samples.m4a", m4a[: at + 8] + struct.pack(">III", 1, 0x7FFFFFFF, 0x7FFFFFFF) + m4a[at + 20 :])
    ogg = encoded("ogg", "libopus", 48_000, tones(rng, rate_hz=48_000))
    yield Odd(kind, "page.ogg", ogg[:26] + b"\xff" * 300 + ogg[26:])
    yield Odd(kind, "pages.ogg", ogg[:47] * 60_000)
    flac = encoded("flac", "flac", 16_000, pcm)
    yield Odd(kind, "picture.flac", flac[:4] + b"\x06\xff\xff\xff" + flac[4:])
    yield Odd(kind, "5-hours.flac", long_silence("flac", "flac", 5 * 3600))
    yield Odd("hours of silence", "2-hours.flac", long_silence("flac", "flac", 2 * 3600))


def long_silence(form: str, codec: str, seconds: int) -> bytes:
    """Silence in a small file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as box:
        stream = box.add_stream(codec, rate=RATE_HZ, layout="mono")
        assert isinstance(stream, AudioStream)
        block = AudioFrame.from_ndarray(np.zeros((1, RATE_HZ * 60), np.int16), format="s16", layout="mono")
        block.rate = RATE_HZ
        for minute in range(seconds // 60):
            block.pts = minute * RATE_HZ * 60
            box.mux(stream.encode(block))
        box.mux(stream.encode(None))
    return buffer.getvalue()


def _strangers(rng: random.Random) -> Iterator[Odd]:
    image = scene(rng)
    video = _silent_video(image.resize((64, 48)))
    kinds = {
        "picture.mp3": FORMATS["jpg"](image),
        "picture.wav": FORMATS["png"](image),
        "animation.mp4": FORMATS["gif"](image),
        "words.wav": b"Just words.\n" * 40,
        "page.mp3": b"<!doctype html><html>404</html>",
        "program.wav": b"MZ" + rng.randbytes(2000),
        "noise.mp3": rng.randbytes(40_000),
        "noise.wav": rng.randbytes(40_000),
        "zeros.mp3": bytes(40_000),
        "nothing.wav": b"",
        "riff.wav": b"RIFF\0\0\0\0WAVE",
        "without-sound.mp4": video,
        "notes.wav": b"MThd\0\0\0\x06\0\x01\0\x01\0\x60MTrk\0\0\0\x04\0\xff\x2f\0",
    }
    for name, data in kinds.items():
        yield Odd("no sound, or of a kind that is not read", name, data)


def _silent_video(image: object) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as box:
        stream = box.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_image(image)
        for _ in range(5):
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    return buffer.getvalue()
