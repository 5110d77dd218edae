"""Packed files as streams: gzip, zstd and zip, none of which may grow without bound.

Nothing is unpacked to disk, so what a zip calls its members never names a place here.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

import pyarrow as pa

SUFFIXES = (".gz", ".zst", ".zip")
# A log packs 10 to 50 times smaller. What grows beyond this, and is no small file, is a trap.
MOST_TIMES = 200
SMALL = 1 << 30
MOST_MEMBERS = 10_000

# What the unpacking libraries raise for bytes that make no sense.
DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


class Grown(OSError):
    """A packed file that holds more than any honest one could."""


def plain_name(name: str) -> str:
    """The name without the ending that says how it is packed."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def is_hidden(name: str) -> bool:
    """What an archiver put beside the data: __MACOSX, dot files, folders."""
    return name.endswith("/") or any(p.startswith((".", "__MACOSX")) for p in name.split("/"))


def members(
    file: IO[bytes], name: str, size: int, mine: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, IO[bytes]]]:
    """Each file within, by name, as a stream: one, or of a zip those that are `mine`, sorted.

    `size` is that of the packed file in bytes. Raises one of DAMAGE.
    """
    most = max(size * MOST_TIMES, SMALL)
    lowered = name.lower()
    if is_zip(name):
        yield from _of_zip(file, most, mine)
    elif lowered.endswith(".gz"):
        with gzip.open(file, "rb") as unpacked:
            yield plain_name(name), _limited(cast("IO[bytes]", unpacked), most)
    elif lowered.endswith(".zst"):
        with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as unpacked:
            yield plain_name(name), _limited(unpacked, most)
    else:
        yield name, file


def _of_zip(
    file: IO[bytes], most: int, mine: Callable[[str], bool]
) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(file) as archive:
        names = sorted(n for n in archive.namelist() if not is_hidden(n) and mine(n))
        if len(names) > MOST_MEMBERS:
            raise Grown(f"it holds {len(names):,} files, more than {MOST_MEMBERS:,}")
        left = most
        for name in names:
            with _member(archive, name) as member:
                limited = _Limited(member, left, most)
                yield name, io.BufferedReader(limited)
                left = limited.left


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except RuntimeError as error:  # it is encrypted, or packed in a way nobody reads
        raise OSError(str(error)) from None


def _limited(file: IO[bytes], most: int) -> IO[bytes]:
    return io.BufferedReader(_Limited(file, most, most))


class _Limited(io.RawIOBase):
    """A stream that raises Grown when more than `left` bytes come out of it."""

    def __init__(self, file: IO[bytes], left: int, most: int) -> None:
        self.file, self.left, self.most = file, left, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer)
        read = self.file.read(len(into))
        self.left -= len(read)
        if self.left < 0:
            raise Grown(
                f"it unpacks to more than {self.most:,} bytes; unpack it by hand if you know it"
            )
        into[: len(read)] = read
        return len(read)
