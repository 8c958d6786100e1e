"""Where other tools give NaN for a number: values and derivatives at those points, on the CPU and in CUDA text."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch  # noqa: E402
from expressions import inputs_of, planned, traced  # noqa: E402

import pullback as pb  # noqa: E402

INF = np.inf
LOG2 = np.log(2.0)


def norm(v):
    return pb.sqrt(pb.sum(v * v))


# name -> function, argument, value, gradient of the sum of the value
CASES = {
    "a root beside a branch": (lambda x: pb.where(x > 0, pb.sqrt(x), x), [-1.0, 0.0, 4.0], [-1, 0, 2], [1, 1, 0.25]),
    "a logarithm beside a branch": (lambda x: pb.where(x > 0, pb.log(x), 0.0), [-1.0, 0.0, 4.0], [0, 0, 2 * LOG2],
                                    [0, 0, 0.25]),
    "sin(x)/x": (lambda x: pb.where(x == 0, 1.0, pb.sin(x) / x), [0.0, 1.0], [1, np.sin(1)],
                 [0, np.cos(1) - np.sin(1)]),
    "norm": (norm, [0.0, 0.0], 0.0, [0, 0]),
    "square of a norm": (lambda x: norm(x) ** 2, [0.0, 0.0], 0.0, [0, 0]),
    "distance of equal points": (lambda x: pb.sum(pb.sqrt(pb.sum((x[:, None] - x[None, :]) ** 2, axis=1))), [3.0, 3.0],
                                 0.0, [0, 0]),
    "hypot written out": (lambda x: pb.sqrt(x[0] ** 2 + x[1] ** 2), [0.0, 0.0], 0.0, [0, 0]),
    "hypot of huge numbers": (lambda x: pb.sqrt(x[0] ** 2 + x[1] ** 2), [3e200, 4e200], 5e200, [0.6, 0.8]),
    "power 0": (lambda x: x**0, [0.0, -2.0], [1, 1], [0, 0]),
    "power 0.0 as an array": (lambda x: x ** pb.zeros_like(x), [0.0, -2.0], [1, 1], [0, 0]),
    "power 2": (lambda x: x**2, [0.0, -2.0], [0, 4], [0, -4]),
    "power 2.0 as an array": (lambda x: x ** (2 * pb.ones_like(x)), [0.0, -2.0], [0, 4], [0, -4]),
    "0 to a power": (lambda x: pb.zeros_like(x) ** x, [0.0, 1.0, 2.5], [1, 0, 0], [0, 0, 0]),
    "naive sigmoid": (lambda x: 1 / (1 + pb.exp(-x)), [-1e5, 0.0, 1e5], [0, 0.5, 1], [0, 0.25, 0]),
    "naive sigmoid, upside down": (lambda x: pb.exp(x) / (1 + pb.exp(x)), [-1e5, 0.0, 1e5], [0, 0.5, 1], [0, 0.25, 0]),
    "naive softplus": (lambda x: pb.log(1 + pb.exp(x)), [-1e5, 0.0, 1e5], [0, LOG2, 1e5], [0, 0.5, 1]),
    "log of a naive sigmoid": (lambda x: pb.log(1 / (1 + pb.exp(-x))), [-1e5, 0.0, 1e5], [-1e5, -LOG2, 0], [1, 0.5, 0]),
    "log-cosh": (lambda x: pb.log(pb.cosh(x)), [-1e4, 0.0, 800.0], [1e4 - LOG2, 0, 800 - LOG2], [-1, 0, 1]),
    "x*log(x)": (lambda x: x * pb.log(x), [0.0, 1.0], [0, 0], [-INF, 1]),
    "logsumexp of nothing likely": (lambda x: pb.logsumexp(x), [-INF, -INF], -INF, [0, 0]),
    "logsumexp with one impossible": (lambda x: pb.logsumexp(x), [-INF, 2.0], 2.0, [0, 1]),
    "naive logsumexp": (lambda x: pb.log(pb.sum(pb.exp(x))), [1000.0, 1000.0], 1000 + LOG2, [0.5, 0.5]),
    "naive logsumexp of nothing likely": (lambda x: pb.log(pb.sum(pb.exp(x))), [-INF, -INF], -INF, [0, 0]),
    "logaddexp of nothing likely": (lambda x: pb.logaddexp(x[0], x[1]), [-INF, -INF], -INF, [0.5, 0.5]),
    "softmax of nothing likely": (lambda x: pb.softmax(x), [-INF, -INF], [0, 0], [0, 0]),
    "angle at the origin": (lambda x: pb.arctan2(x[0], x[1]), [0.0, 0.0], 0.0, [0, 0]),
    "angle far away": (lambda x: pb.arctan2(x[0], x[1]), [1e200, 1e200], np.pi / 4, [5e-201, -5e-201]),
    "standard deviation of a constant": (lambda x: pb.std(x), [2.0, 2.0, 2.0], 0.0, [0, 0, 0]),
    "root of a square": (lambda x: pb.sqrt(x * x), [0.0, -2.0, 1e200], [0, 2, 1e200], [0, -1, 1]),
    "root of a mean square": (lambda x: pb.sqrt(pb.mean(x**2)), [0.0, 0.0], 0.0, [0, 0]),
    "arcsinh of huge numbers": (lambda x: pb.arcsinh(x), [-1e200, 1e22], [-np.arcsinh(1e200), np.arcsinh(1e22)],
                                [1e-200, 1e-22]),
    "arccosh at its end": (lambda x: pb.arccosh(x), [1.0, 1e200], [0, np.arccosh(1e200)], [INF, 1e-200]),
    "arctanh near its end": (lambda x: pb.arctanh(x), [0.0, 1 - 2.0**-53], [0, np.arctanh(1 - 2.0**-53)],
                             [1, 2.0**53 / (2 - 2.0**-53)]),
    "tanh far out": (lambda x: pb.tanh(x), [-1e4, 0.0, 1e4], [-1, 0, 1], [0, 1, 0]),
    "largest of equals": (lambda x: pb.max(x), [3.0, 1.0, 3.0], 3.0, [0.5, 0, 0.5]),
    "product with zeros": (lambda x: pb.prod(x), [2.0, 0.0, 3.0], 0.0, [0, 6, 0]),
    "normal tail": (lambda x: pb.log_ndtr(x), [-1e8, 0.0], [-5e15 - np.log(1e8) - 0.5 * np.log(2 * np.pi), -LOG2],
                    [1e8, np.sqrt(2 / np.pi)]),
    "Kullback-Leibler at 0": (lambda x: pb.rel_entr(x, 0.5), [0.0, 0.5], [0, 0], [0, 1]),
}
# float32, where arcsinh(1e22) and exp overflow earlier
SINGLE = {
    "arcsinh": (lambda x: pb.arcsinh(x), [1e22, -1e22], [np.arcsinh(1e22), -np.arcsinh(1e22)], [1e-22, 1e-22]),
    "naive sigmoid": (lambda x: 1 / (1 + pb.exp(-x)), [-1e3, 0.0], [0, 0.5], [0, 0.25]),
    "naive softplus": (lambda x: pb.log(1 + pb.exp(x)), [100.0, -100.0], [100, 0], [1, 0]),
    "hypot of huge numbers": (lambda x: pb.sqrt(x[0] ** 2 + x[1] ** 2), [3e30, 4e30], 5e30, [0.6, 0.8]),
}
EVERY = [*((name, case, np.float64) for name, case in CASES.items()),
         *((f"{name}, single", case, np.float32) for name, case in SINGLE.items())]
NAMES = [name for name, _, _ in EVERY]


def both(function):
    return lambda x: (function(x), pb.grad(lambda x: pb.sum(function(x)))(x))


def along(function, size):
    """The tangents of the sum along each axis."""
    def tangent(x, i):
        return pb.jvp(lambda x: pb.sum(function(x)), (x,), (pb.asarray(np.eye(size, dtype=x.dtype)[i]),))[1]

    return lambda x: pb.stack([tangent(x, i) for i in range(size)])


def close(found, wanted, dtype):
    single = dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6 if single else 1e-14, atol=1e-35 if single else 1e-300)


@pytest.mark.parametrize(("name", "case", "dtype"), EVERY, ids=NAMES)
def test_on_the_cpu_in_both_modes(name, case, dtype):
    function, at, value, slope = case
    x = np.array(at, dtype)
    found = pb.compile(lambda x: (*both(function)(x), along(function, len(x))(x)))(x)
    with np.errstate(invalid="ignore"):
        forward = np.eye(len(x)) @ slope        # NaN from 0 times an infinite slope, as the sum of tangents has it
    for got, want in zip(found, (value, slope, forward), strict=True):
        assert got.dtype == dtype
        close(got, want, dtype)


@pytest.fixture(scope="module")
def emulated():
    """Every case in one translation unit."""
    batch, graphs = EmulatedBatch(), {}
    for name, (function, at, *_), dtype in EVERY:
        graphs[name] = traced(both(function), [np.array(at, dtype)])
        batch.add(planned(graphs[name]))
    return batch, graphs


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize(("name", "case", "dtype"), EVERY, ids=NAMES)
def test_in_cuda_text(emulated, name, case, dtype):
    batch, graphs = emulated
    _, at, value, slope = case
    found = batch.run(NAMES.index(name), *inputs_of(graphs[name], [np.array(at, dtype)]))
    for got, want in zip(found, (value, slope), strict=True):
        close(np.reshape(got, np.shape(want)), want, dtype)
