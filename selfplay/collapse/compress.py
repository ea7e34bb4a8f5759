"""Compression ratio, the only file that imports zstandard (optional: without it, zlib and its own label)."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from selfplay.errors import DataError, EmptyMetric

LONG_WINDOW_LOG = 27
"""128 MiB: the whole corpus lies in the window, so that duplicates far apart are seen (gzip's window is 32 KiB)."""


def _zstandard() -> Any:
    """The optional package, or None."""
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard


def long_window_codec() -> Literal["zstd", "zlib"]:
    """Which codec `compression_ratio(codec="long")` really uses here; stands in the metric's name."""
    return "zlib" if _zstandard() is None else "zstd"


def _until(texts: Sequence[str], max_bytes: int | None) -> Iterator[bytes]:
    """The texts as UTF-8, no more of them than reach `max_bytes`."""
    size = 0
    for text in texts:
        if max_bytes is not None and size > max_bytes:
            return
        raw = text.encode("utf-8", "surrogatepass")
        size += len(raw) + 1
        yield raw


def compression_ratio(
    texts: Sequence[str], codec: Literal["zlib", "long"] = "zlib", max_bytes: int | None = None
) -> float:
    """Bytes of the texts joined by newlines over bytes compressed; higher is more repetitive. Compare at equal bytes only.

    `zlib`: level 9, the published form (Shaib et al. 2024, 2403.00553); sees repeats within 32 KiB, so order matters.
    `long`: zstandard level 3 with a window over the whole corpus, or zlib where the package is missing (see
    `long_window_codec`). `max_bytes` cuts the joined bytes. Raises EmptyMetric where all texts are empty.
    """
    raw = b"\n".join(_until(texts, max_bytes))[:max_bytes]
    if not raw.strip():
        raise EmptyMetric("compression_ratio: the texts are empty; leave the metric out of this round")
    if codec not in ("zlib", "long"):
        raise DataError(f"compression_ratio: codec is {codec!r}; give zlib or long")
    zstandard = _zstandard() if codec == "long" else None
    if zstandard is None:
        return len(raw) / len(zlib.compress(raw, 9 if codec == "zlib" else 6))
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=LONG_WINDOW_LOG, enable_ldm=True)
    return len(raw) / len(zstandard.ZstdCompressor(compression_params=parameters).compress(raw))
