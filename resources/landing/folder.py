"""A folder as landing."""

import errno
import fcntl
import filecmp
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
_COPIES = "archive/.incoming"
_INCOMING = ".incoming"
_WRONG_WITH_ALL = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)


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
        try:
            of = path.stat() if path else None
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
            of = None
        return _landed(key, of) if of and stat.S_ISREG(of.st_mode) else None

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

    def archive(self, objects: Iterable[Landed]) -> Iterator[tuple[Landed, str]]:
        with self._archiving():
            yield from self._left_behind()
            for landed in objects:
                try:
                    why = self._archive(landed)
                except OSError as error:
                    why = self._why(error)
                if why is not None:
                    yield landed, why

    @contextmanager
    def _archiving(self) -> Iterator[None]:
        """One process at a time."""
        copies = Path(self.root, _COPIES)
        try:
            for folder in (copies, Path(self.root, _TAKEN)):
                folder.mkdir(parents=True, exist_ok=True)
            with Path(self.root, ARCHIVE, ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for left in copies.iterdir():
                    left.unlink()
                yield
        except OSError as error:
            raise self._unwritable(error) from error

    def _left_behind(self) -> Iterator[tuple[Landed, str]]:
        """Sees to what a process that was killed had taken out; yields what cannot go back, and why."""
        for taken in Path(self.root, _TAKEN).rglob("*"):
            of = taken.lstat()
            if not stat.S_ISDIR(of.st_mode):
                try:
                    self._put_back(taken)
                except OSError as error:
                    yield _landed(_spelled(os.path.relpath(taken, Path(self.root, _TAKEN))), of), self._why(error)

    def _archive(self, landed: Landed) -> str | None:
        """Why it cannot be moved; "" if it was, None if it has changed or is not to be moved."""
        source = self._path(landed.key)
        if source is None or self.find(landed.key) != landed:
            return None
        if source.is_symlink():  # it leads nowhere from another folder, and what it leads to is not landing's to move
            return None
        name = os.path.relpath(source, self.root)
        copy, taken, target = (
            Path(self.root, *where) for where in ((_COPIES, uuid.uuid4().hex), (_TAKEN, name), (ARCHIVE, name))
        )
        try:
            shutil.copy2(source, copy)
            if not (_version(copy.stat()) == landed.version and filecmp.cmp(source, copy, shallow=False)):
                return "its copy is not the same" if self.find(landed.key) == landed else None
            for file in (taken, target):
                file.parent.mkdir(parents=True, exist_ok=True)
            if target.is_file() and not filecmp.cmp(copy, target, shallow=False):
                self._keep(target, name)
            copy.replace(target)
            source.rename(taken)
        except FileNotFoundError:  # deleted meanwhile
            return None
        finally:
            copy.unlink(missing_ok=True)
        return "" if self._put_back(taken) else None

    def _put_back(self, taken: Path) -> bool:
        """Deletes a file that was taken from landing, unless it is not what was archived: whether it is.

        It may have been put there at the last moment. Then it goes back, unless something newer is there again: then it
        is kept with the older versions.
        """
        name = os.path.relpath(taken, Path(self.root, _TAKEN))
        archived, source = Path(self.root, ARCHIVE, name), Path(self.root, name)
        is_archived = archived.is_file() and _version(archived.stat()) == _version(taken.lstat())
        if not is_archived:
            source.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(taken, source, follow_symlinks=False)
            except FileExistsError:
                if source.is_dir():  # which is not something newer
                    raise
                if not os.path.samestat(source.lstat(), taken.lstat()):  # it may have been put back before a kill
                    self._keep(taken, name)
                    return False
        taken.unlink()
        return is_archived

    def _keep(self, file: Path, name: str) -> None:
        """Moves a file to where archived objects have their older versions."""
        older = Path(self.root, OLDER, name, _version(file.lstat()))
        older.parent.mkdir(parents=True, exist_ok=True)
        file.replace(older)

    def restore(self, key: str) -> bool:
        with self._archiving():
            list(self._left_behind())  # what was on its way out when archiving was killed may be newer
            archived = self._path(f"{ARCHIVE}/{key}")
            if archived is None or not archived.is_file() or self.find(key):
                return False
            target = Path(self.root, os.path.relpath(archived, Path(self.root, ARCHIVE)))
            copy = Path(self.root, _COPIES, uuid.uuid4().hex)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(archived, copy)
                os.link(copy, target)  # which replaces nothing
            except FileExistsError:
                if self.find(key):  # it has landed meanwhile
                    return False
                raise
            finally:
                copy.unlink(missing_ok=True)
            return True

    def put(self, key: str, body: bytes, landed_at: datetime | None = None) -> None:
        target, staged = Path(self.root, key), Path(self.root, _INCOMING, uuid.uuid4().hex)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.parent.mkdir(exist_ok=True)
            staged.write_bytes(body)
            if landed_at:
                since = (landed_at - EPOCH) // timedelta(microseconds=1) * 1000  # exactly: a float would be too short
                os.utime(staged, ns=(since, since))
            staged.replace(target)
        except OSError as error:
            raise self._unwritable(error) from error

    def _why(self, error: OSError) -> str:
        """What is wrong with one file.

        Raises:
            Misconfigured: It is wrong with every file.
        """
        if error.errno in _WRONG_WITH_ALL:
            raise self._unwritable(error) from error
        return str(error)

    def _unwritable(self, error: OSError) -> Misconfigured:
        return Misconfigured(f"SHOPWARE_LANDING is {self.root!r}, which cannot be written to: {error.strerror}.")


def _landed(key: str, of: os.stat_result) -> Landed:
    return Landed(key, _version(of), after_epoch(timedelta(microseconds=of.st_mtime_ns // 1000)), of.st_size)


def _version(of: os.stat_result) -> str:
    return f"{of.st_mtime_ns:x}-{of.st_size:x}"


def _spelled(path: str) -> str:
    r"""A path as a key: bytes that are not UTF-8 as `\xff`, and a backslash that looks like one of them as `\x5c`."""
    told_apart = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", path)
    return told_apart.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
