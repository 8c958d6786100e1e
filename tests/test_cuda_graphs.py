"""Launches that come again are captured as CUDA graphs: what is played does the same work, on the buffers of its call.

A stand-in for CuPy records and plays, and counts what is launched from Python."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

import stand_in  # noqa: E402
from stand_in import Stream, on_device  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.kernels import cuda  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
R = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def device(monkeypatch):
    stand_in.install(monkeypatch)
    cuda._pending.clear()
    yield
    cuda._pending.clear()


def launched(f, *args):
    """A result on the host, and how often Python launched for it."""
    before = Stream.current[-1].launches
    result = np.array(f(*args))
    return result, Stream.current[-1].launches - before


def normalised(x):
    y = x - pb.mean(x)
    return y / pb.sqrt(pb.mean(y * y))


def by_numpy(x):
    y = x - x.mean()
    return y / np.sqrt(np.mean(y * y))


def test_the_second_call_is_one_launch():
    f, x = pb.compile(normalised), on_device(R.normal(size=700))
    first, plain = launched(f, x)
    assert plain >= 3 and not Stream.graphs
    second, played = launched(f, x)
    third, again = launched(f, x)
    assert played == again == 1 and len(Stream.graphs) == 1 and Stream.graphs[0].played == 2
    assert first.tobytes() == second.tobytes() == third.tobytes()
    np.testing.assert_allclose(first, by_numpy(x), rtol=1e-12)
    assert "one CUDA graph: " in f.explain()


def test_a_graph_reads_what_its_buffers_hold_now():
    f, x = pb.compile(normalised), on_device(R.normal(size=700))
    f(x), f(x)
    np.ndarray.__setitem__(x, ..., R.normal(size=700) ** 3)
    result, count = launched(f, x)
    assert count == 1
    np.testing.assert_allclose(result, by_numpy(x), rtol=1e-12)


def test_other_addresses_and_sizes_are_noticed():
    f = pb.compile(normalised)
    inputs = [on_device(R.normal(size=n)) for n in (700, 700, 90, 700)]
    for _ in range(4):
        for x in inputs:
            np.testing.assert_allclose(launched(f, x)[0], by_numpy(x), rtol=1e-12)
    assert len(Stream.graphs) == len(inputs)
    store = on_device(R.normal(size=701))       # one address, two sizes
    for x in (store[:700], store[:699], store[:700], store[:699]):
        np.testing.assert_allclose(launched(f, x)[0], by_numpy(x), rtol=1e-12)


def test_results_that_are_kept_stay_what_they_were():
    f, inputs = pb.compile(normalised), [on_device(R.normal(size=300)) for _ in range(5)]
    for _ in range(3):
        kept = [f(x) for x in inputs]
        for x, y in zip(inputs, kept, strict=True):
            np.testing.assert_allclose(y, by_numpy(x), rtol=1e-12)


def test_keys_that_never_come_again_are_not_captured_and_few_are_kept():
    f, inputs = pb.compile(normalised), [on_device(R.normal(size=50)) for _ in range(100)]
    for x in inputs:
        f(x)
    assert not Stream.graphs
    graphs, = [g for _, e in next(iter(f._entries.values())) for g in e.compiled._graphs.values()]
    assert len(graphs.known) == 64


def test_library_steps_stand_between_graphs():
    def layers(x, a):
        return normalised(normalised(x) @ a)

    f = pb.compile(layers)
    x, a = on_device(R.normal(size=(25, 40))), on_device(R.normal(size=(40, 30)))
    launched(f, x, a), launched(f, x, a)
    result, count = launched(f, x, a)
    assert count == len(Stream.graphs) == 2 and "gemm" in f.explain() and f.explain().count("one CUDA graph: ") == 2
    np.testing.assert_allclose(result, by_numpy(by_numpy(x) @ a), rtol=1e-10)


def relaxed(turns):
    """A loop that is no lane: each turn wants the mean of the last, and its number."""
    return lambda x: pb.fori_loop(0, turns, lambda i, c: c - 0.1 * pb.mean(c) + 1e-3 * i, x)


def relaxed_by_numpy(x, turns):
    c = np.array(x)
    for i in range(turns):
        c = c - 0.1 * np.mean(c) + 1e-3 * i
    return c


@pytest.mark.parametrize("turns", [0, 1, 5, 31, 32, 33, 1000])
def test_turns_of_a_loop_are_launched_in_blocks(turns):
    f, x = pb.compile(relaxed(turns)), on_device(R.normal(size=60))
    for _ in range(3):
        result, count = launched(f, x)
        np.testing.assert_allclose(result, relaxed_by_numpy(x, turns), rtol=1e-9)
    assert count <= 4 + turns // 20
    if turns == 1000:
        assert "launched 31 times" in f.explain()


def test_the_first_call_of_a_long_loop_plays_its_second_block_already():
    f, x = pb.compile(relaxed(1000)), on_device(R.normal(size=60))
    result, count = launched(f, x)
    assert count < 400
    np.testing.assert_allclose(result, relaxed_by_numpy(x, 1000), rtol=1e-9)


def test_a_count_that_lies_on_the_device():
    f = pb.compile(lambda x, n: pb.fori_loop(0, n, lambda i, c: c - 0.1 * pb.mean(c) + 1e-3 * i, x))
    x = on_device(R.normal(size=60))
    for turns in (70, 3, 70, 0, 65, 70, 1000):
        result, count = launched(f, x, np.int64(turns))
        np.testing.assert_allclose(result, relaxed_by_numpy(x, turns), rtol=1e-9)
    assert count < 400


@pytest.mark.parametrize("turns", [1, 4, 7, 45, 200])
def test_buffers_that_trade_places(turns):
    def rotate(x):
        return pb.fori_loop(0, turns, lambda i, c: pb.roll(c, 1) + 0.1 * pb.mean(c), x)

    f, x = pb.compile(rotate), on_device(R.normal(size=33))
    expected = np.array(x)
    for _ in range(turns):
        expected = np.roll(expected, 1) + 0.1 * expected.mean()
    for _ in range(4):
        np.testing.assert_allclose(launched(f, x)[0], expected, rtol=1e-10)


def test_loops_in_loops_and_the_reverse_of_a_loop():
    def f(x):
        def outer(i, c):
            return pb.fori_loop(0, 3, lambda j, d: pb.roll(d, 1) * 0.9 + 0.01 * pb.mean(d) * (i + j), c)
        return pb.sum(pb.fori_loop(0, 50, outer, x) ** 2)

    x = R.normal(size=20)
    expected = pb.compile(pb.value_and_grad(f))(x)
    g = pb.compile(pb.value_and_grad(f))
    for _ in range(3):
        for got, want in zip(g(on_device(x)), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9)
    assert any(graph.played for graph in Stream.graphs)


def test_a_while_loop_is_decided_by_the_host_and_its_turns_are_right():
    def halve(x):
        return pb.while_loop(lambda c: pb.sum(c * c) > 1e-3, lambda c: normalised(c) * pb.max(abs(c)) / 4, x)

    f, x = pb.compile(halve), on_device(R.normal(size=30))
    for _ in range(3):
        np.testing.assert_allclose(launched(f, x)[0], pb.compile(halve)(np.array(x)), rtol=1e-10)


def test_the_stream_of_the_user_is_launched_on_and_never_captures():
    f, x = pb.compile(normalised), on_device(R.normal(size=700))
    for _ in range(3):
        with Stream() as stream:
            f(x)
        assert stream.launches and stream.recorded is None
    assert Stream.current[-1].launches == 0


def test_a_capture_that_fails_is_said_and_plain_launches_do_the_work():
    Stream.refuses = "operation failed due to a previous error during capture"
    f, x = pb.compile(normalised), on_device(R.normal(size=700))
    counts = [launched(f, x)[1] for _ in range(3)]
    assert counts[0] == counts[1] == counts[2] >= 3
    np.testing.assert_allclose(f(x), by_numpy(x), rtol=1e-12)
    assert "no CUDA graphs, as the capture failed: operation failed due to a previous error" in f.explain()


def test_checks_in_graphs_report_once_for_each_call_that_failed():
    f = pb.compile(lambda x, k: normalised(x[k]))
    x, good = on_device(R.normal(size=50)), on_device(np.arange(20))
    f(x, good), f(x, good)
    cuda.synchronize()
    index = on_device(np.arange(20))
    for _ in range(3):
        np.ndarray.__setitem__(index, 3, 50)
        f(x, index)
        with pytest.raises(IndexError, match="outside its axis"):
            cuda.synchronize()
        np.ndarray.__setitem__(index, 3, 49)
        np.testing.assert_allclose(f(x, index), by_numpy(x[np.array(index)]), rtol=1e-12)
        cuda.synchronize()
    assert any(graph.played for graph in Stream.graphs)


def test_the_report_needs_no_device():
    f = pb.compile(relaxed(100)(pb.Var("x", ("n",))), device="cuda")
    assert "one CUDA graph of 32 turns of loop_0, launched 3 times, and 4 turns: " in f.explain()
    assert "CUDA graph" not in pb.compile(relaxed(100)(pb.Var("x", ("n",))), device="cpu").explain()
