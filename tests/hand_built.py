"""Programs built by hand in the grammar of codegen/program.py, for tests of the writers."""

import numpy as np

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

n, m, t, chunks = symbol("n"), symbol("m"), symbol("t"), symbol("chunks")


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
    inputs, outputs = (tuple(k for k, b in buffers.items() if b.kind == kind) for kind in ("input", "output"))
    return Program(inputs, outputs, buffers, tuple(steps), sizes, workspace=place, **more)


def floats(*shapes):
    return {name: ("float64", shape, kind) for name, shape, kind in shapes}


def pointwise():
    body = (
        Load("x", "float64", "X", at(i=1)),
        Let("a", "float64", "multiply", ("x", "x")),
        Let("b", "float64", "add", ("a", f64(2))),
        Store("Y", at(i=1), "b"),
    )
    kernel = Kernel("pointwise", ("y = x*x + 2",), Axis("i", n), 1, body, vector=True)
    return program([kernel], floats(("X", (n,), "input"), ("Y", (n,), "output")))


def row_softmax():
    """Three vector loops in a row."""
    load, here = Load("x", "float64", "X", at(i=m, j=1)), at(i=m, j=1)
    over = (Axis("j", m),)
    top = For(over, (load,), (Acc("top", "float64", "maximum", "x", f64(-np.inf)),), vector=True)
    exp = (
        load,
        Let("d", "float64", "subtract", ("x", "top")),
        Let("e", "float64", "exp", ("d",)),
        Store("Y", here, "e"),
    )
    total = For(over, exp, (Acc("s", "float64", "add", "e", f64(0)),), vector=True)
    divide = (Load("e2", "float64", "Y", here), Let("q", "float64", "divide", ("e2", "s")), Store("Y", here, "q"))
    last = For(over, divide, vector=True)
    kernel = Kernel("softmax", ("y = softmax(x)",), Axis("i", n), 3 * m, (top, total, last), vector=False)
    return program([kernel], floats(("X", (n, m), "input"), ("Y", (n, m), "output")), ("n", "m", "chunks"))


def full_sum():
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
    return program([kernel], floats(("X", (n,), "input"), ("S", (), "output")), temps=[("P", "float64", (chunks,))])


def column_sums():
    """Partial results of a whole row, updated in place."""
    here = at(chunk=m, j=1)
    zero = For((Axis("j", m),), (Store("P", here, f64(0)),), vector=True)
    add = For((Axis("j", m),), (Load("x", "float64", "X", at(i=m, j=1)), Update("add", "P", here, "x")), vector=True)
    fold = (Combine("add", "P", "S", m, f64(0)),)
    kernel = Kernel(
        "columns", ("s_j = sum_i x_ij",), Axis("i", n), m, (add,), vector=False, begin=(zero,), combine=fold
    )
    shapes = floats(("X", (n, m), "input"), ("S", (m,), "output"))
    return program([kernel], shapes, ("n", "m", "chunks"), temps=[("P", "float64", (chunks, m))])


def cumulative_sum(vector):
    """Over the axis of length n; with `vector` the rows run in lanes and the sum goes down the columns."""
    place = at(t=m, i=1) if vector else at(i=n, t=1)
    body = (Load("x", "float64", "X", place), Let("next", "float64", "add", ("state", "x")), Store("Y", place, "next"))
    scan = For((Axis("t", n),), body, carries=(Carry("state", "last", "float64", f64(0), "next"),))
    kernel = Kernel("cumsum", ("y = cumsum x",), Axis("i", m), n, (scan, Store("L", at(i=1), "last")), vector=vector)
    shape = (n, m) if vector else (m, n)
    shapes = floats(("X", shape, "input"), ("Y", shape, "output"), ("L", (m,), "output"))
    return program([kernel], shapes, ("n", "m", "chunks"))


