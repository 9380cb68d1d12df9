"""A folder as landing."""

import fcntl
import filecmp
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from resources.landing import limits
from resources.landing.objects import (
    ARCHIVE,
    EPOCH,
    OLDER,
    Fetched,
    Gone,
    Landed,
    Unreachable,
    after_epoch,
)
from resources.settings import Misconfigured

_TAKEN = "archive/.taken"  # files on their way out
_INCOMING = ".incoming"


@dataclass(frozen=True)
class FolderLanding:
    """Objects are the files below a folder; a version is named by time of change and size."""

    root: str

    def check_readable(self) -> None:
        if not Path(self.root).is_dir():
            raise Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, which is not a folder.")

    def pages(self, prefix: str, after: str = "") -> Iterator[list[Landed]]:
        self.check_readable()
        keys = sorted(key for key in self._keys(prefix) if key > after)
        for first in range(0, len(keys), limits.PAGE):
            yield [landed for key in keys[first : first + limits.PAGE] if (landed := self.find(key))]

    def _keys(self, prefix: str) -> Iterator[str]:
        for folder, _, names in os.walk(os.path.join(self.root, prefix), onerror=self._unlistable):
            for name in names:
                yield _spelled(os.path.relpath(os.path.join(folder, name), self.root))

    def _unlistable(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a failed listing is not an empty one
            raise Misconfigured(
                f"SHOPWARE_LANDING is {self.root!r}, and {error.filename} cannot be read: {error.strerror}."
            )

    def find(self, key: str) -> Landed | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        stat = path.stat()
        landed_at = after_epoch(timedelta(microseconds=stat.st_mtime_ns // 1000))
        return Landed(key, _version(path), landed_at, stat.st_size)

    def _path(self, key: str) -> Path | None:
        path = Path(self.root, key)
        if _spelled(key) == key and os.path.exists(path):  # noqa: PTH110 - Path raises where a name is too long
            return path
        # Names that are not UTF-8, of folders too, are spelled with escapes in its key.
        path = Path(self.root)
        for name in key.split("/"):
            inside = path.iterdir() if path.is_dir() else ()
            found = next((entry for entry in inside if _spelled(entry.name) == name), None)
            if found is None:
                return None
            path = found
        return path

    def fetch(self, landed: Landed) -> Fetched:
        if self.find(landed.key) != landed:
            raise Gone(landed.key)
        return Fetched(landed.landed_at, self._chunks(landed))  # files have no metadata

    def _chunks(self, landed: Landed) -> Iterator[bytes]:
        path = self._path(landed.key)
        if path is None:
            raise Gone(landed.key)
        try:
            with path.open("rb") as file:
                while chunk := file.read(limits.CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise Gone(landed.key) from error
        except OSError as error:
            raise Unreachable(error.strerror) from error
        # A file can be written to while it is read: then this version never was.
        if self.find(landed.key) != landed:
            raise Gone(landed.key)

    def archive(self, objects: Iterable[Landed]) -> Iterator[Landed]:
        try:
            with self._archiving():
                for landed in objects:
                    if self._archive(landed):
                        yield landed
        except OSError as error:
            raise self._unwritable(error) from error

    @contextmanager
    def _archiving(self) -> Iterator[None]:
        """One process at a time, which first sees to what one that was killed had taken out."""
        taken = Path(self.root, _TAKEN)
        taken.mkdir(parents=True, exist_ok=True)
        with Path(self.root, ARCHIVE, ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in taken.rglob("*"):
                if left.is_file():
                    self._put_back(left)
            yield

    def _archive(self, landed: Landed) -> bool:
        source, target = self._path(landed.key), Path(self.root, ARCHIVE, landed.key)
        if source is None or self.find(landed.key) != landed:
            return False
        copy = Path(self.root, _INCOMING, uuid.uuid4().hex)
        taken = Path(self.root, _TAKEN, os.path.relpath(source, self.root))
        for file in (copy, taken, target):
            file.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(source, copy)
            if _version(copy) != landed.version or not filecmp.cmp(source, copy, shallow=False):
                return False
            if target.exists() and _version(target) != landed.version:
                older = Path(self.root, OLDER, landed.key, _version(target))
                older.parent.mkdir(parents=True, exist_ok=True)
                target.replace(older)
            copy.replace(target)
            source.rename(taken)
        except FileNotFoundError:  # deleted meanwhile
            return False
        finally:
            copy.unlink(missing_ok=True)
        return self._put_back(taken) == landed.version

    def _put_back(self, taken: Path) -> str:
        """Deletes a file that was taken from landing, unless it is not what was archived: its version.

        It may have been put there at the last moment. Then it goes back, unless something newer is there again.
        """
        key = taken.relative_to(Path(self.root, _TAKEN))
        archived, source, version = Path(self.root, ARCHIVE, _spelled(str(key))), Path(self.root, key), _version(taken)
        if not (archived.exists() and _version(archived) == version):
            with suppress(FileExistsError):
                os.link(taken, source)
        taken.unlink()
        return version

    def restore(self, key: str) -> bool:
        archived = Path(self.root, ARCHIVE, key)
        if not archived.is_file():
            return False
        with self._staged(key) as staged:
            shutil.copy2(archived, staged)
        return True

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        with self._staged(key) as staged:
            staged.write_bytes(body)
            if landed_at:
                since = (landed_at - EPOCH) // timedelta(microseconds=1) * 1000  # exactly: a float would be too short
                os.utime(staged, ns=(since, since))

    @contextmanager
    def _staged(self, key: str) -> Iterator[Path]:
        """A file that is the object, whole, when the block has ended."""
        target, staged = Path(self.root, key), Path(self.root, _INCOMING, uuid.uuid4().hex)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.parent.mkdir(exist_ok=True)
            yield staged
            staged.replace(target)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> Misconfigured:
        return Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, which cannot be written to: {error.strerror}.")


def _version(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


def _spelled(path: str) -> str:
    r"""A path as a key: bytes that are not UTF-8 as `\xff`, and a backslash that looks like one of them as `\x5c`."""
    told_apart = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", path)
    return told_apart.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
