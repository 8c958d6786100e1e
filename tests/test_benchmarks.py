"""Each program of benchmarks/ at a tiny size: its value as NumPy computes it, its gradient as differences have it.

The peers by hand must say the same, or they would be no peers.
"""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.stem for path in (ROOT / "benchmarks/programs").glob("*.py"))


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    """The folder is no package of the installation: it is found from the root of the repository."""
    sys.path.append(str(ROOT))
    yield
    sys.path.remove(str(ROOT))


def load(name: str, dtype: str = "float64"):
    frame = importlib.import_module("benchmarks.program")
    module = importlib.import_module(f"benchmarks.programs.{name}")
    return frame.Program(name, module.TINY, dtype)


def build(program, system, measure):
    systems = importlib.import_module("benchmarks.systems")
    if system == "c" and importlib.import_module("benchmarks.by_c").compiler() is None:
        pytest.skip("no C compiler")
    return systems.flatten(systems.BUILD[system](program, measure)())


@pytest.mark.parametrize("name", NAMES)
def test_value_is_that_of_numpy(name):
    program = load(name)
    for got, want in zip(build(program, "pullback", "value"), build(program, "numpy", "value"), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12 * np.abs(want).max())


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_that_of_differences(name):
    """Along one direction in all parameters, by the text that NumPy runs."""
    program = load(name)
    if not program.wrt:
        pytest.skip("nothing to differentiate in")
    control = importlib.import_module("benchmarks.numpy_control")
    weights, arrays = program.arguments()
    draw = np.random.default_rng(5)
    moves = [draw.standard_normal(arrays[k].shape) * (1e-6 + np.abs(arrays[k])) for k in program.wrt]

    def loss(step):
        moved = list(arrays)
        for k, move in zip(program.wrt, moves, strict=True):
            moved[k] = arrays[k] + step * move
        value = getattr(program.module, "value_numpy", None)
        if value:
            results = importlib.import_module("benchmarks.systems").flatten(value(*moved))
        else:
            result = program.run(np, control.CONTROL, [control.as_updatable(a) for a in moved])
            results = result if isinstance(result, tuple | list) else [result]
        return sum(np.sum(w * r) for w, r in zip(weights or [1.0], results, strict=True))

    value, *slopes = build(program, "pullback", "gradient")
    np.testing.assert_allclose(value, loss(0.0), rtol=1e-9)
    step = 1e-6
    along = (8 * (loss(step) - loss(-step)) - loss(2 * step) + loss(-2 * step)) / (12 * step)
    terms = [np.sum(slope * move) for slope, move in zip(slopes, moves, strict=True)]
    scale = max(abs(along), *(np.sum(np.abs(slope * move)) for slope, move in zip(slopes, moves, strict=True)))
    assert abs(sum(terms) - along) < 1e-6 * scale


def by_hand():
    for path in sorted((ROOT / "benchmarks/by_hand").glob("*.*")):
        pattern, system = (r"^def (\w+)\(", "numba") if path.suffix == ".py" else (r"^void (\w+)\(", "c")
        for measure in re.findall(pattern, path.read_text(), re.MULTILINE):
            if path.stem in NAMES and measure in ("value", "gradient"):
                yield path.stem, system, measure


@pytest.mark.parametrize(("name", "system", "measure"), list(by_hand()))
def test_peers_by_hand_compute_the_same(name, system, measure):
    if system == "numba":
        pytest.importorskip("numba")
    program = load(name)
    assert system in program.peers
    for got, want in zip(build(program, system, measure), build(program, "pullback", measure), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10 * np.abs(want).max())


@pytest.mark.parametrize(
    "name", [n for n in NAMES if "def gradient_numpy" in (ROOT / f"benchmarks/programs/{n}.py").read_text()])
def test_gradients_by_numpy_compute_the_same(name):
    program = load(name)
    for got, want in zip(build(program, "numpy", "gradient"), build(program, "pullback", "gradient"), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10 * np.abs(want).max())


def test_programs_in_c_leave_the_arithmetic_of_the_process_alone():
    """What gcc links with -ffast-math flushes subnormal numbers to zero, in numpy as well, from its loading on."""
    by_c = importlib.import_module("benchmarks.by_c")
    if by_c.compiler() is None:
        pytest.skip("gcc is not there")
    by_c.load("triad")
    assert np.array([5e-324]) * 1.0 > 0