def pad_and_flip():
    """Y = pad(X, 2), Z = X reversed, W = Z reversed, S[::3] = X."""
    body = (
        Let("low", "bool", "greater_equal", ("i", i64(2))),
        Let("high", "bool", "less", ("i", Extent(n + 2))),
        Let("ok", "bool", "logical_and", ("low", "high")),
        Load("x", "float64", "X", at(-2, i=1), "ok", f64(-1)),
        Store("Y", at(i=1), "x"),
        Let("inside", "bool", "less", ("i", Extent(n))),
        Load("f", "float64", "X", at(n - 1, i=-1), "inside", f64(0)),
        Store("Z", at(i=1), "f", "inside"),
        Store("W", at(n - 1, i=-1), "f", "inside"),
        Load("g", "float64", "X", at(i=1), "inside", f64(0)),
        Store("S", at(i=3), "g", "inside"),
    )
    outputs = [("Y", (n + 4,), "output"), ("Z", (n,), "output"), ("W", (n,), "output"), ("S", (3 * n,), "output")]
    return program(
        [Kernel("pad", ("y = pad x",), Axis("i", n + 4), 1, body, vector=True)], floats(("X", (n,), "input"), *outputs)
    )


def take():
    body = (
        Load("k", "int64", "K", at(i=1)),
        Let("low", "bool", "greater_equal", ("k", i64(0))),
        Let("high", "bool", "less", ("k", Extent(m))),
        Let("ok", "bool", "logical_and", ("low", "high")),
        Check("ok", 3),
        Load("x", "float64", "X", at(k=1), "ok", f64(0)),
        Store("Y", at(i=1), "x"),
    )
    arrays = {"X": ("float64", (m,), "input"), "K": ("int64", (n,), "input"), "Y": ("float64", (n,), "output")}
    errors = ("one", "two", "three", "index out of range")
    return program(
        [Kernel("take", ("y = x[k]",), Axis("i", n), 1, body, vector=True)], arrays, ("n", "m", "chunks"), errors=errors
    )


def scatter_add():
    """y[k] += x in one serial kernel, where indices may be equal; y has m elements."""
    body = (Load("k", "int64", "K", at(i=1)), Load("x", "float64", "X", at(i=1)), Update("add", "Y", at(k=1), "x"))
    zero = Kernel("zero", ("y = 0",), Axis("i", m), 1, (Store("Y", at(i=1), f64(0)),), vector=True)
    add = Kernel("scatter", ("y[k] += x",), Axis("i", n), 1, body, vector=True, serial=True)
    arrays = {"X": ("float64", (n,), "input"), "K": ("int64", (n,), "input"), "Y": ("float64", (m,), "output")}
    return program([zero, add], arrays, ("n", "m", "chunks"))


def smoothing_loop():
    """t turns of u = (u + u shifted)/2 in two buffers that trade places; the output is one of them."""
    start = (Load("x", "float64", "X", at(i=1)), Store("U", at(i=1), "x"))
    body = (
        Let("inside", "bool", "less", ("i", Extent(n - 1))),
        Load("a", "float64", "U", at(i=1)),
        Load("b", "float64", "U", at(1, i=1), "inside", f64(0)),
        Let("s", "float64", "add", ("a", "b")),
        Let("h", "float64", "multiply", ("s", f64(0.5))),
        Store("V", at(i=1), "h"),
    )
    copy = Kernel("start", ("u = x",), Axis("i", n), 1, start, vector=True)
    sweep = Kernel("sweep", ("v = (u + shift u)/2",), Axis("i", n), 1, body, vector=True)
    loop = Loop("time", t, "index", (sweep,), swaps=(("U", "V"),))
    shapes = floats(("X", (n,), "input"), ("U", (n,), "output"))
    return program([copy, loop], shapes, ("n", "t", "chunks"), temps=[("V", "float64", (n,)), ("index", "int64", ())])


def scalar_kernel(name, *body):
    return Kernel(name, (name,), Axis("one", 1), 1, tuple(body), vector=False, serial=True)


