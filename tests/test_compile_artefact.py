"""Programs saved, loaded without what they came from, and exported as text."""

import dataclasses
import json
import os
import subprocess
import sys
import zipfile
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import native

DOUBLE = np.dtype("f8")


@dataclasses.dataclass
class State:
    position: Any
    speed: Any


def saved(f, tmp_path):
    path = tmp_path / "program.pullback"
    f.save(path)
    return pb.load(path)


def test_expression_nest_with_several_kinds(tmp_path):
    x, y = pb.Var("x"), pb.Var("y")
    f = pb.compile({"sum": x * 2 + y, "total": (x.sum(), [None])}, args=["x", "y"])
    f(np.ones(3), 2.0)
    f(np.ones((3, 2)), np.ones(2, np.float32))
    g = saved(f, tmp_path)
    for arguments in ((np.arange(3.0), 3.0), (np.arange(9.0), -1.0), (np.ones((4, 5)), np.ones(5, np.float32))):
        for _ in range(2):
            result, expected = g(*arguments), f(*arguments)
            assert list(result) == ["sum", "total"] and result["total"][1] == [None]
            np.testing.assert_array_equal(result["sum"], expected["sum"])
            np.testing.assert_array_equal(result["total"][0], expected["total"][0])
    assert g(y=3.0, x=np.ones(2))["sum"].tolist() == [5.0, 5.0]
    assert g.log == [] and "float64" not in repr(g)
    with pytest.raises(TypeError, match="needs y"):
        g(np.ones(3))
    with pytest.raises(pb.PullbackError, match=r"holds no program for \(x: int64 \(3,\), y: int64 \(\)\): .*dtype"):
        g(np.arange(3), 3)
    out = {"sum": np.zeros(3), "total": (np.zeros(()), [None])}
    assert g(np.ones(3), 1.0, out=out)["sum"] is out["sum"] and out["sum"].tolist() == [3.0] * 3


def test_function_with_nests_strings_guards_constants_and_inputs_as_results(tmp_path):
    constant = np.arange(4.0)

    def step(state, mode="plain", *, k=2.0, dtype=DOUBLE):
        n = state.position.shape[0]
        moved = state.position + state.speed * k
        moved = moved + constant if n == 4 else moved
        return State(moved if mode == "plain" else -moved, state.speed), {"n": n, "tail": moved[1:].astype(dtype)}

    f = pb.compile(step)
    small, large = (State(np.ones(n), np.full(n, 0.5)) for n in (4, 7))
    for arguments in ((small,), (large,), (small, "minus")):
        f(*arguments)
        f(*arguments, k=3.0)
    f(small, dtype=np.dtype("f4"))
    g = saved(f, tmp_path)
    for arguments in ((small,), (large,), (small, "minus"), (State(np.zeros(9), np.ones(9)),)):
        for options in ({}, {"k": 3.0}, {"k": 5.0}):
            (state, facts), (expected, other) = g(*arguments, **options), f(*arguments, **options)
            np.testing.assert_array_equal(state.position, expected.position)
            np.testing.assert_array_equal(facts["tail"], other["tail"])
            assert facts["n"] == other["n"] and not np.shares_memory(state.speed, arguments[0].speed)
    assert g(small, dtype=np.dtype("f4"))[1]["tail"].dtype == np.float32
    with pytest.raises(pb.PullbackError, match="holds no program"):
        g(large, "other")
    with pytest.raises(TypeError, match="missing a required argument: 'state'"):
        g()


def test_another_process_needs_neither_the_function_nor_numba_nor_the_cache(tmp_path):
    f = pb.compile(lambda w, x: pb.exp(w @ x).sum())
    expected = f(np.eye(2), np.ones((2, 3)))
    f.save(tmp_path / "f.pullback")
    code = ("import sys, json, numpy as np, pullback as pb\n"
            "f = pb.load('f.pullback')\n"
            "value = f(np.eye(2), np.ones((2, 3)))\n"
            "print(json.dumps([float(value), [m for m in ('numba', 'sympy') if m in sys.modules]]))")
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(tmp_path / "none")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env=environment)
    assert json.loads(done.stdout) == [float(expected), []]
    assert not list((tmp_path / "none").glob("*/*"))


def test_another_processor_compiles_again(tmp_path, monkeypatch):
    f = pb.compile(lambda x: pb.sin(x) * 2)
    expected = f(np.linspace(0, 1, 9))
    compiled = []
    real = native.compile_ir
    with monkeypatch.context() as patched:
        patched.setattr(native, "host", lambda: ("another", "+none"))
        f.save(tmp_path / "f.pullback")
    monkeypatch.setattr(native, "compile_ir", lambda text: compiled.append(text) or real(text))
    np.testing.assert_array_equal(pb.load(tmp_path / "f.pullback")(np.linspace(0, 1, 9)), expected)
    assert len(compiled) == 1


def test_what_cannot_be_saved_or_loaded(tmp_path):
    f = pb.compile(lambda x, function=None: x if function is None else function(x))
    with pytest.raises(pb.PullbackError, match="no program was compiled yet: call it once"):
        f.save(tmp_path / "f")
    f(np.ones(3), pb.sin)
    with pytest.raises(pb.PullbackError, match="cannot be saved: .*closes over it"):
        f.save(tmp_path / "f")
    (tmp_path / "text").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "other", "w") as archive:
        archive.writestr("a", "b")
    with zipfile.ZipFile(tmp_path / "future", "w") as archive:
        archive.writestr("facts.json", '{"format": 99}')
    for name, words in (("text", "is no file written by"), ("other", "is no file written by"), ("future", "format 99")):
        with pytest.raises(pb.PullbackError, match=words):
            pb.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        pb.load(tmp_path / "missing")


def test_a_loaded_program_has_no_text(tmp_path):
    f = pb.compile(lambda x: x + 1)
    f(np.ones(3))
    g = saved(f, tmp_path)
    for read in (g.source, g.explain, lambda: g.lower(np.ones(3))):
        with pytest.raises(pb.PullbackError, match="holds compiled code only"):
            read()
    with pytest.raises(pb.PullbackError, match="arrays, not expressions"):
        g(pb.Var("x"))


def test_exported_python_runs_by_itself(tmp_path):
    f = pb.compile(lambda w, x: (pb.exp(w @ x), x.sum()))
    w, x = np.linspace(0, 1, 6).reshape(2, 3), np.linspace(-1, 1, 12).reshape(3, 4)
    expected = f(w, x)
    f.export(tmp_path / "exported.py")
    code = ("import sys, numpy as np\nsys.path.insert(0, '.')\nimport exported\n"
            "a, b = exported.program(np.linspace(0, 1, 6).reshape(2, 3), np.linspace(-1, 1, 12).reshape(3, 4))\n"
            "print(np.asarray(a).tobytes().hex(), 'pullback' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.split() == [expected[0].tobytes().hex(), "False"], done.stderr


def test_exported_cuda_and_wrong_names(tmp_path):
    f = pb.compile(lambda x: pb.exp(x) * 2, device="cuda")
    f.lower(np.ones(3))
    f.export(tmp_path / "exported.cu")
    text = (tmp_path / "exported.cu").read_text()
    kernels = f.source("cuda").partition("\n")[2].replace('extern "C" ', "")
    assert kernels in text and "int exported_run(" in text and "#include" not in kernels
    with pytest.raises(pb.PullbackError, match=r"'name\.py' or 'name\.cu', not 'exported\.txt'"):
        f.export(tmp_path / "exported.txt")
