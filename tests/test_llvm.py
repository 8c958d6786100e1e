"""Hand-built Programs through the LLVM writer, against NumPy."""

import numpy as np
import pytest
from hand_built import (
    at,
    column_sums,
    countdown,
    cumulative_sum,
    f64,
    float32_mixture,
    floats,
    full_sum,
    n,
    nested_sum,
    pad_and_flip,
    pointwise,
    products,
    program,
    row_softmax,
    scatter_add,
    smoothing_loop,
    take,
)

from pullback import CompileError
from pullback.codegen.llvm import write_llvm
from pullback.codegen.program import Axis, Kernel, Let, Load, Store
from pullback.kernels.cpu import CpuProgram


def run(p, given, **arrays):
    """Runs `p` on arrays of the caller. Returns the error code."""
    return CpuProgram.build(p).run(
        [arrays[name].ctypes.data for name, b in p.buffers.items() if b.kind != "temp"], given
    )


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, 200_001])
def test_pointwise_writes_no_element_too_many(size):
    x, y = normal(size), np.full(size + 1, 7.5)
    assert run(pointwise(), (size,), X=x, Y=y) == -1
    np.testing.assert_array_equal(y[:size], x * x + 2)
    assert y[size] == 7.5


@pytest.mark.parametrize("rows,columns", [(3, 5), (1, 1), (40, 1003), (0, 4), (4, 0)])
def test_row_softmax_in_three_vector_loops(rows, columns):
    x, y = normal(rows, columns), np.full((rows, columns), np.nan)
    assert run(row_softmax(), (rows, columns), X=x, Y=y) == -1
    if x.size:
        e = np.exp(x - x.max(1, keepdims=True))
        np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=1e-14)


def sum_in_lanes(values, lanes=8):
    """The order that the grammar promises."""
    acc = np.zeros(lanes)
    for start in range(0, len(values), lanes):
        part = values[start : start + lanes]
        acc[: len(part)] += part
    while lanes > 1:
        lanes //= 2
        acc = acc[:lanes] + acc[lanes:]
    return acc[0]


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_full_reduction_adds_in_the_promised_order(size):
    x, s = normal(size), np.full((), np.nan)
    built = CpuProgram.build(full_sum())
    assert built.run([x.ctypes.data, s.ctypes.data], (size,)) == -1
    count = built.bind((size,)).sizes[1]
    assert count == (9 if size > 5 else 1)
    each = 16 * max(1, round(np.ceil(np.ceil(size / count) / 16)))
    parts = [sum_in_lanes(x[k * each : (k + 1) * each]) for k in range(count)]
    expected = parts[0]
    for part in parts[1:]:
        expected += part
    assert s == expected


def test_lanes_are_kept_across_outer_axes():
    x, s = normal(3, 5, 4, 7), np.full(3, np.nan)
    assert run(nested_sum(), (3, 4), X=x, S=s) == -1
    for row, got in zip(x, s, strict=True):
        padded = np.zeros((20, 8))
        padded[:, :7] = row.reshape(20, 7)
        assert got == sum_in_lanes(padded.ravel())