def countdown():
    """while x > 0: x -= 1, counting the turns; y is their number if x ends at 0, else 7."""
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
    other = scalar_kernel("other", Store("Y", at(), i64(7)))
    zero = scalar_kernel("zero", Load("k", "int64", "N", at()), Store("Y", at(), "k"))
    loop = Loop("count", None, "N", (step,), test=(test,), condition="C")
    steps = [begin, loop, choose, Branch("which", "B", ((other,), (zero,)))]
    temps = [("Z", "int64", ()), ("C", "bool", ()), ("B", "int64", ()), ("N", "int64", ())]
    return program(steps, {"X": ("int64", (), "input"), "Y": ("int64", (), "output")}, (), temps=temps)


def products(dtype, trans_a, trans_b, rows=4, columns=5, inner=3):
    """C[b] = op(A[b]) @ op(B) for two matrices A."""
    numbers = {
        "m": rows,
        "n": columns,
        "k": inner,
        "batch": 2,
        "stride_a": rows * inner,
        "stride_b": 0,
        "stride_c": rows * columns,
    }
    attrs = (("trans_a", trans_a), ("trans_b", trans_b), *numbers.items())
    step = Library("gemm", "gemm", ("c = a @ b",), (("A", 0), ("B", 0)), ("C", 0), attrs)
    shape_a = (2, inner, rows) if trans_a else (2, rows, inner)
    shape_b = (columns, inner) if trans_b else (inner, columns)
    return program(
        [step],
        {"A": (dtype, shape_a, "input"), "B": (dtype, shape_b, "input"), "C": (dtype, (2, rows, columns), "output")},
        (),
    )


def float32_mixture():
    """Sixteen lanes: float32, small integers, bools and hostile names, with accumulators of each."""
    body = (
        Load("np", "float32", "range", at(i=1)),
        Load("k", "int8", "K", at(i=1)),
        Let("kk", "int8", "multiply", ("k", "k")),
        Let("kf", "float32", "cast", ("kk",)),
        Let("s", "float32", "fma", ("np", "kf", Literal.of(0.1, "float32"))),
        Let("e", "float32", "tanh", ("s",)),
        Let("b", "bool", "greater", ("e", Literal.of(0.25, "float32"))),
        Let("w", "float32", "where", ("b", "e", "np")),
        Store("Y", at(i=1), "w"),
        Store("B", at(i=1), "b"),
    )
    accs = (
        Acc("sum", "float32", "add", "w", Literal.of(0, "float32")),
        Acc("most", "int8", "maximum", "kk", Literal.of(-128, "int8")),
        Acc("some", "bool", "logical_or", "b", Literal.of(False, "bool")),
    )
    end = (Store("S", at(), "sum"), Store("M", at(), "most"), Store("A", at(), "some"))
    kernel = Kernel(
        "mixture", ("y = tanh(x*k*k + 0.1)",), Axis("i", n), 1, body, vector=True, accs=accs, end=end, serial=True
    )
    arrays = {
        "range": ("float32", (n,), "input"),
        "K": ("int8", (n,), "input"),
        "Y": ("float32", (n,), "output"),
        "B": ("bool", (n,), "output"),
        "S": ("float32", (), "output"),
        "M": ("int8", (), "output"),
        "A": ("bool", (), "output"),
    }
    return program([kernel], arrays)


def nested_sum():
    """A vector loop over three axes, its lanes kept across the outer two, in each row."""
    load = Load("x", "float64", "X", at(i=5 * m * 7, a=m * 7, b=7, c=1))
    loop = For(
        (Axis("a", 5), Axis("b", m), Axis("c", 7)), (load,), (Acc("s", "float64", "add", "x", f64(0)),), vector=True
    )
    kernel = Kernel("sums", ("s = sum x",), Axis("i", n), 35 * m, (loop, Store("S", at(i=1), "s")), vector=False)
    return program([kernel], floats(("X", (n, 5, m, 7), "input"), ("S", (n,), "output")), ("n", "m", "chunks"))
