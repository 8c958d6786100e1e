"""The disk cache: whole entries or none, whatever happens to the folder, the disk or another process."""

import os
import subprocess
import sys
import threading
import warnings

import pytest

from pullback.kernels import cache

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="ownership and modes are POSIX")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(path))
    monkeypatch.setattr(cache, "_warned", set())
    monkeypatch.setattr(cache, "_private", {})
    monkeypatch.setattr(cache, "_swept", set())
    return path


def test_what_is_stored_is_loaded(folder):
    key = cache.key("text", b"\0bytes")
    assert cache.load("object", key) is None
    cache.store("object", key, b"code")
    assert cache.load("object", key) == b"code"
    assert cache.load("cubin", key) is None
    assert cache.usage() == (1, (folder / "object" / key).stat().st_size)
    assert cache.clear() == 1
    assert cache.load("object", key) is None


def test_empty_data_is_an_entry(folder):
    cache.store("object", cache.key("empty"), b"")
    assert cache.load("object", cache.key("empty")) == b""


def test_folder_and_entries_are_private(folder):
    cache.store("object", cache.key("a"), b"code")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "object").stat().st_mode & 0o777 == 0o700
    assert (folder / "object" / cache.key("a")).stat().st_mode & 0o077 == 0


def test_key_keeps_the_boundaries_of_its_parts():
    keys = {cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key("abc", "")}
    assert len(keys) == 4
    assert cache.key("a", "b") == cache.key("a", b"b")


def test_key_is_the_same_in_another_process(folder):
    code = "from pullback.kernels import cache; print(cache.key('a', 'b'))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder.parent)
    cache._build.cache_clear()                     # a source file may have been edited since this process started
    assert seen.stdout.strip() == cache.key("a", "b")


@pytest.mark.parametrize("damage", [
    lambda content: content[:-1],
    lambda content: content + b"x",
    lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    lambda content: b"other " + content[6:],
    lambda content: content[:10],
    lambda content: b"",
])
def test_broken_entry_is_removed(folder, damage):
    key = cache.key("a")
    cache.store("object", key, b"some code")
    path = folder / "object" / key
    path.write_bytes(damage(path.read_bytes()))
    assert cache.load("object", key) is None
    assert not path.exists()
    cache.store("object", key, b"some code")
    assert cache.load("object", key) == b"some code"


def test_folder_others_can_write_to_is_refused_with_one_warning(folder):
    cache.store("object", cache.key("planted"), b"evil")
    folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="other users can write to it"):
        assert cache.load("object", cache.key("planted")) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store("object", cache.key("mine"), b"code")
        assert cache.load("object", cache.key("mine")) == b"code"
    private = cache.folder()
    assert private != folder and private.stat().st_mode & 0o777 == 0o700
    assert not (folder / "object" / cache.key("mine")).exists()


def test_folder_of_another_user_is_refused(folder, monkeypatch):
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.warns(RuntimeWarning, match="belongs to user"):
        assert cache.folder() != folder


def test_file_in_place_of_the_folder_is_survived(folder):
    folder.write_text("not a folder")
    with pytest.warns(RuntimeWarning, match="is not used"):
        cache.store("object", cache.key("a"), b"code")
    assert cache.load("object", cache.key("a")) == b"code"


def test_full_disk_costs_one_warning_and_leaves_nothing(folder, monkeypatch):
    def refuse(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(RuntimeWarning, match="No space left on device") as seen:
        cache.store("object", cache.key("a"), b"code")
        cache.store("object", cache.key("b"), b"code")
    assert len(seen) == 1
    assert list((folder / "object").iterdir()) == []


def test_private_folder_ends_with_the_process(folder):
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    code = """if True:
        import os, warnings
        warnings.simplefilter("ignore")
        from pullback.kernels import cache
        print(cache.folder(), flush=True)
        child = os.fork()
        if child == 0:
            raise SystemExit
        os.waitpid(child, 0)
        assert cache.folder().is_dir()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(done.stdout.strip())


def test_writers_and_readers_may_race(folder):
    key, values = cache.key("a"), [bytes([i]) * 20_000 for i in range(4)]
    cache.store("object", key, values[0])
    wrong = []

    def write(value):
        for _ in range(30):
            cache.store("object", key, value)

    def read():
        for _ in range(100):
            if cache.load("object", key) not in values:
                wrong.append(1)

    threads = [threading.Thread(target=write, args=(value,)) for value in values]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert [path.name for path in (folder / "object").iterdir()] == [key]


def test_oldest_entries_go_when_the_limit_is_passed(folder, monkeypatch):
    for i in range(8):
        cache.store("object", cache.key(str(i)), bytes(1000))
        os.utime(folder / "object" / cache.key(str(i)), (i, i))
    monkeypatch.setattr(cache, "SIZE_LIMIT", 4 * 1048)
    monkeypatch.setattr(cache, "_swept", set())
    cache.store("object", cache.key("new"), bytes(1000))
    kept = [i for i in range(8) if cache.load("object", cache.key(str(i))) is not None]
    assert kept == [6, 7]
    assert cache.load("object", cache.key("new")) == bytes(1000)


def test_leftovers_of_a_killed_writer_are_swept(folder, monkeypatch):
    cache.store("object", cache.key("a"), b"code")
    leftover = folder / "object" / ".new-killed"
    leftover.write_bytes(b"half")
    os.utime(leftover, (1, 1))
    monkeypatch.setattr(cache, "_swept", set())
    cache.store("object", cache.key("b"), b"code")
    assert not leftover.exists()
    assert cache.load("object", cache.key("a")) == b"code"


def test_cache_imports_nothing_heavy(folder):
    code = ("import sys; from pullback.kernels import cache; cache.store('object', cache.key('a'), b'1');"
            "print(sorted({'numba', 'llvmlite', 'scipy', 'sympy', 'cupy'} & set(sys.modules)))")
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder.parent)
    assert seen.stdout.strip() == "[]"
