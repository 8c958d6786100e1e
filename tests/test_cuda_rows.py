"""Every row of the table of operations as CUDA text, for every dtype that it takes: values, and derivatives to second
order."""

import re
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch, joined  # noqa: E402
from expressions import expected, fn, inputs_of, planned, traced  # noqa: E402

from pullback.dsl import ops  # noqa: E402
from pullback.dsl.errors import DTypeError, NotDifferentiable  # noqa: E402
from pullback.dsl.functional import grad  # noqa: E402
from pullback.dsl.primitives import cast, scalar  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
DTYPES = ("float64", "float32", "int64", "int32", "int8", "uint32", "uint8", "bool")
ROWS = {name: row for name, row in ops.ROWS.items() if row.kind != "cast"}


def takes(row, dtype):
    try:
        row.signature(*[np.dtype(bool if row.kind == "select" and i == 0 else dtype) for i in range(len(row.args))])
    except DTypeError:
        return False
    return True


def points(row, dtype, hard):
    """Arguments inside the row's domain and, with `hard`, its edges and special points."""
    r = np.random.default_rng(3)
    columns = [r.uniform(low, high, 40) for low, high in row.domain]
    if hard:
        extra = [*row.edges, *[arguments for arguments, *_ in row.special]]
        columns = [np.concatenate([c, [p[i] for p in extra]]) for i, c in enumerate(columns)]
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind in "iu":
            columns = [np.clip(np.nan_to_num(c), -100, 100) for c in columns]
        arrays = [c.astype(dtype) for c in columns]
    arrays = [a > 0.5 if row.kind == "select" and i == 0 else a for i, a in enumerate(arrays)]
    try:
        row.numpy(*arrays)
    except ValueError:  # integers to negative powers
        arrays = [abs(a) for a in arrays]
    return arrays


VALUES = [(name, dtype) for name, dtype in product(ROWS, DTYPES) if takes(ROWS[name], dtype)]
SMOOTH = [name for name, row in ROWS.items() if not row.jumps and name != "stop_gradient" and any(ops.partials(name))]


def value(name):
    return lambda *args: scalar(name, *args)


def derivatives(name):
    """The sum of first derivatives in every argument that has one, and the gradient of that."""
    wrt = tuple(i for i, partial in enumerate(ops.partials(name)) if partial is not None)

    def first(*args):
        found = grad(lambda *xs: fn.sum(scalar(name, *xs)), argnums=wrt)(*args)
        return sum(found[1:], start=found[0])

    def both(*args):
        once = first(*args)
        try:
            twice = grad(lambda *xs: fn.sum(first(*xs)), argnums=wrt)(*args)
        except NotDifferentiable:
            return (once,)
        return once, *twice

    return both


@pytest.fixture(scope="module")
def batch():
    """All of them in one translation unit."""
    found, graphs = EmulatedBatch(), {}
    for name, dtype in VALUES:
        graphs[name, dtype] = traced(value(name), points(ROWS[name], dtype, True))
        found.add(planned(graphs[name, dtype]))
    for name in SMOOTH:
        graphs[name] = traced(derivatives(name), points(ROWS[name], "float64", False))
        found.add(planned(graphs[name]))
    return found, graphs


def run(batch, key, arrays):
    emulated, graphs = batch
    return emulated.run(list(graphs).index(key), *inputs_of(graphs[key], arrays)), expected(graphs[key], arrays)


@pytest.mark.parametrize(("name", "dtype"), VALUES)
def test_values(batch, name, dtype):
    arrays = points(ROWS[name], dtype, True)
    (got,), (want,) = run(batch, (name, dtype), arrays)
    assert got.dtype == want.dtype
    close = ROWS[name].close(got, want, factor=4)
    assert close.all(), [(*[a[i] for a in arrays], got[i], want[i]) for i in np.flatnonzero(~close)]


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_to_second_order(batch, name):
    got, want = run(batch, name, points(ROWS[name], "float64", False))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize("source", DTYPES)
def test_casts(source):
    r = np.random.default_rng(5)
    array = r.uniform(0, 100, 50).astype(source) if source != "bool" else r.uniform(size=50) > 0.5
    graph = traced(lambda x: tuple(cast(x, target) for target in DTYPES), [array])
    emulated = EmulatedBatch()
    outputs = emulated.run(emulated.add(planned(graph)), *inputs_of(graph, [array]))
    for target, got in zip(DTYPES, outputs, strict=True):
        assert got.dtype == target
        np.testing.assert_array_equal(got, array.astype(target))


# First and second derivatives in one kernel that take more than 255 registers, and the bytes that they may spill.
SPILLS = {"beta": 512, "betaln": 384}


@pytest.mark.skipif(nvrtc.nvrtc_version() is None, reason="NVRTC is not installed")
def test_rows_compile_without_spills_but_for_a_few(batch):
    """In the dtypes that differ in kind, and the derivatives."""
    texts = {key: t.text for key, (_, t) in zip(batch[1], batch[0].programs, strict=True)
             if isinstance(key, str) or key[1] in ("float64", "float32", "int32")}
    spilled: dict[object, int] = {}
    for name, found in nvrtc.compile_text(joined(list(texts.values()))).footprints.items():
        length = re.match(r"_ZN(\d+)unit_", name)
        assert length is not None, name
        unit = name[length.end(1): length.end(1) + int(length[1])]
        key = list(texts)[int(unit.removeprefix("unit_"))]
        spilled[key] = max(spilled.get(key, 0), found.spill_stores + found.spill_loads)
    assert {key: count for key, count in spilled.items() if count > SPILLS.get(key, 0)} == {}