@pytest.mark.parametrize("rows,columns", [(5, 3), (30_000, 19), (0, 6)])
def test_column_sums_by_update(rows, columns):
    x, s = normal(rows, columns), np.full(columns, np.nan)
    assert run(column_sums(), (rows, columns), X=x, S=s) == -1
    np.testing.assert_allclose(s, x.sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("vector", [False, True])
def test_cumulative_sum_by_carry(vector):
    x = normal(*((30, 21) if vector else (21, 30)))
    y, last = np.full_like(x, np.nan), np.full(21, np.nan)
    assert run(cumulative_sum(vector), (30, 21), X=x, Y=y, L=last) == -1
    expected = np.cumsum(x, axis=0 if vector else 1)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(last, expected[-1] if vector else expected[:, -1])


@pytest.mark.parametrize("size", [1, 8, 37])
def test_masked_backward_and_strided_accesses(size):
    x, y, z, w, s = (
        normal(size),
        np.full(size + 4, np.nan),
        np.full(size, np.nan),
        np.full(size, np.nan),
        np.full(3 * size, 5.0),
    )
    assert run(pad_and_flip(), (size,), X=x, Y=y, Z=z, W=w, S=s) == -1
    np.testing.assert_array_equal(y, np.pad(x, 2, constant_values=-1))
    np.testing.assert_array_equal(z, x[::-1])
    np.testing.assert_array_equal(w, x)
    np.testing.assert_array_equal(s[::3], x)
    assert (s[1::3] == 5).all()


@pytest.mark.parametrize("bad", [False, True])
def test_gather_with_check(bad):
    x, k, y = np.arange(50.0), np.random.default_rng(0).integers(0, 50, 1003), np.full(1003, np.nan)
    if bad:
        k[1001] = 50
    assert run(take(), (1003, 50), X=x, K=k, Y=y) == (3 if bad else -1)
    np.testing.assert_array_equal(y, np.where(k < 50, x[k % 50], 0))


def test_serial_scatter_add_with_equal_indices():
    x, k, y = normal(1003), np.random.default_rng(0).integers(0, 5, 1003), np.full(5, np.nan)
    assert run(scatter_add(), (1003, 5), X=x, K=k, Y=y) == -1
    expected = np.zeros(5)
    np.add.at(expected, k, x)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("turns", [0, 1, 2, 7])
def test_loop_with_swaps_ends_in_the_array_of_the_caller(turns):
    x, u = normal(101), np.full(101, np.nan)
    assert run(smoothing_loop(), (101, turns), X=x, U=u) == -1
    expected = x
    for _ in range(turns):
        expected = 0.5 * (expected + np.append(expected[1:], 0))
    np.testing.assert_array_equal(u, expected)
    assert "memcpy" not in write_llvm(smoothing_loop())


@pytest.mark.parametrize("start", [3, 0, -4])
def test_while_loop_and_branch(start):
    x, y = np.array(start), np.array(-1)
    assert run(countdown(), (), X=x, Y=y) == -1
    assert y == (start if start >= 0 else 7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("columns", [1, 5])
def test_gemm(dtype, trans_a, trans_b, columns):
    a, b, out = normal(2, 4, 3).astype(dtype), normal(3, columns).astype(dtype), np.full((2, 4, columns), np.nan, dtype)
    left = np.ascontiguousarray(a.swapaxes(1, 2)) if trans_a else a
    right = np.ascontiguousarray(b.T) if trans_b else b
    assert run(products(dtype, trans_a, trans_b, columns=columns), (), A=left, B=right, C=out) == -1
    np.testing.assert_allclose(out, a @ b, rtol=1e-5 if dtype == "float32" else 1e-14)


def test_float32_runs_in_sixteen_lanes():
    x, k = normal(77).astype("float32"), np.random.default_rng(0).integers(-128, 128, 77).astype("int8")
    y, b = np.zeros(77, "float32"), np.zeros(77, bool)
    total, most, some = np.zeros((), "float32"), np.zeros((), "int8"), np.zeros((), bool)
    p = float32_mixture()
    assert "<16 x float>" in write_llvm(p)
    assert run(p, (77,), range=x, K=k, Y=y, B=b, S=total, M=most, A=some) == -1
    e = np.tanh(x * (k * k).astype("float32") + np.float32(0.1))
    np.testing.assert_allclose(y, np.where(e > 0.25, e, x), rtol=1e-5)
    np.testing.assert_array_equal(b, e > 0.25)
    assert most == (k * k).max() and some
    np.testing.assert_allclose(total, y.sum(dtype="float64"), rtol=1e-5)


def test_long_bodies_are_printed_once():
    lets = tuple(Let(f"v{k + 1}", "float64", "add", (f"v{k}", f64(k))) for k in range(200))
    body = (Load("v0", "float64", "X", at(i=1)), *lets, Store("Y", at(i=1), "v200"))
    kernel = Kernel("long", ("y = x + ...",), Axis("i", n), 1, body, vector=True)
    p = program([kernel], floats(("X", (n,), "input"), ("Y", (n,), "output")))
    assert write_llvm(p).count("fadd <8 x double>") == 200
    x, y = np.arange(13.0), np.full(14, np.nan)
    assert run(p, (13,), X=x, Y=y) == -1
    np.testing.assert_array_equal(y[:13], x + 199 * 100)
    assert np.isnan(y[13])


def test_an_unknown_operation_is_refused_by_name():
    body = (Load("x", "float64", "X", at(i=1)), Let("y", "float64", "frobnicate", ("x",)), Store("Y", at(i=1), "y"))
    p = program(
        [Kernel("odd", ("?",), Axis("i", n), 1, body, vector=True)], floats(("X", (n,), "input"), ("Y", (n,), "output"))
    )
    with pytest.raises(CompileError, match="frobnicate"):
        write_llvm(p)
