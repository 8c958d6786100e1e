"""Programs written by hand, one for each form of kernel, with what they compute in NumPy."""

from __future__ import annotations

import numpy as np

from pullback.codegen.program import (
    Acc,
    Axis,
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

n, m, k = symbol("n"), symbol("m"), symbol("k")
c = symbol("chunks")
INF = float("inf")


def lit(value: float, dtype: str = "float64") -> Literal:
    return Literal.of(value, dtype)


def at(*terms: tuple[str, object], const: object = 0) -> Offset:
    return Offset(const, tuple(terms))


def program(inputs: dict, outputs: dict, steps, temps: dict | None = None, **more) -> Program:
    """A Program from {name: (dtype, shape)} dictionaries."""
    buffers = {}
    for kind, table in (("input", inputs), ("output", outputs), ("temp", temps or {})):
        buffers |= {name: Buffer(name, dtype, shape, kind) for name, (dtype, shape) in table.items()}
    return Program(tuple(inputs), tuple(outputs), buffers, tuple(steps), ("n", "m", "chunks"), **more)


def pointwise(dtype: str = "float64") -> Program:
    """y = exp(x) * s + 1, s a scalar."""
    body = (
        Load("x0", dtype, "x", at(("i", 1))),
        Load("s0", dtype, "s", at()),
        Let("e", dtype, "exp", ("x0",)),
        Let("p", dtype, "multiply", ("e", "s0")),
        Let("q", dtype, "add", ("p", lit(1, dtype))),
        Store("y", at(("i", 1)), "q"),
    )
    kernel = Kernel("k0", ("y = exp(x)*s + 1",), Axis("i", n), 1, body, vector=True)
    return program({"x": (dtype, (n,)), "s": (dtype, ())}, {"y": (dtype, (n,))}, [kernel])


def softmax(dtype: str = "float64") -> Program:
    """Row softmax: three vector loops over one row."""
    j, place = (Axis("j", m),), at(("i", m), ("j", 1))
    body = (
        For(j, (Load("x1", dtype, "x", place),), (Acc("top", dtype, "maximum", "x1", lit(-INF, dtype)),), vector=True),
        For(
            j,
            (
                Load("x2", dtype, "x", place),
                Let("d", dtype, "subtract", ("x2", "top")),
                Let("e", dtype, "exp", ("d",)),
                Store("y", place, "e"),
            ),
            (Acc("total", dtype, "add", "e", lit(0, dtype)),),
            vector=True,
        ),
        For(
            j,
            (Load("e2", dtype, "y", place), Let("z", dtype, "divide", ("e2", "total")), Store("y", place, "z")),
            vector=True,
        ),
    )
    kernel = Kernel("k0", ("y = softmax(x, axis=1)",), Axis("i", n), m, body, vector=False)
    return program({"x": (dtype, (n, m))}, {"y": (dtype, (n, m))}, [kernel])


def full_sum(dtype: str = "float64", op: str = "add", identity: float = 0) -> Program:
    """A reduction of everything through partial results of chunks."""
    body = (Load("x0", dtype, "x", at(("i", 1))), Let("q", dtype, "multiply", ("x0", "x0")))
    kernel = Kernel(
        "k0",
        ("s = sum(x*x)",),
        Axis("i", n),
        1,
        body,
        vector=True,
        accs=(Acc("t", dtype, op, "q", lit(identity, dtype)),),
        end=(Store("part", at(("chunk", 1)), "t"),),
        combine=(Combine(op, "part", "s", 1, lit(identity, dtype)),),
    )
    return program({"x": (dtype, (n,))}, {"s": (dtype, ())}, [kernel], {"part": (dtype, (c,))})


def column_sum() -> Program:
    """The sum over rows: every chunk updates its own row of partial results."""
    f, j = "float64", (Axis("j", m),)
    mine = at(("chunk", m), ("j", 1))
    body = (For(j, (Load("x0", f, "x", at(("i", m), ("j", 1))), Update("add", "part", mine, "x0")), vector=True),)
    kernel = Kernel(
        "k0",
        ("s = sum(x, axis=0)",),
        Axis("i", n),
        m,
        body,
        vector=False,
        begin=(For(j, (Store("part", mine, lit(0)),), vector=True),),
        combine=(Combine("add", "part", "s", m, lit(0)),),
    )
    return program({"x": (f, (n, m))}, {"s": (f, (m,))}, [kernel], {"part": (f, (c, m))})


def gather() -> Program:
    """y = x[index] with a check; negative indices count from the end."""
    f = "float64"
    body = (
        Load("i0", "int64", "index", at(("i", 1))),
        Let("low", "bool", "less", ("i0", lit(0, "int64"))),
        Let("up", "int64", "add", ("i0", Extent(m))),
        Let("i1", "int64", "where", ("low", "up", "i0")),
        Let("a", "bool", "greater_equal", ("i1", lit(0, "int64"))),
        Let("b", "bool", "less", ("i1", Extent(m))),
        Let("ok", "bool", "logical_and", ("a", "b")),
        Check("ok", 0),
        Load("v", f, "x", at(("i1", 1)), "ok", lit(0)),
        Store("y", at(("i", 1)), "v"),
    )
    kernel = Kernel("k0", ("y = x[index]",), Axis("i", n), 1, body, vector=True)
    return program(
        {"x": (f, (m,)), "index": ("int64", (n,))},
        {"y": (f, (n,))},
        [kernel],
        errors=("index out of range for axis 0",),
    )


def cumulative() -> Program:
    """y = cumsum(x, axis=1): a carry in each row."""
    f, place = "float64", at(("i", m), ("j", 1))
    loop = For(
        (Axis("j", m),),
        (Load("x0", f, "x", place), Let("t", f, "add", ("s", "x0")), Store("y", place, "t")),
        carries=(Carry("s", "last", f, lit(0), "t"),),
    )
    kernel = Kernel(
        "k0",
        ("y = cumsum(x, axis=1)", "z = sum(x, axis=1)"),
        Axis("i", n),
        m,
        (loop, Store("z", at(("i", 1)), "last")),
        vector=True,
    )
    return program({"x": (f, (n, m))}, {"y": (f, (n, m)), "z": (f, (n,))}, [kernel])


def pad() -> Program:
    """y = x with two elements of 7 in front and one behind."""
    f = "float64"
    body = (
        Let("p", "int64", "subtract", ("i", lit(2, "int64"))),
        Let("a", "bool", "greater_equal", ("p", lit(0, "int64"))),
        Let("b", "bool", "less", ("p", Extent(n))),
        Let("inside", "bool", "logical_and", ("a", "b")),
        Load("v", f, "x", at(("i", 1), const=-2), "inside", lit(7)),
        Store("y", at(("i", 1)), "v"),
    )
    kernel = Kernel("k0", ("y = pad(x, (2, 1), 7)",), Axis("i", n + 3), 1, body, vector=True)
    return program({"x": (f, (n,))}, {"y": (f, (n + 3,))}, [kernel])


def plane_sum() -> Program:
    """s[i] = sum over two axes, spread over threads as one."""
    f, place = "float64", at(("i", m * k), ("p", k), ("j", 1))
    loop = For(
        (Axis("p", m), Axis("j", k)), (Load("x0", f, "x", place),), (Acc("t", f, "add", "x0", lit(0)),), vector=True
    )
    kernel = Kernel(
        "k0", ("s = sum(x, axis=(1, 2))",), Axis("i", n), m * k, (loop, Store("s", at(("i", 1)), "t")), vector=False
    )
    return program({"x": (f, (n, m, k))}, {"s": (f, (n,))}, [kernel])


def scatter() -> Program:
    """y = zeros(m).at[index].add(x): rows in order, for indices may repeat."""
    f = "float64"
    zero = Kernel(
        "k0", ("y = 0",), Axis("i", m), 1, (Store("y", at(("i", 1)), lit(0)),), vector=True, chunks="chunks_0"
    )
    body = (
        Load("i0", "int64", "index", at(("i", 1))),
        Load("x0", f, "x", at(("i", 1))),
        Update("add", "y", at(("i0", 1)), "x0"),
    )
    add = Kernel("k1", ("y = y.at[index].add(x)",), Axis("i", n), 1, body, vector=True, serial=True, chunks="chunks_1")
    return program({"x": (f, (n,)), "index": ("int64", (n,))}, {"y": (f, (m,))}, [zero, add])


def scatter_rows() -> Program:
    """y = zeros((m, k)).at[index].add(x) row by row, threads along the row."""
    f = "float64"
    zero = Kernel(
        "k0", ("y = 0",), Axis("i", m * k), 1, (Store("y", at(("i", 1)), lit(0)),), vector=True, chunks="chunks_0"
    )
    inner = For(
        (Axis("j", k),),
        (Load("x0", f, "x", at(("i", k), ("j", 1))), Update("add", "y", at(("i0", k), ("j", 1)), "x0")),
        vector=True,
    )
    add = Kernel(
        "k1",
        ("y = y.at[index].add(x)",),
        Axis("i", n),
        k,
        (Load("i0", "int64", "index", at(("i", 1))), inner),
        vector=False,
        serial=True,
        chunks="chunks_1",
    )
    return program({"x": (f, (n, k)), "index": ("int64", (n,))}, {"y": (f, (m, k))}, [zero, add])


def halves() -> Program:
    """Ping-pong: x halved m times through two buffers that trade places."""
    f = "float64"

    def kernel(name: str, source: str, target: str, factor: float) -> Kernel:
        body = (
            Load("a", f, source, at(("i", 1))),
            Let("b", f, "multiply", ("a", lit(factor))),
            Store(target, at(("i", 1)), "b"),
        )
        return Kernel(
            name, (f"{target} = {factor}*{source}",), Axis("i", n), 1, body, vector=True, chunks=f"chunks_{name}"
        )

    loop = Loop("loop", m, "turn", (kernel("k1", "u", "v", 0.5),), swaps=(("u", "v"),))
    temps = {"u": (f, (n,)), "v": (f, (n,)), "turn": ("int64", ())}
    return program(
        {"x": (f, (n,)), "w": (f, (m,))},
        {"y": (f, (n,))},
        [kernel("k0", "x", "u", 1.0), loop, kernel("k2", "u", "y", 1.0)],
        temps,
    )


def product_of_matrices() -> Program:
    """z = x.T @ y, by the library."""
    f = "float64"
    attrs = (
        ("trans_a", True),
        ("trans_b", False),
        ("m", m),
        ("n", k),
        ("k", n),
        ("batch", 1),
        ("stride_a", n * m),
        ("stride_b", n * k),
        ("stride_c", m * k),
    )
    step = Library("g0", "gemm", ("z = x.T @ y",), (("x", 0), ("y", 0)), ("z", 0), attrs)
    return program({"x": (f, (n, m)), "y": (f, (n, k))}, {"z": (f, (m, k))}, [step])


def uniform_store() -> Program:
    """A row's sum stored by one thread and read again by all of them."""
    f, j = "float64", (Axis("j", m),)
    place = at(("i", m), ("j", 1))
    body = (
        For(j, (Load("x0", f, "x", place),), (Acc("t", f, "add", "x0", lit(0)),), vector=True),
        Store("s", at(("i", 1)), "t"),
        Load("u", f, "s", at(("i", 1))),
        For(j, (Load("x1", f, "x", place), Let("q", f, "divide", ("x1", "u")), Store("y", place, "q")), vector=True),
    )
    kernel = Kernel("k0", ("s = sum(x, axis=1)", "y = x / s[:, None]"), Axis("i", n), m, body, vector=False)
    return program({"x": (f, (n, m))}, {"y": (f, (n, m)), "s": (f, (n,))}, [kernel])


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _scatter(x: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    y = np.zeros((size, *x.shape[1:]))
    np.add.at(y, index, x)
    return y


def examples() -> dict[str, tuple]:
    """name -> (program, inputs, expected outputs[, sizes that no input shows])."""
    r = np.random.default_rng(7)
    x, v, w = r.normal(size=(13, 300)), r.normal(size=5000), r.normal(size=(700, 5))
    i = r.integers(-40, 40, 900)
    cube, few = r.normal(size=(3, 40, 7)), r.integers(0, 9, 200)
    wide, rows, y = r.normal(size=(9, 700)), r.normal(size=(200, 33)), r.normal(size=(13, 4))
    return {
        "pointwise": (pointwise(), [v, np.array(0.5)], [np.exp(v) * 0.5 + 1]),
        "pointwise32": (
            pointwise("float32"),
            [v.astype("f4"), np.array(0.5, "f4")],
            [np.exp(v.astype("f4")) * np.float32(0.5) + np.float32(1)],
        ),
        "empty": (pointwise(), [v[:0], np.array(0.5)], [v[:0]]),
        "softmax": (softmax(), [x], [_softmax(x)]),
        "softmax32": (softmax("float32"), [x.astype("f4")], [_softmax(x.astype("f4"))]),
        "narrow softmax": (softmax(), [w], [_softmax(w)]),
        "full_sum": (full_sum(), [v], [np.sum(v * v)]),
        "full_sum32": (full_sum("float32"), [v.astype("f4")], [np.sum(v.astype("f4") ** 2)]),
        "full_max": (full_sum("float64", "maximum", -INF), [v], [np.max(v * v)]),
        "sum of nothing": (full_sum(), [v[:0]], [np.float64(0)]),
        "column_sum": (column_sum(), [x], [x.sum(0)]),
        "narrow column_sum": (column_sum(), [w], [w.sum(0)]),
        "wide column_sum": (column_sum(), [wide], [wide.sum(0)]),
        "gather": (gather(), [v[:40], i], [v[:40][i]]),
        "cumulative": (cumulative(), [x], [np.cumsum(x, 1), x.sum(1)]),
        "pad": (pad(), [v], [np.pad(v, (2, 1), constant_values=7)]),
        "plane_sum": (plane_sum(), [cube], [cube.sum((1, 2))]),
        "scatter": (scatter(), [v[:200], few], [_scatter(v[:200], few, 9)], {"m": 9}),
        "scatter_rows": (scatter_rows(), [rows, few], [_scatter(rows, few, 9)], {"m": 9}),
        "halves": (halves(), [v, np.zeros(3)], [v / 8]),
        "gemm": (product_of_matrices(), [x, y], [x.T @ y]),
        "uniform_store": (uniform_store(), [x], [x / x.sum(1, keepdims=True), x.sum(1)]),
    }
