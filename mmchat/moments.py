"""Moments as they are stored (UTC, ISO 8601), and as people read them: in their own time zone."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """A moment with a time zone as it is stored: ISO text with microseconds, which sorts as it counts."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def local_minute(iso: str) -> str:
    """Such as "2026-03-14 06:05", on this machine's clock."""
    return _local(iso).strftime("%Y-%m-%d %H:%M")


def local_day(iso: str) -> str:
    """Such as "2026-03-14", by this machine's calendar."""
    return _local(iso).strftime("%Y-%m-%d")


def _local(iso: str) -> datetime:
    moment = datetime.fromisoformat(iso)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone()
