"""How fast files come from a server: measured by one request, or stated by the user."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agrifm.scene.access import limiter_of, signer_of
from agrifm.scene.remote import RemoteError, request
from agrifm.scene.scene import RemoteAsset

PART_BYTES = 1024 * 1024
"""Bytes that are read to measure the line."""
UNKNOWN_RATE = 2e6
"""Bytes per second, if even that fails."""


class Line(NamedTuple):
    """The way to a server."""

    latency: float
    """Seconds until an answer begins."""
    bytes_per_second: float
    note: str
    """What this rests on."""


def stated_line(megabits: float, latency: float = 0.05) -> Line:
    """Return the line that a user states.

    Args:
        megabits: per second.
        latency: seconds until an answer begins.
    """
    return Line(latency, megabits * 1e6 / 8, f"download at {megabits:g} megabits per second, as stated")


def measure_line(asset: RemoteAsset, seconds: Sequence[float]) -> Line:
    """Measure the line by reading the first megabyte of one file.

    Args:
        seconds: that requests for headers took.
    """
    latency = float(np.median(seconds)) if seconds else 0.1
    began = time.perf_counter()
    try:
        reply = request(
            asset.href,
            signer_of(asset.provider),
            {"Range": f"bytes=0-{PART_BYTES - 1}"},
            limiter=limiter_of(asset.provider),
            network=asset.network,
        )
    except RemoteError:
        return Line(latency, UNKNOWN_RATE, "the speed of the line could not be measured; state it with --line")
    spent = max(time.perf_counter() - began - min(latency, 0.5 * (time.perf_counter() - began)), 1e-4)
    rate = len(reply.body) / spent
    size = len(reply.body) / 1e6
    return Line(latency, rate, f"download at {rate * 8 / 1e6:.0f} megabits per second, by {size:.1f} MB of one file")
