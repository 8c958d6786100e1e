"""Every row of the table of operations in machine code: values for every dtype that it takes, over its domain, edges
and special points, and derivatives to second order. All from the table. (That the Numba text has the same bits is
tested operation by operation beside its writer.)"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from table_of_rows import points
from target_contract import Job, expected, job_of, run_on_cpu

from pullback.dsl import ops
from pullback.dsl.errors import DTypeError, NotDifferentiable
from pullback.dsl.functional import grad
from pullback.dsl.node import FUNCTIONS
from pullback.dsl.primitives import cast, scalar

DTYPES = ("float64", "float32", "int64", "int32", "int8", "uint64", "uint8", "bool")
ROWS = {name: row for name, row in ops.ROWS.items() if row.kind != "cast"}
SMOOTH = [name for name, row in ROWS.items() if row.kind in ("float", "numeric", "select") and any(ops.partials(name))]


def takes(row, dtype: str) -> bool:
    try:
        row.signature(*[np.dtype(bool if row.kind == "select" and i == 0 else dtype) for i in range(len(row.args))])
    except DTypeError:
        return False
    return True


def arguments(row, dtype: str, special: bool) -> list[np.ndarray]:
    """Points of the row's domain and edges, and with `special` where the table spells values out."""
    columns = points(row, 40)
    if special:
        columns = [np.concatenate([c, [p[i] for p, *_ in row.special]]) for i, c in enumerate(columns)]
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind in "iu":
            low = 0 if dtype[0] == "u" else -100
            columns = [np.clip(np.nan_to_num(c), low, 100) for c in columns]
        arrays = [c.astype(dtype) for c in columns]
    arrays = [a > 0.5 if row.kind == "select" and i == 0 else a for i, a in enumerate(arrays)]
    try:
        row.numpy(*arrays)
    except ValueError:                              # integers to negative powers
        arrays = [np.abs(a) for a in arrays]
    return arrays


def joined(functions_and_arrays) -> tuple[Job, list[np.ndarray]]:
    """One program that computes each function on its own arrays, and all its results."""
    functions, arrays = zip(*functions_and_arrays, strict=True)
    counts = [len(a) for a in arrays]

    def every(*leaves):
        rest = iter(leaves)
        return tuple(f(*[next(rest) for _ in range(n)]) for f, n in zip(functions, counts, strict=True))

    return job_of(every, [a for group in arrays for a in group])


@cache
def values(dtype: str) -> dict[str, tuple]:
    """name -> (arguments, result) of every row on `dtype`, computed by one program."""
    names = [name for name, row in ROWS.items() if takes(row, dtype)]
    given = [arguments(ROWS[name], dtype, True) for name in names]
    job = joined([(lambda *args, name=name: scalar(name, *args), a) for name, a in zip(names, given, strict=True)])
    return dict(zip(names, zip(given, run_on_cpu(job), strict=True), strict=True))


def assert_row(name: str, given: list[np.ndarray], got: np.ndarray) -> None:
    row = ROWS[name]
    want = row.numpy(*given)
    assert got.dtype == want.dtype
    close = row.close(got, want, factor=4)
    assert close.all(), [(*[a[i] for a in given], got[i], want[i]) for i in np.flatnonzero(~close)]


CASES = [(name, dtype) for dtype, (name, row) in product(DTYPES, ROWS.items()) if takes(row, dtype)]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_values_of_machine_code(name, dtype):
    assert_row(name, *values(dtype)[name])


def first(name: str):
    """The sum of the first derivatives that there are."""
    wrt = tuple(i for i, partial in enumerate(ops.partials(name)) if partial is not None)

    def derivative(*args):
        found = grad(lambda *xs: FUNCTIONS["sum"](scalar(name, *xs)), argnums=wrt)(*args)
        return sum(found[1:], start=found[0])

    return derivative, wrt


def to_second_order(name: str):
    derivative, wrt = first(name)

    def both(*args):
        once = derivative(*args)
        try:
            return (once, *grad(lambda *xs: FUNCTIONS["sum"](derivative(*xs)), argnums=wrt)(*args))
        except NotDifferentiable:
            return (once,)

    return both


@pytest.mark.parametrize("part", range(4))
def test_derivatives_to_second_order(part):
    names = SMOOTH[part::4]
    job = joined([(to_second_order(name), arguments(ROWS[name], "float64", False)) for name in names])
    for k, (got, want) in enumerate(zip(run_on_cpu(job), expected(job), strict=True)):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-12 * np.abs(want[np.isfinite(want)]).max(initial=0),
                                   err_msg=f"result {k} of {names}")


@pytest.mark.parametrize("source", DTYPES)
def test_casts(source):
    r = np.random.default_rng(5)
    array = r.uniform(0, 100, 50).astype(source) if source != "bool" else r.uniform(size=50) > 0.5
    job = job_of(lambda x: tuple(cast(x, target) for target in DTYPES), [array])
    for target, got in zip(DTYPES, run_on_cpu(job), strict=True):
        assert got.dtype == target
        np.testing.assert_array_equal(got, array.astype(target))
