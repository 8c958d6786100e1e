"""Compiled code on disk: what a second process imports and pays, what makes a new entry, what a broken one costs."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import execute_cpu, native

FIRST = """
    import json, sys, time
    import numpy as np
    import pullback as pb

    start = time.perf_counter()
    w, x, b = pb.Var("w"), pb.Var("x"), pb.Var("b")
    loss = pb.sum(pb.log(1 + pb.exp(w @ x + b)))
    f = pb.compile((loss, pb.grad(loss, w)))
    value, gradient = f(w=np.linspace(-1, 1, 12).reshape(3, 4), x=np.linspace(0, 1, 20).reshape(4, 5), b=0.5)
    seconds = time.perf_counter() - start
    heavy = [m for m in ("numba", "sympy", "cupy", "scipy.linalg") if m in sys.modules]
    print(json.dumps({"seconds": seconds, "heavy": heavy, "disk": f.log[0]["timing"].disk,
                      "bytes": value.tobytes().hex() + gradient.tobytes().hex()}))
"""


def run(code, folder, **environment):
    """What a new process prints, with `folder` as its cache."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False,
                          env={**os.environ, "PULLBACK_CACHE_DIR": str(folder), **environment}, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def entries(folder):
    return sorted(p for p in pathlib.Path(folder).glob("cpu/*"))


def test_second_process_neither_compiles_nor_imports_numba_or_sympy(tmp_path):
    first = run(FIRST, tmp_path)
    assert first["disk"] == "miss" and len(entries(tmp_path)) == 1
    later = [run(FIRST, tmp_path) for _ in range(3)]
    assert all(r["disk"] == "hit" and r["heavy"] == [] and r["bytes"] == first["bytes"] for r in later)
    assert len(entries(tmp_path)) == 1
    seconds = statistics.median(r["seconds"] for r in later)
    print(f"a disk hit answers {seconds * 1e3:.0f} ms after the import, a miss {first['seconds'] * 1e3:.0f} ms")
    assert seconds < first["seconds"] + 0.15


@pytest.mark.parametrize("damage", [lambda c: c[:-7], lambda c: b"", lambda c: c[:60] + b"\xff\xff" + c[62:]])
def test_broken_entry_is_built_again(tmp_path, damage):
    first = run(FIRST, tmp_path)
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    again = run(FIRST, tmp_path)
    assert again["disk"] == "miss" and again["bytes"] == first["bytes"]
    assert run(FIRST, tmp_path)["disk"] == "hit" and len(entries(tmp_path)) == 1


def test_two_processes_at_once(tmp_path):
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(tmp_path)}
    several = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(FIRST)], stdout=subprocess.PIPE, text=True,
                                env=environment, cwd=tmp_path) for _ in range(3)]
    results = [json.loads(process.communicate()[0]) for process in several]
    assert len({r["bytes"] for r in results}) == 1 and len(entries(tmp_path)) == 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(tmp_path))
    return tmp_path


def disk(function, argument):
    """'hit' or 'miss' of a program that this process has not compiled."""
    f = pb.compile(function)
    np.testing.assert_array_equal(f(argument), function(argument))
    return f.log[0]["timing"].disk


def test_the_key_depends_on_dtype_graph_and_processor_but_not_on_names_or_sizes(folder, monkeypatch):
    x = np.array([0.0, -2.0, 3.0])
    same = [(lambda x: x * 2.0 + 1.0, x), (lambda x: x * 2.0 + 1.0, np.ones(77)), (lambda other: other * 2 + 1, x)]
    assert [disk(*case) for case in same] == ["miss", "hit", "hit"]
    different = [
        (lambda x: x * 2.0 + 1.0, x.astype("f4")), (lambda x: x * 2.0 + 1.0, np.ones((3, 2))),
        (lambda x: x * 2.0 + 1.0, np.ones(1)), (lambda x: x * 2.0 + 1.0, np.asfortranarray(np.ones((3, 2)))),
        (lambda x: x * 2.0 + -1.0, x), (lambda x: x * 2.0 - 1.0, x), (lambda x: x * 2.0 + 0.0, x),
        (lambda x: x * 2.0 + -0.0, x), (lambda x: x * 2.0 + 1.0 + 0 * x, x), (lambda x: 2.0 * x + x, x),
    ]
    assert [disk(*case) for case in different] == ["miss"] * len(different)
    assert [disk(*case) for case in [*same, *different]] == ["hit"] * (len(different) + 3)
    assert len(entries(folder)) == len(different) + 1
    name, features = native.host()
    monkeypatch.setattr(execute_cpu, "host", lambda: (name, f"{features},-avx512f"))
    assert disk(*same[0]) == "miss"


def test_captured_arrays_are_no_part_of_the_key(folder):
    for value, expected in ((1.0, "miss"), (2.0, "hit")):
        constant = np.full(3, value)
        assert disk(lambda x, c=constant: x + c, np.arange(3.0)) == expected


def test_what_is_read_after_a_disk_hit(folder):
    """The program is planned again when somebody asks to see it."""
    texts = []
    for _ in range(2):
        f = pb.compile(lambda x: pb.exp(x).sum())
        f(pb.ones(3).eval())
        texts.append((f.log[0]["timing"].disk, f.source("cpu"), f.explain()))
    assert [t[0] for t in texts] == ["miss", "hit"] and texts[0][1:] == texts[1][1:]
