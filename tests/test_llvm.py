"""Hand-built Programs through the LLVM writer, against NumPy."""

import numpy as np
import pytest

from pullback.codegen.llvm import write_llvm
from pullback.codegen.program import (
    Acc,
    Axis,
    Branch,
    Buffer,
    Carry,
    Check,
    Combine,
    Extent,
    For,
    Kernel,
    Let,
    Library,
    Literal,
    Load,
    Loop,
    Offset,
    Program,
    Store,
    Update,
)
from pullback.dsl.size import symbol
from pullback.kernels.cpu import CpuProgram

n, m, chunks = symbol("n"), symbol("m"), symbol("chunks")


def at(const=0, **terms):
    return Offset(const, tuple(terms.items()))


def f64(value):
    return Literal.of(value, "float64")


def i64(value):
    return Literal.of(value, "int64")


def program(steps, arrays, sizes=("n", "chunks"), temps=(), **more):
    """A Program from {name: (dtype, shape, kind)}; temporaries are given places one after the other."""
    buffers, place = {}, 0
    for name, (dtype, shape, kind) in arrays.items():
        buffers[name] = Buffer(name, dtype, shape, kind)
    for name, dtype, shape in temps:
        buffers[name] = Buffer(name, dtype, shape, "temp", place)
        size = 1
        for d in shape:
            size = size * d
        place = place + 8 * size + 64
    return Program(
        tuple(k for k, b in buffers.items() if b.kind == "input"),
        tuple(k for k, b in buffers.items() if b.kind == "output"),
        buffers,
        tuple(steps),
        sizes,
        workspace=place,
        **more,
    )


def run(p, given, **arrays):
    """Runs `p`; outputs are filled with a wrong value first. Returns the error code."""
    return CpuProgram.build(p).run(
        [arrays[name].ctypes.data for name, b in p.buffers.items() if b.kind != "temp"], given
    )


def floats(*shapes):
    return {name: ("float64", shape, kind) for name, shape, kind in shapes}


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000, 200_001])
def test_pointwise(size):
    body = (
        Load("x", "float64", "X", at(i=1)),
        Let("a", "float64", "multiply", ("x", "x")),
        Let("b", "float64", "add", ("a", f64(2))),
        Store("Y", at(i=1), "b"),
    )
    p = program(
        [Kernel("pointwise", ("y = x*x + 2",), Axis("i", n), 1, body, vector=True)],
        floats(("X", (n,), "input"), ("Y", (n,), "output")),
    )
    x, y = np.random.default_rng(0).normal(size=size), np.full(size + 1, 7.5)
    assert run(p, (size,), X=x, Y=y) == -1
    np.testing.assert_array_equal(y[:size], x * x + 2)
    assert y[size] == 7.5


