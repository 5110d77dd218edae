"""Where files lie: this machine, or S3, GCS, Azure or a web server by one library.

The library is the one under the lake's engine, so both read the same variables
(AWS_…, GOOGLE_…, AZURE_…) and a store set up for the lake serves sources too.
"""

from __future__ import annotations

import glob
import hashlib
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obstore.store import ObjectStore

REMOTE = re.compile(r"^(s3|s3a|gs|az|abfss?|https?)://")
READ_AHEAD = 8 << 20  # bytes fetched at a time


@dataclass(frozen=True)
class Found:
    """A file that a pattern names."""

    location: str  # an absolute path or a URL
    tag: str | None = None  # what a store says its content is known by; None for a local file
    leads_out: bool = False  # a link to somewhere outside the folder it was looked for in


def is_remote(location: str) -> bool:
    return REMOTE.match(location) is not None


def literal_folder(pattern: str) -> str:
    """The deepest folder of a pattern that holds no wildcard."""
    scheme, _, rest = pattern.rpartition("://")
    kept = []
    for part in rest.split("/")[:-1]:
        if glob.has_magic(part) or "{date}" in part:
            break
        kept.append(part)
    return (f"{scheme}://" if scheme else "") + "/".join(kept)


def matches(pattern: str, within: str | None = None) -> list[Found]:
    """The files a pattern names, sorted. `**` stands for folders of any depth.

    Links that lead out of the folder `within` are marked.
    Raises OSError where the store cannot be asked. A web server cannot list, so a
    pattern there names one file.
    """
    if not is_remote(pattern):
        paths = sorted(p for p in map(Path, glob.glob(pattern, recursive=True)) if p.is_file())
        return [
            Found(str(path), leads_out=within is not None and leads_out(path, Path(within)))
            for path in paths
        ]
    if pattern.startswith("http"):
        return _at(pattern)
    with _explained(pattern):
        root, path = _split(pattern)
        store, wanted = _store(root), _expression(path)
        folder = literal_folder(f"{root}/{path}").removeprefix(root).strip("/")
        found = [
            Found(f"{root}/{entry['path']}", _tag(entry))
            for entries in store.list(prefix=folder or None)
            for entry in entries
            if wanted.fullmatch(entry["path"])
        ]
    return sorted(found, key=lambda file: file.location)


def leads_out(path: Path, folder: Path) -> bool:
    """Whether the file is a link, or lies behind one, that leaves the folder."""
    return not path.resolve().is_relative_to(folder.resolve())


def digest(found: Found) -> str:
    """sha256 of a local file's content, or of what the store knows a remote one's content by.

    Raises OSError.
    """
    if found.leads_out:
        return hashlib.sha256(b"a link out").hexdigest()  # what it leads to is not ours to read
    if found.tag is not None:
        return hashlib.sha256(found.tag.encode()).hexdigest()
    with opened(found.location) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def size(location: str) -> int:
    """Bytes as stored. Raises OSError."""
    if not is_remote(location):
        return Path(location).stat().st_size
    with _explained(location):
        root, path = _split(location)
        return int(_store(root).head(path)["size"])


@contextmanager
def opened(location: str) -> Iterator[IO[bytes]]:
    """The bytes as stored; they can be read from any place. Raises OSError."""
    if not is_remote(location):
        with Path(location).open("rb") as file:
            yield file
        return
    if location.startswith("http"):
        with _downloaded(location) as file:
            yield file
        return
    with io.BufferedReader(_Remote(location), READ_AHEAD) as buffered:
        yield buffered


@contextmanager
def _downloaded(url: str) -> Iterator[IO[bytes]]:
    """The file at a web address, kept on disk while it is read: not every server gives ranges."""
    with tempfile.TemporaryFile(prefix="download-") as kept:
        with _explained(url):
            root, path = _split(url)
            found = _store(root).get(path)
            for piece in found.stream(min_chunk_size=READ_AHEAD):
                kept.write(piece)
        if kept.tell() != found.meta["size"]:
            raise OSError(f"cut off after {kept.tell():,} of {found.meta['size']:,} bytes")
        kept.seek(0)
        yield kept


class _Remote(io.RawIOBase):
    """A file of a store, read by ranges; one that changes while it is read fails."""

    def __init__(self, location: str) -> None:
        self.location = location
        root, self.path = _split(location)
        with _explained(location):
            self.store = _store(root)
            self.head = self.store.head(self.path)
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.head["size"]}[whence]
        self.at = start + offset
        return self.at

    def readinto(self, buffer: Any) -> int:
        into = memoryview(buffer)
        length = min(len(into), self.head["size"] - self.at)
        if length <= 0:
            return 0
        options: Any = {"range": (self.at, self.at + length)}
        if tag := self.head["e_tag"]:
            options["if_match"] = tag
        with _explained(self.location):
            found = self.store.get(self.path, options=options).bytes()
        into[: len(found)] = found
        self.at += len(found)
        return len(found)


def _at(url: str) -> list[Found]:
    """The one file at a web address; none where the server has nothing."""
    with _explained(url):
        root, path = _split(url)
        try:
            return [Found(url, _tag(_store(root).head(path)))]
        except FileNotFoundError:
            return []


def _tag(entry: Any) -> str | None:
    """What tells one content from another; without an entity tag, size and time of change."""
    return str(entry.get("e_tag") or f"{entry['size']}/{entry['last_modified']}")


def _store(root: str) -> ObjectStore:
    from obstore.store import from_url

    if root.startswith("http://"):
        return from_url(root, client_options={"allow_http": True})
    return from_url(root)


def _split(location: str) -> tuple[str, str]:
    """The bucket or server, and the path below it."""
    scheme, _, rest = location.partition("://")
    root, _, path = rest.partition("/")
    return f"{scheme}://{root}", path


def _expression(pattern: str) -> re.Pattern[str]:
    """A glob as an expression over whole paths: `*` and `?` stop at a slash, `**/` does not."""
    text = re.escape(pattern)
    text = text.replace(r"\[", "[").replace(r"\]", "]").replace(r"\-", "-").replace("[!", "[^")
    text = text.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.compile(text)


@contextmanager
def _explained(location: str) -> Iterator[None]:
    """What a store refuses as OSError; the address is named by the caller."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        said = " ".join(re.split(r"\n+Debug source", str(error))[0].split())
        raise OSError(said) from None
