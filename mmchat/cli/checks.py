"""The checks of `mmchat doctor`, but the terminal's. None imports torch, fetches anything or changes anything."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from mmchat import __version__, paths
from mmchat.cli.findings import Finding
from mmchat.errors import AudioError, ConfigError, MemoryStoreError, MmchatError

GB = 1_000_000_000
LOW_MEMORY_BYTES = 1 * GB
"""The default stack with a conversation takes about that."""
LOW_DISK_BYTES = 2 * GB
LIBRARIES = {
    "xllamacpp": "xllamacpp",
    "torch": "torch",
    "transformers": "transformers",
    "faster-whisper": "faster_whisper",
    "openai-whisper": "whisper",
    "open_clip_torch": "open_clip",
    "rapidocr": "rapidocr",
    "onnxruntime": "onnxruntime",
    "sounddevice": "sounddevice",
    "textual": "textual",
    "sqlite-utils": "sqlite_utils",
}
"""Package name → module name."""


def check_versions() -> list[Finding]:
    """mmchat, Python, the system, and the libraries behind the engines."""
    found, missing = [], []
    for package, module in LIBRARIES.items():
        if find_spec(module) is None:
            missing.append(package)
            continue
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(package)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    findings = [Finding("mmchat", "ok", f"{__version__} on Python {platform.python_version()}, {system}")]
    if missing:
        fix = f"Install: {Path(sys.executable).name} -m pip install {' '.join(missing)}"
        findings.append(Finding("libraries", "fail", f"Missing: {', '.join(missing)}.", fix))
    else:
        findings.append(Finding("libraries", "ok", ", ".join(found)))
    return findings


def check_config() -> list[Finding]:
    """settings.toml and models.toml."""
    from mmchat.config.models_file import load_models_file
    from mmchat.config.settings import load_settings

    findings = []
    try:
        load_settings()
        state = "read" if paths.settings_path().exists() else "not there, which is fine"
        findings.append(Finding("settings", "ok", f"{paths.settings_path()} ({state})"))
    except MmchatError as error:
        findings.append(Finding("settings", "fail", error.message, error.hint))
    problems = load_models_file().problems
    if problems:
        findings.append(Finding("models.toml", "fail", "; ".join(problems), "Mend it; then: mmchat models check"))
    else:
        state = "with yours" if paths.user_models_path().exists() else "yours would be"
        findings.append(Finding("models.toml", "ok", f"{state} at {paths.user_models_path()}"))
    return findings


def check_weights() -> list[Finding]:
    """Whether the models that a conversation uses are here, complete and prepared."""
    from mmchat.config.models_file import load_models_file
    from mmchat.weights.store import WeightsStore
    from mmchat.wiring import open_hub

    models, weights = load_models_file(), WeightsStore(paths.weights_dir())
    findings = []
    for state in open_hub().states():
        entry, engine = models.resolve(state.model)
        label = f"{entry.name} ({entry.kind}, {engine})"
        if not entry.needs_weights:
            findings.append(Finding("weights", "ok", f"{label} needs none"))
        elif weights.is_installed(entry):
            findings.append(Finding("weights", "ok", f"{label} is here"))
        else:
            size = f", {entry.download_bytes / 1e6:.0f} MB" if entry.download_bytes else ""
            fix = f"mmchat models pull {entry.name}   (mmchat talk does it by itself)"
            findings.append(Finding("weights", "warn", f"{label} is not here, or not complete{size}", fix))
    return findings


def check_gpu() -> list[Finding]:
    """What the models will run on."""
    from mmchat.engines.device import gpu, usable_threads

    threads = f"{usable_threads()} threads"
    kind = gpu()
    if kind is None:
        return [Finding("GPU", "ok", f"none; models run on the processor with {threads}")]
    if kind == "cuda" and _torch_build().endswith("+cpu"):
        fix = "Install a CUDA build of torch to use it; see the README."
        return [Finding("GPU", "warn", f"a CUDA device is here, but torch {_torch_build()} cannot use it", fix)]
    return [Finding("GPU", "ok", f"{kind}; {threads} for what stays on the processor")]


def _torch_build() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def check_memory() -> list[Finding]:
    """Memory that is free for models."""
    total, available = memory_bytes()
    if not total:
        return [Finding("memory", "ok", "this system does not say")]
    detail = f"{available / GB:.1f} GB free of {total / GB:.1f} GB"
    if available < LOW_MEMORY_BYTES:
        return [Finding("memory", "warn", detail, "Close other programs; the default models need about 1 GB.")]
    return [Finding("memory", "ok", detail)]


def memory_bytes() -> tuple[int, int]:
    """All memory and what is free, the container's limit counted; zeros where the system does not say."""
    total = available = 0
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
        total, available = (int(fields[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            total = available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no limit is written as "max"
        return total, available
    return (min(total, limit), max(0, min(available, limit - used))) if total else (limit, max(0, limit - used))


def check_disk() -> list[Finding]:
    """Room where the weights and the conversations go."""
    findings = []
    for name, folder in (("weights", paths.weights_dir()), ("conversations", paths.data_dir())):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        detail = f"{free / GB:.1f} GB free for {name} in {folder}"
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            fix = "Check who owns it, or choose another place with MMCHAT_HOME."
            findings.append(Finding("disk", "fail", f"{name} cannot be written to {existing}", fix))
        elif free < LOW_DISK_BYTES // 20:
            findings.append(Finding("disk", "fail", detail, "Make room; nothing more can be stored soon."))
        elif free < LOW_DISK_BYTES:
            findings.append(Finding("disk", "warn", detail, "Make room, or move it with MMCHAT_HOME."))
        else:
            findings.append(Finding("disk", "ok", detail))
    return findings


def check_database() -> list[Finding]:
    """Whether the conversations are sound."""
    from mmchat.wiring import open_store

    path = paths.database_path()
    if not path.exists() and not paths.blobs_dir().exists():
        return [Finding("database", "ok", f"none yet; {path} is made with the first message")]
    store = open_store()
    try:
        problems = store.check_integrity()
        aside = store.file.kept_aside()
    finally:
        store.close()
    if problems:
        fix = "Leave mmchat everywhere else, then: mmchat sessions recover   (it keeps the damaged file)"
        return [Finding("database", "fail", "; ".join(problems[:5]), fix)]
    kept = "; kept beside it: " + ", ".join(each.name for each in aside) if aside else ""
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    return [Finding("database", "ok", f"{path}, {size}, passes its integrity check{kept}")]


def check_pictures() -> list[Finding]:
    """Whether pictures wait to be looked at: until then only their names and what was said with them find them."""
    from mmchat.memory.waiting_pictures import count_waiting
    from mmchat.wiring import open_hub, open_store

    if not paths.database_path().exists():
        return []
    hub = open_hub(kinds=("vision",))
    (state,) = hub.states()
    try:
        with closing(open_store()) as store:
            waiting = count_waiting(store, state.model)
    except MemoryStoreError:  # what is wrong with it, the check of the database says
        return []
    if not waiting:
        return [Finding("pictures", "ok", "none waits to be looked at")]
    detail = f"{waiting:,} {'waits' if waiting == 1 else 'wait'} to be looked at by {state.model}"
    if not hub.is_in_place("vision"):
        return [Finding("pictures", "warn", detail, f"Fetch it, then talk: mmchat models pull {state.model}")]
    return [Finding("pictures", "ok", f"{detail}; mmchat talk does it in the background")]


def check_turns() -> list[Finding]:
    """Whether turns wait to be embedded: until then only their words find them."""
    from mmchat.memory.embedding_backlog import count_waiting
    from mmchat.wiring import open_hub, open_store

    if not paths.database_path().exists():
        return []
    hub = open_hub(kinds=("embed",))
    (state,) = hub.states()
    try:
        with closing(open_store()) as store:
            waiting = count_waiting(store.file, state.model)
    except MemoryStoreError:  # what is wrong with it, the check of the database says
        return []
    if not waiting:
        return [Finding("turns", "ok", "all are found by their meaning")]
    detail = f"{waiting:,} {'is' if waiting == 1 else 'are'} found by words only, not by meaning with {state.model}"
    if not hub.is_in_place("embed"):
        return [Finding("turns", "warn", detail, f"Fetch it, then talk: mmchat models pull {state.model}")]
    return [Finding("turns", "ok", f"{detail}; mmchat talk mends that in the background")]


def check_permissions() -> list[Finding]:
    """Whether others on this machine could read the conversations."""
    if os.name != "posix":
        return [Finding("permissions", "ok", "your user folder's own")]
    open_paths = [
        path
        for path in (paths.database_path(), paths.data_dir(), paths.blobs_dir())
        if path.exists() and path.stat().st_mode & 0o077
    ]
    if not open_paths:
        return [Finding("permissions", "ok", "conversations are readable by you alone")]
    fix = f"chmod -R go-rwx '{paths.data_dir()}'"
    return [Finding("permissions", "warn", f"others may read {', '.join(map(str, open_paths))}", fix)]


def check_microphone(*, should_listen: bool) -> list[Finding]:
    """PortAudio, the devices, and one second of listening."""
    from mmchat.engines.input_devices import import_sounddevice, list_input_devices

    try:
        portaudio = import_sounddevice().get_portaudio_version()[1]
    except AudioError as error:
        return [Finding("PortAudio", "warn", error.message, error.hint)]
    findings = [Finding("PortAudio", "ok", str(portaudio).split(",")[0])]
    try:
        devices = list_input_devices()
        if not devices:
            fix = "Plug one in, or send sound files; over SSH the microphone is on the other machine."
            return [*findings, Finding("microphone", "warn", "none was found", fix)]
        names = ", ".join(dict.fromkeys(device.name for device in devices))
        if not should_listen:
            return [*findings, Finding("microphone", "ok", f"{names} (not listened to)")]
        from mmchat.engines.microphone import level_test

        report = level_test(_chosen_microphone())
    except AudioError as error:
        return [*findings, Finding("microphone", "warn", error.message, error.hint)]
    if report.warning:
        return [*findings, Finding("microphone", "warn", f"{report.device_name}: {report.warning}", _MUTED)]
    return [
        *findings,
        Finding("microphone", "ok", f"{report.device_name}, peak {report.peak_dbfs:.0f} dBFS in a second"),
    ]


def _chosen_microphone() -> str:
    from mmchat.wiring import open_settings

    try:
        return open_settings().microphone
    except ConfigError:  # told by another check
        return ""


_MUTED = "Unmute it, and let your terminal use the microphone in the system's privacy settings."

CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    check_versions,
    check_config,
    check_weights,
    check_gpu,
    check_memory,
    check_disk,
    check_database,
    check_turns,
    check_pictures,
    check_permissions,
)


def name_of(check: Callable[[], list[Finding]]) -> str:
    """What a check looks at, for the finding of one that failed as a whole."""
    return check.__name__.removeprefix("check_")
