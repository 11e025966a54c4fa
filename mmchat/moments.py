"""Stored moments (UTC, ISO 8601) as people read them: in their own time zone."""

from __future__ import annotations

from datetime import UTC, datetime


def local_minute(iso: str) -> str:
    """Such as "2026-03-14 06:05", on this machine's clock."""
    return _local(iso).strftime("%Y-%m-%d %H:%M")


def local_day(iso: str) -> str:
    """Such as "2026-03-14", by this machine's calendar."""
    return _local(iso).strftime("%Y-%m-%d")


def _local(iso: str) -> datetime:
    moment = datetime.fromisoformat(iso)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone()
