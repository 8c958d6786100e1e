"""Memory of results: recycled when nobody can see it any more, never before."""

import pickle
import threading

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import memory

LARGE = (300, 500)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(memory, "SMALLEST", 1 << 16)
    memory.clear()
    yield
    memory.clear()


def address(array):
    return array.__array_interface__["data"][0]


def test_an_array_is_an_ordinary_one():
    for shape in (LARGE, (), (3,), (0, 70_000)):
        a = memory.empty(shape, "float32")
        assert type(a) is np.ndarray and a.shape == shape and a.dtype == np.float32
        assert a.flags.c_contiguous and a.flags.writeable and a.flags.aligned
    a = memory.empty(LARGE, bool)
    assert address(a) % 64 == 0
    a[:] = True
    assert pickle.loads(pickle.dumps(a)).all()


def test_memory_returns_when_the_last_view_dies():
    a = memory.empty(LARGE, "float64")
    where, row = address(a), a[7]
    del a
    other = memory.empty(LARGE, "float64")
    assert address(other) != where and memory.held() == 0
    del row
    assert memory.held() > 0
    assert address(memory.empty(LARGE, "float64")) == where


def test_several_results_at_once_are_recycled_too(monkeypatch):
    """The C library gives several arrays back to the system as soon as they are free together."""
    resource = pytest.importorskip("resource")
    monkeypatch.undo()
    x = np.random.default_rng(0).random(200_000)
    f = pb.compile(lambda x: (x * x, x, x + x, x - 0.5))        # a copy of an argument is a result like another

    def pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            f(x)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages()
    assert pages() < 4 * x.nbytes / 4096            # of those that ten calls would touch, less than a tenth


def test_what_waits_longest_makes_room(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 3_300_000)
    old, young = memory.empty((100_000,), "float64"), memory.empty((150_000,), "float64")
    where = address(young)
    del old
    del young
    many = [memory.empty((120_000,), "float64") for _ in range(2)]
    del many
    assert memory.held() <= 3_300_000
    assert address(memory.empty((150_000,), "float64")) == where


def test_unused_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(memory, "KEPT", 3_000_000)
    arrays = [memory.empty(LARGE, "float64") for _ in range(5)]
    del arrays
    assert 0 < memory.held() <= 3_000_000
    del_me = memory.empty((1000, 1000), "float64")
    del del_me
    assert memory.held() <= 3_000_000


def test_threads_never_share_an_array():
    wrong = []

    def work(value):
        for _ in range(200):
            a = memory.empty(LARGE, "float64")
            a[:] = value
            if (a != value).any():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
