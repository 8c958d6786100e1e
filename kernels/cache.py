"""Compiled code on disk, found again by what it was made from.

An entry is a file `<folder>/<kind>/<key>`: a header (magic, length, SHA-256 of the data) and the data. It is written to
a temporary file and renamed, so that processes may race and a reader sees a whole entry or none. The data is executed
later, so a folder that somebody else could write to is refused.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import struct
import sys
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path

HEADER = struct.Struct("<8sQ32s")
MAGIC = b"pullbk01"
SIZE_LIMIT = 1 << 30
STALE_SECONDS = 3600

_warned: set[str] = set()
_private: dict[str, Path] = {}
_swept: set[Path] = set()


def folder() -> Path:
    """Return the cache folder, made if need be: `PULLBACK_CACHE_DIR`, else the user's cache folder.

    A folder that cannot be made, belongs to another user or can be written by others is replaced, with one warning,
    by a private temporary folder that lasts as long as the process.
    """
    wanted = os.environ.get("PULLBACK_CACHE_DIR") or _default_folder()
    path = Path(wanted).expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = _distrust(path)
    except OSError as error:
        reason = error.strerror or str(error)
    return path if reason is None else _private_folder(str(path), reason)


def key(*parts: str | bytes) -> str:
    """Return the name of an entry: a hex digest of the parts, their boundaries and this build of pullback."""
    digest = hashlib.sha256(_build())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(struct.pack("<Q", len(data)))
        digest.update(data)
    return digest.hexdigest()


def load(kind: str, key: str) -> bytes | None:
    """Return the data stored under `kind` and `key`, or None. A broken entry is removed and counts as none."""
    path = _path(kind, key)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[HEADER.size :]
    if content[: HEADER.size] == _header(data):
        return data
    _remove(path)
    return None


def store(kind: str, key: str, data: bytes) -> None:
    """Store `data` under `kind` and `key`. A full or read-only disk costs one warning, never an exception."""
    path = _path(kind, key)
    temporary = None
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _sweep_once(path.parent.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(_header(data))
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        _warn_once(f"compiled code is not kept on disk ({error.strerror or error}): {path.parent.parent}; "
                   "point PULLBACK_CACHE_DIR to a folder with room that you can write")
        if temporary is not None:
            _remove(Path(temporary))


def usage() -> tuple[int, int]:
    """Return how many entries the cache folder holds and their bytes."""
    sizes = [status.st_size for _, status in _entries(folder())]
    return len(sizes), sum(sizes)


def clear() -> int:
    """Remove every entry; return how many there were."""
    entries = _entries(folder())
    for path, _ in entries:
        _remove(path)
    return len(entries)


def _default_folder() -> str:
    import platformdirs

    return platformdirs.user_cache_dir("pullback", appauthor=False)


def _distrust(path: Path) -> str | None:
    """Why code from this folder must not be run, or None."""
    if not hasattr(os, "getuid"):
        return None
    status = path.stat()
    if status.st_uid != os.getuid():
        return f"it belongs to user {status.st_uid}, not to {os.getuid()}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"other users can write to it (mode {stat.S_IMODE(status.st_mode):o}); chmod 700 it"
    return None


def _private_folder(wanted: str, reason: str) -> Path:
    if wanted not in _private or not _private[wanted].is_dir():
        _warn_once(f"the cache folder {wanted} is not used: {reason}; compiled code is kept for this process only")
        path = Path(tempfile.mkdtemp(prefix="pullback-"))
        atexit.register(_remove_own, path, os.getpid())
        _private[wanted] = path
    return _private[wanted]


def _remove_own(path: Path, owner: int) -> None:
    if os.getpid() == owner:                       # a forked child that exits must not take it from its parent
        shutil.rmtree(path, ignore_errors=True)


def _path(kind: str, key: str) -> Path:
    assert kind.replace("-", "_").isidentifier() and key.isalnum(), (kind, key)
    return folder() / kind / key


def _header(data: bytes) -> bytes:
    return HEADER.pack(MAGIC, len(data), hashlib.sha256(data).digest())


def _warn_once(text: str) -> None:
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)


def _entries(root: Path) -> list[tuple[Path, os.stat_result]]:
    found = []
    for path in root.glob("*/*"):
        try:
            found.append((path, path.stat()))
        except OSError:                            # another process removed it
            continue
    return found


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _sweep_once(root: Path) -> None:
    """Once a process and folder: drop what a killed writer left, and the oldest entries when the limit is passed."""
    if root in _swept:
        return
    _swept.add(root)
    entries = sorted(_entries(root), key=lambda entry: entry[1].st_mtime)
    total = sum(status.st_size for _, status in entries)
    target = SIZE_LIMIT // 2 if total > SIZE_LIMIT else total
    abandoned = time.time() - STALE_SECONDS
    for path, status in entries:
        if total > target or (path.name.startswith(".new-") and status.st_mtime < abandoned):
            _remove(path)
            total -= status.st_size


@cache
def _build() -> bytes:
    """The version of pullback, its source files as they lie there, and the Python that runs them."""
    package = Path(__file__).parents[1]
    version = getattr(sys.modules.get(__name__.partition(".")[0]), "__version__", "")
    facts = [version, sys.implementation.cache_tag or "", sys.platform]
    floors = (package / floor for floor in ("dsl", "codegen", "kernels"))
    for source in sorted(path for floor in floors for path in floor.rglob("*.py")):
        status = source.stat()
        facts.append(f"{source.relative_to(package)} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(facts).encode()
