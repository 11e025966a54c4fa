"""How networks run in ONNX Runtime here."""

from __future__ import annotations

from onnxruntime import SessionOptions


def quiet_options(threads: int) -> SessionOptions:
    """Nothing printed, and threads that sleep while they wait: spinning ones cost a busy machine twice the time."""
    options = SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