@pytest.mark.parametrize("rows,columns", [(3, 5), (1, 1), (40, 1003), (0, 4), (4, 0)])
def test_row_softmax_in_three_vector_loops(rows, columns):
    load = Load("x", "float64", "X", at(i=m, j=1))
    low = For((Axis("j", m),), (load,), (Acc("top", "float64", "maximum", "x", f64(-np.inf)),), vector=True)
    total = For(
        (Axis("j", m),),
        (
            load,
            Let("d", "float64", "subtract", ("x", "top")),
            Let("e", "float64", "exp", ("d",)),
            Store("Y", at(i=m, j=1), "e"),
        ),
        (Acc("s", "float64", "add", "e", f64(0)),),
        vector=True,
    )
    last = For(
        (Axis("j", m),),
        (
            Load("e2", "float64", "Y", at(i=m, j=1)),
            Let("q", "float64", "divide", ("e2", "s")),
            Store("Y", at(i=m, j=1), "q"),
        ),
        vector=True,
    )
    p = program(
        [Kernel("softmax", ("y = softmax(x)",), Axis("i", n), 3 * m, (low, total, last), vector=False)],
        floats(("X", (n, m), "input"), ("Y", (n, m), "output")),
        ("n", "m", "chunks"),
    )
    x, y = np.random.default_rng(0).normal(size=(rows, columns)), np.full((rows, columns), np.nan)
    assert run(p, (rows, columns), X=x, Y=y) == -1
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
def test_full_reduction_in_chunks(size):
    kernel = Kernel(
        "total",
        ("s = sum x",),
        Axis("i", n),
        1,
        (Load("x", "float64", "X", at(i=1)),),
        vector=True,
        accs=(Acc("acc", "float64", "add", "x", f64(0)),),
        end=(Store("P", at(chunk=1), "acc"),),
        combine=(Combine("add", "P", "S", 1, f64(0)),),
    )
    p = program([kernel], floats(("X", (n,), "input"), ("S", (), "output")), temps=[("P", "float64", (chunks,))])
    x, s = np.random.default_rng(0).normal(size=size), np.full((), np.nan)
    assert run(p, (size,), X=x, S=s) == -1
    count = CpuProgram.build(p).bind((size,)).sizes[1]
    each = -(-(-(-size // count)) // 16) * 16 if size else 16
    parts = [sum_in_lanes(x[k * each : (k + 1) * each]) for k in range(count)]
    expected = parts[0]
    for part in parts[1:]:
        expected += part
    assert s == expected


@pytest.mark.parametrize("rows,columns", [(5, 3), (30_000, 19), (0, 6)])
def test_column_sums_by_update(rows, columns):
    zero = For((Axis("z", m),), (Store("P", at(chunk=m, z=1), f64(0)),), vector=True)
    add = For(
        (Axis("j", m),),
        (Load("x", "float64", "X", at(i=m, j=1)), Update("add", "P", at(chunk=m, j=1), "x")),
        vector=True,
    )
    kernel = Kernel(
        "columns",
        ("s_j = sum_i x_ij",),
        Axis("i", n),
        m,
        (add,),
        vector=False,
        begin=(zero,),
        combine=(Combine("add", "P", "S", m, f64(0)),),
    )
    p = program(
        [kernel],
        floats(("X", (n, m), "input"), ("S", (m,), "output")),
        ("n", "m", "chunks"),
        temps=[("P", "float64", (chunks, m))],
    )
    x, s = np.random.default_rng(0).normal(size=(rows, columns)), np.full(columns, np.nan)
    assert run(p, (rows, columns), X=x, S=s) == -1
    np.testing.assert_allclose(s, x.sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("vector", [False, True])
def test_cumulative_sum_by_carry(vector):
    """Along rows (lanes over the other axis) and along columns (plain loop)."""
    first, second = (dict(t=m, i=1), m) if vector else (dict(i=n, t=1), n)
    scan = For(
        (Axis("t", n),),
        (
            Load("x", "float64", "X", at(**first)),
            Let("next", "float64", "add", ("state", "x")),
            Store("Y", at(**first), "next"),
        ),
        carries=(Carry("state", "last", "float64", f64(0), "next"),),
    )
    p = program(
        [Kernel("cumsum", ("y = cumsum x",), Axis("i", m), n, (scan, Store("L", at(i=1), "last")), vector=vector)],
        floats(("X", (m, n), "input"), ("Y", (m, n), "output"), ("L", (m,), "output")),
        ("n", "m", "chunks"),
    )
    x = np.random.default_rng(0).normal(size=(30, 21) if vector else (21, 30))
    y, last = np.full_like(x, np.nan), np.full(21, np.nan)
    assert run(p, (30, 21), X=x, Y=y, L=last) == -1
    expected = np.cumsum(x, axis=0 if vector else 1)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(last, expected[-1] if vector else expected[:, -1])
    assert second is not None


def test_pad_flip_and_stride():
    """y = pad(x, 2), z = flip(x), w[::3] = x by masked, backward and strided accesses."""
    body = (
        Let("low", "bool", "greater_equal", ("i", i64(2))),
        Let("high", "bool", "less", ("i", Extent(n + 2))),
        Let("ok", "bool", "logical_and", ("low", "high")),
        Load("x", "float64", "X", at(-2, i=1), "ok", f64(-1)),
        Store("Y", at(i=1), "x"),
        Let("in", "bool", "less", ("i", Extent(n))),
        Load("f", "float64", "X", at(n - 1, i=-1), "in", f64(0)),
        Store("Z", at(i=1), "f", "in"),
        Store("W", at(n - 1, i=-1), "f", "in"),
        Load("g", "float64", "X", at(i=1), "in", f64(0)),
        Store("S", at(i=3), "g", "in"),
    )
    shapes = floats(
        ("X", (n,), "input"),
        ("Y", (n + 4,), "output"),
        ("Z", (n,), "output"),
        ("W", (n,), "output"),
        ("S", (3 * n,), "output"),
    )
    p = program([Kernel("pad", ("y = pad x",), Axis("i", n + 4), 1, body, vector=True)], shapes)
    for size in (1, 8, 37):
        x = np.random.default_rng(0).normal(size=size)
        y, z, w, s = np.full(size + 4, np.nan), np.full(size, np.nan), np.full(size, np.nan), np.full(3 * size, 5.0)
        assert run(p, (size,), X=x, Y=y, Z=z, W=w, S=s) == -1
        np.testing.assert_array_equal(y, np.pad(x, 2, constant_values=-1))
        np.testing.assert_array_equal(z, x[::-1])
        np.testing.assert_array_equal(w, x)
        np.testing.assert_array_equal(s[::3], x)
        assert (s[1::3] == 5).all()


@pytest.mark.parametrize("bad", [False, True])
def test_gather_with_check(bad):
    body = (
        Load("k", "int64", "K", at(i=1)),
        Let("low", "bool", "greater_equal", ("k", i64(0))),
        Let("high", "bool", "less", ("k", Extent(m))),
        Let("ok", "bool", "logical_and", ("low", "high")),
        Check("ok", 3),
        Load("x", "float64", "X", at(k=1), "ok", f64(0)),
        Store("Y", at(i=1), "x"),
    )
    p = program(
        [Kernel("take", ("y = x[k]",), Axis("i", n), 1, body, vector=True)],
        {"X": ("float64", (m,), "input"), "K": ("int64", (n,), "input"), "Y": ("float64", (n,), "output")},
        ("n", "m", "chunks"),
    )
    x, k, y = np.arange(50.0), np.random.default_rng(0).integers(0, 50, 1003), np.full(1003, np.nan)
    if bad:
        k[1001] = 50
    assert run(p, (1003, 50), X=x, K=k, Y=y) == (3 if bad else -1)
    np.testing.assert_array_equal(y, np.where(k < 50, x[k % 50], 0))


def test_serial_scatter_add_with_equal_indices():
    body = (Load("k", "int64", "K", at(i=1)), Load("x", "float64", "X", at(i=1)), Update("add", "Y", at(k=1), "x"))
    zero = Kernel("zero", ("y = 0",), Axis("i", m), 1, (Store("Y", at(i=1), f64(0)),), vector=True)
    add = Kernel("scatter", ("y[k] += x",), Axis("i", n), 1, body, vector=True, serial=True)
    p = program(
        [zero, add],
        {"X": ("float64", (n,), "input"), "K": ("int64", (n,), "input"), "Y": ("float64", (m,), "output")},
        ("n", "m", "chunks"),
    )
    rng = np.random.default_rng(0)
    x, k, y = rng.normal(size=1003), rng.integers(0, 5, 1003), np.full(5, np.nan)
    assert run(p, (1003, 5), X=x, K=k, Y=y) == -1
    expected = np.zeros(5)
    np.add.at(expected, k, x)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("turns", [0, 1, 2, 7])
def test_loop_with_swaps_keeps_its_buffers_in_place(turns):
    """u = 0.5 * (shifted left + right) in two buffers that trade places; the output is one of them."""
    copy = Kernel(
        "copy", ("u = x",), Axis("i", n), 1, (Load("x", "float64", "X", at(i=1)), Store("U", at(i=1), "x")), vector=True
    )
    body = (
        Let("inside", "bool", "less", ("i", Extent(n - 1))),
        Load("a", "float64", "U", at(i=1)),
        Load("b", "float64", "U", at(1, i=1), "inside", f64(0)),
        Let("s", "float64", "add", ("a", "b")),
        Let("h", "float64", "multiply", ("s", f64(0.5))),
        Store("V", at(i=1), "h"),
    )
    sweep = Kernel("sweep", ("v = (u + shift u)/2",), Axis("i", n), 1, body, vector=True)
    loop = Loop("time", symbol("t"), "index", (sweep,), swaps=(("U", "V"),))
    p = program(
        [copy, loop],
        floats(("X", (n,), "input"), ("U", (n,), "output")),
        ("n", "t", "chunks"),
        temps=[("V", "float64", (n,)), ("index", "int64", ())],
    )
    x, u = np.random.default_rng(0).normal(size=101), np.full(101, np.nan)
    assert run(p, (101, turns), X=x, U=u) == -1
    expected = x
    for _ in range(turns):
        expected = 0.5 * (expected + np.append(expected[1:], 0))
    np.testing.assert_array_equal(u, expected)


def scalar_kernel(name, *body):
    return Kernel(name, (name,), Axis("one", 1), 1, tuple(body), vector=False, serial=True)


@pytest.mark.parametrize("start", [3, 0, -4])
def test_while_loop_and_branch(start):
    """while x > 0: x -= 1, counting; then y = x * 10 where x == 0, else 7."""
    begin = scalar_kernel("start", Load("x", "int64", "X", at()), Store("Z", at(), "x"))
    test = scalar_kernel(
        "test", Load("x", "int64", "Z", at()), Let("go", "bool", "greater", ("x", i64(0))), Store("C", at(), "go")
    )
    step = scalar_kernel(
        "step", Load("x", "int64", "Z", at()), Let("y", "int64", "subtract", ("x", i64(1))), Store("Z", at(), "y")
    )
    choose = scalar_kernel(
        "choose",
        Load("x", "int64", "Z", at()),
        Let("z", "bool", "equal", ("x", i64(0))),
        Let("p", "int64", "cast", ("z",)),
        Store("B", at(), "p"),
    )
    other, zero = (
        scalar_kernel("other", Store("Y", at(), i64(7))),
        scalar_kernel("zero", Load("k", "int64", "N", at()), Store("Y", at(), "k")),
    )
    loop = Loop("count", None, "N", (step,), test=(test,), condition="C")
    p = program(
        [begin, loop, choose, Branch("which", "B", ((other,), (zero,)))],
        {"X": ("int64", (), "input"), "Y": ("int64", (), "output")},
        (),
        temps=[("Z", "int64", ()), ("C", "bool", ()), ("B", "int64", ()), ("N", "int64", ())],
    )
    x, y = np.array(start), np.array(-1)
    assert run(p, (), X=x, Y=y) == -1
    assert y == (start if start >= 0 else 7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("columns", [1, 5])
def test_gemm(dtype, trans_a, trans_b, columns):
    r, c, k = 4, columns, 3
    attrs = (
        ("trans_a", trans_a),
        ("trans_b", trans_b),
        ("m", r),
        ("n", c),
        ("k", k),
        ("batch", 2),
        ("stride_a", r * k),
        ("stride_b", 0),
        ("stride_c", r * c),
    )
    step = Library("gemm", "gemm", ("c = a @ b",), (("A", 0), ("B", 0)), ("C", 0), attrs)
    p = program(
        [step], {"A": (dtype, (2, r, k), "input"), "B": (dtype, (k, c), "input"), "C": (dtype, (2, r, c), "output")}, ()
    )
    rng = np.random.default_rng(0)
    a, b, out = (
        rng.normal(size=(2, r, k)).astype(dtype),
        rng.normal(size=(k, c)).astype(dtype),
        np.full((2, r, c), np.nan, dtype),
    )
    left = np.ascontiguousarray(a.swapaxes(1, 2)) if trans_a else a
    right = np.ascontiguousarray(b.T) if trans_b else b
    assert run(p, (), A=left, B=right, C=out) == -1
    np.testing.assert_allclose(out, a @ b, rtol=1e-5 if dtype == "float32" else 1e-14)


def test_long_bodies_are_printed_once():
    lets = tuple(Let(f"v{k + 1}", "float64", "add", (f"v{k}", f64(k))) for k in range(200))
    body = (Load("v0", "float64", "X", at(i=1)), *lets, Store("Y", at(i=1), "v200"))
    p = program(
        [Kernel("long", ("y = x + ...",), Axis("i", n), 1, body, vector=True)],
        floats(("X", (n,), "input"), ("Y", (n,), "output")),
    )
    assert write_llvm(p).count("fadd <8 x double>") == 200
    x, y = np.arange(13.0), np.full(14, np.nan)
    assert run(p, (13,), X=x, Y=y) == -1
    np.testing.assert_array_equal(y[:13], x + 199 * 100)
    assert np.isnan(y[13])
