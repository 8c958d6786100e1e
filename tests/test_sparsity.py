"""Patterns of Jacobians from index maps, colorings, and sparse Jacobians and Hessians, against dense ones."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import run_program  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.program import walk_stmts  # noqa: E402
from pullback.kernels import nvrtc  # noqa: E402

rng = np.random.default_rng(11)


def dense(f, x):
    return np.asarray(pb.jacobian(f)(x)).reshape(-1, x.size)


def assert_pattern(f, x, exact=True):
    """No entry of the Jacobian is missing; with `exact` none is there in vain."""
    pattern, jacobian = pb.sparsity(f, x), dense(f, x)
    found = pattern.toarray()
    assert found.shape == jacobian.shape
    assert not (jacobian != 0)[~found].any(), "an entry is missing"
    assert pattern.nnz == found.sum()
    if exact:
        np.testing.assert_array_equal(found, jacobian != 0)
    rows, cols = np.nonzero(found)
    if pattern.offsets is not None:
        assert set(cols - rows) <= set(pattern.offsets)
    if pattern.full is not None:
        assert pattern.nnz == sum(np.eye(*found.shape, k=d).sum() for d in pattern.full)
    np.testing.assert_array_equal(pattern.indices, cols)
    np.testing.assert_array_equal(pattern.rows(), rows)
    return pattern


def residual(u):
    """Bratu's equation on a line."""
    beside = pb.shift(u, 1, boundary="constant") + pb.shift(u, -1, boundary="constant")
    return 2 * u - beside - 0.01 * pb.exp(u)


def brusselator(y, n):
    u, v = y.reshape(2, n, n)[0], y.reshape(2, n, n)[1]

    def spread(a):
        return sum(pb.shift(a, o, axis, boundary="wrap") for o in (1, -1) for axis in (0, 1)) - 4 * a

    return pb.stack([1 + u * u * v - 4.4 * u + 0.1 * spread(u), 3.4 * u - u * u * v + 0.1 * spread(v)]).ravel()


# ---- patterns ---------------------------------------------------------------------------------------------------
VECTOR, MATRIX = rng.uniform(0.5, 1.5, 12), rng.uniform(0.5, 1.5, (4, 6))
INDEX = np.array([3, 0, 3, 2, 5])
FIXED = rng.uniform(0.5, 1.5, (3, 4))
CASES = {
    "pointwise": (lambda x: pb.sin(x) * x, MATRIX),
    "slices": (lambda x: x[1:-1] * x[2:] - x[:-2], VECTOR),
    "steps": (lambda x: x[::3] * x[2::3][::-1], VECTOR),
    "backwards": (lambda x: x[::-1] * x[-2:0:-5].sum(), VECTOR),
    "two axes": (lambda x: x[::2, 1:] * x[1::2, :-1], MATRIX),
    "transpose": (lambda x: x.T * 2.0, MATRIX),
    "reshape": (lambda x: x.reshape(3, 2, 4)[:, 1] ** 2, MATRIX),
    "reshape of a part": (lambda x: x[1:9].reshape(2, 4).T ** 2, VECTOR),
    "reshape across rows": (lambda x: x[2:11].reshape(3, 3)[:, ::2] ** 2, VECTOR),
    "reshape of a window": (lambda x: x[:, 1:4].reshape(-1)[1:].reshape(11)[::2] ** 2, MATRIX),
    "reshape reversed": (lambda x: x[::-1].reshape(4, 3)[1:, :2] ** 2, VECTOR),
    "ravel of a window": (lambda x: (x[1:, 1:] * x[:-1, :-1]).ravel(), MATRIX),
    "broadcast": (lambda x: x[:, None] * x[None, :], VECTOR),
    "concatenate": (lambda x: pb.concatenate([x[3:] ** 2, x[:3] ** 3]), VECTOR),
    "stack": (lambda x: pb.stack([x[1:], x[:-1]], axis=1), VECTOR),
    "sum of rows": (lambda x: pb.sum(x**2, axis=1), MATRIX),
    "sum of columns": (lambda x: pb.sum(x**2, axis=0), MATRIX),
    "gather": (lambda x: x[INDEX] ** 2, VECTOR),
    "gather rows": (lambda x: x[INDEX[:4] % 4, 1:] ** 2, MATRIX),
    "gather points": (lambda x: x[INDEX[:4] % 4, INDEX[1:]] ** 2, MATRIX),
    "gather from a window": (lambda x: x[2:, ::2].ravel()[INDEX] ** 2, MATRIX),
    "computed index": (lambda x: x[(pb.arange(6) * 2 + 1) % 12] ** 2, VECTOR),
    "scatter": (lambda x: pb.zeros(9).at[INDEX].add(x[:5] ** 2), VECTOR),
    "set a part": (lambda x: x.at[2:5].set(x[:3] ** 2), VECTOR),
    "set a block": (lambda x: x.at[1:3, ::2].add(x[:2, :3] ** 2), MATRIX),
    "set an inner block": (lambda x: (x**2).at[1:3, 2:4].set(1.0), MATRIX),
    "roll": (lambda x: pb.roll(x, 3) ** 2, VECTOR),
    "reflect": (lambda x: pb.shift(x, 2, boundary="reflect") * x, VECTOR),
    "nearest": (lambda x: pb.shift(x, (1, -1), (0, 1), boundary="nearest") * x, MATRIX),
    "pad": (lambda x: pb.pad(x**2, 2), MATRIX),
    "differences": (lambda x: pb.diff(x**2), VECTOR),
    "constant matrix": (lambda x: FIXED @ (x**2), MATRIX),
    "matrix by itself": (lambda x: x.T @ x, MATRIX),
    "softmax": (lambda x: pb.softmax(x, axis=1), MATRIX),
    "logsumexp": (lambda x: pb.logsumexp(x, axis=0), MATRIX),
    "flip and repeat": (lambda x: pb.repeat(pb.flip(x), 2) ** 2, VECTOR),
    "steps in a loop": (lambda x: pb.fori_loop(0, 3, lambda i, u: u + 0.1 * (pb.roll(u, 1) - u), x), VECTOR),
    "pointwise loop": (lambda x: pb.fori_loop(0, 50, lambda i, u: u - 0.1 * u**3, x), VECTOR),
    "constant": (lambda x: pb.stop_gradient(x) * 2.0 + x[0] * 0 + x[:1], VECTOR),
    "a solve for each row": (lambda x: pb.linalg.solve(np.eye(2) + 1, x.reshape(4, 3, 2)[..., None] ** 2), MATRIX),
    "map over rows": (lambda x: pb.vmap(lambda r: pb.sum(r**2) * r)(x), MATRIX),
}
WIDER = {                               # where what counts as any is more than what is
    "an index among the arguments": (lambda x: x[pb.argmax(x)] * x, VECTOR),
    "a choice that is known": (lambda x: pb.where(np.arange(12) > 5, x**2, pb.flip(x)), VECTOR),
    "cumulative": (lambda x: pb.cumsum(x**2), VECTOR),
    "a long loop of a stencil": (lambda x: pb.fori_loop(0, 40, lambda i, u: 0.5 * (u + pb.shift(u, 1)), x), VECTOR),
    "scan": (lambda x: pb.scan(lambda c, r: (c + r, c * r), x[0], x)[1], MATRIX),
    "branch": (lambda x: pb.cond(x[0] > 1.0, lambda u: u**2, lambda u: pb.flip(u), x), VECTOR),
    "root": (lambda x: pb.root(lambda z: z + 0.1 * z**3 - x, x), VECTOR),
}


@pytest.mark.parametrize("name", CASES)
def test_pattern_is_that_of_the_jacobian(name):
    f, x = CASES[name]
    pattern = assert_pattern(f, x)
    if pattern.nnz:
        found = pb.jacobian(f, sparse=pattern)(x)
        np.testing.assert_allclose(found.toarray(), dense(f, x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", WIDER)
def test_what_is_not_known_counts_as_any(name):
    assert_pattern(*WIDER[name], exact=False)


def random_step(shape, rng):
    """A random operation on an array of this shape."""
    rank, axis = len(shape), int(rng.integers(len(shape)))
    size = int(np.prod(shape))
    starts = [int(rng.integers(0, n)) for n in shape]
    steps = [int(rng.choice([1, 2, -1])) for _ in shape]
    parts = tuple(slice(s, None, k) for s, k in zip(starts, steps, strict=True))
    order, by = tuple(map(int, rng.permutation(rank))), int(rng.integers(-3, 4))
    first = int(rng.choice([d for d in range(1, size + 1) if size % d == 0]))
    index = rng.integers(0, shape[0], 4)
    return [
        lambda u: u[parts], lambda u: pb.transpose(u, order), lambda u: u.reshape(first, size // first),
        lambda u: pb.concatenate([u, u**2], axis=axis), lambda u: u * u + pb.roll(u, by, axis),
        lambda u: pb.sum(u * u, axis=axis, keepdims=True), lambda u: u[index], lambda u: u * u + u.ravel()[0],
    ][rng.integers(8)]


@pytest.mark.parametrize("number", range(30))
def test_random_chains_of_index_maps(number):
    rng = np.random.default_rng(number)
    x = rng.uniform(0.5, 1.5, tuple(rng.integers(2, 5, rng.integers(1, 4))))
    shape, steps = x.shape, []
    while len(steps) < 5:
        step = random_step(shape, rng)
        after = tuple(map(int, step(pb.zeros(shape)).shape))
        if int(np.prod(after)) <= 64:
            steps.append(step)
            shape = after

    def f(u):
        for step in steps:
            u = step(u)
        return u * u

    pattern = assert_pattern(f, x)
    if number < 6 and pattern.nnz:
        found = pb.jacobian(f, sparse=pattern)(x)
        np.testing.assert_allclose(found.toarray(), dense(f, x), rtol=1e-12, atol=1e-15)


def test_bands_of_any_size_in_closed_form():
    """Nothing is written out until the entries are asked for."""
    n = 10**9
    pattern = pb.sparsity(pb.sum(pb.Var("u", ("n",))[1:] * pb.Var("u", ("n",))[:-1]), "u", n=n)
    assert pattern.shape == (1, n)
    u = pb.Var("u", ("n",))
    assert pb.sparsity(residual(u), u, n=n).offsets == (-1, 0, 1)
    assert pb.sparsity(u[2:] - u[:-2], u, n=n).offsets == (0, 2)
    v = pb.Var("v", ("n", "n"))
    five = v[1:-1, 1:-1] + v[:-2, 1:-1] + v[2:, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2]
    assert pb.sparsity(pb.pad(five, 1), v, n=1000).offsets == (-1000, -1, 0, 1, 1000)


def test_how_a_pattern_reads():
    pattern = pb.sparsity(residual, np.zeros(4))
    assert repr(pattern) == "Sparsity(4 x 4, 10 entries on the diagonals -1, 0, 1)"
    assert str(pattern) == "xx..\nxxx.\n.xxx\n..xx"
    assert repr(pattern.coloring()) == "Coloring(3 colors of 4 columns)"


def test_a_picture_of_a_pattern():
    pytest.importorskip("matplotlib").use("Agg")
    lines = pb.sparsity(residual, np.zeros(4)).spy().get_lines()
    assert len(lines[0].get_xdata()) == 10


def test_pattern_of_an_argument_by_name_and_among_others():
    def f(p, u, scale=2.0):
        return p["a"] * u[1:] * u[:-1] * scale

    p, u = {"a": np.ones(3)}, np.ones(4)
    assert pb.sparsity(f, p, u, argnums=1).offsets == (0, 1)
    assert pb.sparsity(f, p, u, argnums="u", scale=1.0).nnz == 6
    assert pb.sparsity(pb.grad(lambda u: pb.sum(f(p, u))), u).offsets == (-1, 1)


# ---- colorings --------------------------------------------------------------------------------------------------
def assert_coloring(pattern, kind):
    coloring = pattern.coloring(kind)
    found = pattern.toarray()
    found = found.T if kind == "rows" else found
    for color in range(coloring.count):
        assert found[:, coloring.colors == color].sum(axis=1).max() <= 1
    return coloring


@pytest.mark.parametrize("number", range(6))
def test_groups_have_no_row_in_common(number):
    rng = np.random.default_rng(number)
    where = np.nonzero(rng.uniform(size=(20, 30)) < 0.1)
    pattern = pb.sparsity(lambda x: pb.zeros(20).at[where[0]].add(x[where[1]] ** 2), np.ones(30))
    least = {"columns": pattern.toarray().sum(1).max(), "rows": pattern.toarray().sum(0).max()}
    for kind in ("columns", "rows"):
        assert least[kind] <= assert_coloring(pattern, kind).count <= 2 * least[kind]
    assert pattern.coloring().count <= min(pattern.coloring(kind).count for kind in least)


def test_bands_need_as_many_colors_as_they_are_wide():
    for width in (1, 2, 5):
        pattern = pb.sparsity(lambda u, w=width: sum(pb.shift(u * u, d, boundary="constant")
                                                     for d in range(-w, w + 1)), np.zeros(40))
        assert assert_coloring(pattern, "columns").count == 2 * width + 1
        assert assert_coloring(pattern, "rows").count == 2 * width + 1
    ring = pb.sparsity(lambda u: u * pb.roll(u, 1) * pb.roll(u, -1), np.zeros(10))
    assert 3 <= assert_coloring(ring, "columns").count <= 4


def test_star_coloring_has_no_path_of_two_colors():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 25, (2, 40))
    f = pb.grad(lambda x: pb.sum(pb.sin(x[a] * x[b])) + pb.sum(x**4))
    pattern = pb.sparsity(f, np.ones(25))
    coloring = pattern.coloring("symmetric")
    near = [set(np.flatnonzero(row)) - {i} for i, row in enumerate(pattern.toarray())]
    c = coloring.colors
    for v in range(25):
        assert all(c[w] != c[v] for w in near[v])
        for w in near[v]:
            for x in near[w] - {v}:
                for y in near[x] - {w, v}:
                    assert len({c[v], c[w], c[x], c[y]}) > 2
    assert coloring.count < pattern.coloring("columns").count


# ---- sparse derivatives -----------------------------------------------------------------------------------------
def test_a_million_unknowns_in_three_sweeps_of_one_kernel():
    n = 1_000_000
    u = np.linspace(0.0, 1.0, n)
    f = pb.jacobian(residual, sparse=True)
    matrix = f(u)
    assert sparse.issparse(matrix) and matrix.format == "csr" and matrix.shape == (n, n)
    assert matrix.nnz == 3 * n - 2 and matrix.has_sorted_indices
    np.testing.assert_allclose(matrix.diagonal(), 2 - 0.01 * np.exp(u), rtol=1e-14)
    np.testing.assert_array_equal(matrix.diagonal(1), np.full(n - 1, -1.0))
    np.testing.assert_array_equal(matrix.diagonal(-1), np.full(n - 1, -1.0))
    assert f.coloring(u).count == 3
    lowered = f.lower(u)
    assert len(lowered.program.steps) == len(list(lowered.program.kernels())) == 1
    assert lowered.as_text("program").count("exp(") == 2           # in the title, and once in the kernel
    assert lowered.memory()["peak"] < 5 * 8 * n


def test_brusselator_on_a_torus():
    n = 12
    y = rng.uniform(0.5, 1.5, 2 * n * n)
    f = pb.jacobian(lambda y: brusselator(y, n), sparse=True)
    np.testing.assert_allclose(f(y).toarray(), pb.jacobian(lambda y: brusselator(y, n))(y), rtol=1e-13, atol=1e-15)
    assert f(y).nnz == 6 * 2 * n * n
    for size in (12, 32):
        pattern = pb.sparsity(lambda y, n=size: brusselator(y, n), np.zeros(2 * size * size))
        assert 6 <= pattern.coloring().count <= 11


def arrow(x):
    return pb.sum(x**4) + x[0] * pb.sum(pb.sin(x[1:]))


def test_an_arrow_needs_two_colors():
    x = rng.normal(size=30)
    f = pb.hessian(arrow, sparse=True)
    np.testing.assert_allclose(f(x).toarray(), pb.hessian(arrow)(x), rtol=1e-13, atol=1e-15)
    assert f.coloring(x).count == 2
    large = np.full(3000, 0.5)
    assert f.coloring(large).count == 2 and f(large).nnz == 3 * 3000 - 2


def rosenbrock(x):
    return pb.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_hessian_of_rosenbrock():
    x = rng.normal(size=25)
    matrix = pb.hessian(rosenbrock, sparse=True)(x)
    np.testing.assert_allclose(matrix.toarray(), pb.hessian(rosenbrock)(x), rtol=1e-12)
    assert pb.hessian(rosenbrock, sparse=True).coloring(x).count <= 3


def test_random_symmetric_hessians():
    for number in range(4):
        rng = np.random.default_rng(number)
        a, b = rng.integers(0, 20, (2, 30))
        f = lambda x, a=a, b=b: pb.sum(pb.sin(x[a] * x[b])) + x[0] ** 2  # noqa: E731
        x = rng.normal(size=20)
        np.testing.assert_allclose(pb.hessian(f, sparse=True)(x).toarray(), pb.hessian(f)(x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["columns", "rows"])
def test_rectangles_by_columns_and_by_rows(kind):
    x = rng.uniform(0.5, 1.5, (5, 4))

    def f(x):
        return pb.sum(x**3, axis=1) * x[0, 0] if kind == "columns" else pb.concatenate([x.ravel() ** 2, x[0] * x[1]])

    g = pb.jacobian(f, sparse=pb.sparsity(f, x).coloring(kind))
    np.testing.assert_allclose(g(x).toarray(), dense(f, x), rtol=1e-13)


def test_whichever_needs_fewer_colors():
    """A long sum beside a diagonal: by cotangents two products, by tangents as many as there are elements."""
    f = lambda x: pb.concatenate([x**2, pb.sum(x**3)[None]])  # noqa: E731
    x = rng.normal(size=15)
    g = pb.jacobian(f, sparse=True)
    assert (g.coloring(x).kind, g.coloring(x).count) == ("rows", 2)
    np.testing.assert_allclose(g(x).toarray(), dense(f, x), rtol=1e-13)


def test_expressions_are_called_by_name():
    u, c = pb.Var("u", ("n",)), pb.Var("c")
    y = c * u[1:] * u[:-1]
    f = pb.jacobian(y, u, sparse=True)
    x = np.arange(1.0, 6.0)
    np.testing.assert_allclose(f(u=x, c=2.0).toarray(), pb.compile(pb.jacobian(y, u))(u=x, c=2.0))
    h = pb.hessian(pb.sum(y), "u", sparse=True)
    np.testing.assert_allclose(h(u=x, c=2.0).toarray(), 2.0 * (np.eye(5, k=1) + np.eye(5, k=-1)))


def test_patterns_are_found_once_for_each_size():
    count = 0

    def f(u, k):
        nonlocal count
        count += 1
        return u[1:] * u[:-1] * k

    g = pb.jacobian(f, sparse=True)
    first = g(np.ones(5), 2.0)
    traces = count
    np.testing.assert_allclose(g(np.full(5, 3.0), 1.0).toarray(), 1.5 * first.toarray())
    assert count == traces
    assert g(np.ones(7), 2.0).shape == (6, 7)
    assert len(g.compiled((0, 1)).log) == 1             # one program for all sizes
    first.indices[:] = 0                                # the user's own
    assert g(np.ones(5), 2.0).toarray()[0, 1] == 2.0


def test_given_patterns_and_float32():
    x = np.ones(6, np.float32)
    f = lambda x: x[1:] * x[:-1]  # noqa: E731
    pattern = pb.sparsity(f, x)
    for given in (True, pattern, pattern.coloring()):
        matrix = pb.jacobian(f, sparse=given)(x)
        assert matrix.dtype == np.float32 and matrix.nnz == 10
    with pytest.raises(pb.ShapeError, match="6 columns, and the argument 7"):
        pb.jacobian(f, sparse=pattern)(np.ones(7, np.float32))


def test_newton_on_a_grid_with_a_sparse_solver():
    """-Laplace(u) = exp(u) on a square: the sparse Newton iteration ends where pb.root does."""
    n = 12

    def f(u):
        around = sum(pb.shift(u, o, axis, boundary="constant") for o in (1, -1) for axis in (0, 1))
        return 4 * u - around - pb.exp(u) / (n + 1) ** 2

    jacobian, value, u = pb.jacobian(f, sparse=True), pb.compile(f), np.zeros((n, n))
    for _ in range(5):
        u = u - spsolve(jacobian(u).tocsc(), value(u).ravel()).reshape(n, n)
    assert jacobian.coloring(u).count <= 7
    np.testing.assert_allclose(value(u), 0, atol=1e-14)
    np.testing.assert_allclose(pb.root(f, np.zeros((n, n)), linear_solver="cg"), u, rtol=1e-9)


DIAGONALS = {
    "two beside": lambda u: 2 * u[2:-2] ** 2 - u[:-4] * u[4:],
    "as wide as high": lambda u: sum(pb.shift(u, d, boundary="constant") ** 2 for d in range(-2, 3)),
    "wider": lambda u: pb.concatenate([u[1:] * u[:-1], u[:1] ** 2])[:-2],
    "higher": lambda u: pb.pad(u**3, (2, 1)) + pb.pad(pb.exp(u), (1, 2)),
    "one side": lambda u: pb.diff(pb.sin(u), n=2),
    "apart": lambda u: u * pb.shift(u, 7, boundary="constant"),
    "a table": lambda u: pb.tanh(u.reshape(-1, 1) * pb.shift(u, 1, boundary="constant")[:, None]),
}


@pytest.mark.parametrize("name", DIAGONALS)
def test_full_diagonals_of_every_size(name):
    """One program puts the entries of a row in their places, also in the first and the last rows."""
    f = DIAGONALS[name]
    g, offsets = pb.jacobian(f, sparse=True), set()
    for n in (5, 6, 7, 8, 9, 16, 40):
        for dtype in ("float64", "float32"):
            u = np.linspace(0.5, 1.5, n).astype(dtype)
            matrix = g(u)
            np.testing.assert_allclose(matrix.toarray(), dense(f, u), rtol=1e-5 if dtype == "float32" else 1e-13)
            assert matrix.dtype == dtype
            if n > 8:
                offsets.add(g.form(u))
                assert len(g.lower(u).program.steps) == 1
    assert len(offsets) == 1 and isinstance(*offsets, tuple)


def test_what_all_diagonals_share_is_computed_once():
    f = pb.jacobian(lambda u: pb.exp(u[1:-1]) * (u[2:] + u[:-2]), sparse=True)
    program = f.lower(np.linspace(0.0, 1.0, 50)).program
    (kernel,) = program.kernels()
    assert sum(getattr(s, "op", "") == "exp" for s in walk_stmts(kernel.body)) == 1


def test_tables_of_rows_and_columns():
    """Neighbours on a grid and a graph: one kernel each, and no entry is computed but those of the pattern."""
    rng = np.random.default_rng(5)
    ends = rng.integers(0, 30, (2, 80))
    for f, x in (
        (lambda u: u * sum(pb.shift(u, o, axis, boundary="constant") for o in (1, -1) for axis in (0, 1)), (6, 7)),
        (lambda u: pb.sin(u[ends[0]] - 2 * u[ends[1]]), (30,)),
        (lambda u: pb.where(u > 0, u, pb.exp(u))[::-1] * pb.roll(u, 3), (25,)),
        (lambda u: pb.sum(u**2, axis=1) * u[:, 1], (9, 3)),
    ):
        u, g = rng.normal(size=x), pb.jacobian(f, sparse=True)
        np.testing.assert_allclose(g(u).toarray(), dense(f, u), rtol=1e-13, atol=1e-15)
        assert g.form(u) == "entries"
        lowered = g.lower(u)
        assert len(lowered.program.steps) == 1 + ("row_sum" in lowered.as_text("program"))
        assert lowered.memory()["temporaries"] <= 512                # those row sums; never a tangent


def test_unknowns_that_meet_in_long_sums_are_left_to_a_coloring():
    x, f = np.linspace(0.1, 1.0, 20), lambda x: x**2 + pb.sum(x[:10] ** 2)
    assert pb.hessian(arrow, sparse=True).form(x) == "symmetric"
    assert pb.jacobian(f, sparse=True).form(x) in ("columns", "rows")
    np.testing.assert_allclose(pb.jacobian(f, sparse=True)(x).toarray(), dense(f, x), rtol=1e-13)


def test_infinite_partials_stay_where_they_are():
    """A product with a unit vector would make 0 times infinity of every entry beside them."""
    u = np.array([0.0, 1.0, 4.0, 9.0])
    matrix = pb.jacobian(lambda u: pb.sqrt(u[1:]) + pb.sqrt(u[:-1]), sparse=True)(u).toarray()
    np.testing.assert_array_equal(matrix, [[np.inf, 0.5, 0, 0], [0, 0.5, 0.25, 0], [0, 0, 0.25, 1 / 6]])


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
@pytest.mark.parametrize("name", ["diagonals", "entries", "symmetric"])
def test_the_entries_on_every_target(name):
    f, x = {"diagonals": (pb.jacobian(residual, sparse=True), np.linspace(0.1, 1.0, 9)),
            "entries": (pb.jacobian(lambda y: brusselator(y, 3), sparse=True), np.linspace(0.5, 1.5, 18)),
            "symmetric": (pb.hessian(arrow, sparse=True), np.linspace(0.1, 1.0, 15))}[name]
    form, words = f._prepared((x,), {})
    assert form == ((-1, 0, 1) if name == "diagonals" else name)
    job = job_of(lambda x, *words: f.compiled(form).target((x,), {}, *words), [x, *words])
    assert_agree(run_on_cpu(job), expected(job))
    assert_agree(run_program(job[1], *inputs_of(job[0], [x, *words])), expected(job))
    if nvrtc.nvrtc_version() is not None:
        footprints = nvrtc.compile_text(f.lower(x).as_text("cuda")).footprints
        assert all(p.spill_stores == p.spill_loads == 0 for p in footprints.values())


def test_errors_say_what_to_write():
    x, f = np.ones(4), lambda x: x**2
    for call, error, words in (
        (lambda: pb.sparsity(lambda x: (x, x), x), pb.NotDifferentiable, "join them with pb.concatenate"),
        (lambda: pb.sparsity(f, np.arange(3)), pb.NotDifferentiable, "int64"),
        (lambda: pb.sparsity(pb.Var("u") ** 2), pb.ShapeError, "u=array"),
        (lambda: pb.sparsity(f, {"a": x, "b": x}), pb.PullbackError, "not by a nest"),
        (lambda: pb.sparsity(3.0), TypeError, "expression or a function"),
        (lambda: pb.sparsity(f, x).coloring("star"), pb.PullbackError, "'symmetric'"),
        (lambda: pb.sparsity(lambda x: x[1:], x).coloring("symmetric"), pb.PullbackError, "square"),
        (lambda: pb.jacobian(f, sparse=1)(x), pb.PullbackError, "sparse= is True"),
        (lambda: pb.jacobian(f, sparse=True, has_aux=True), TypeError, "aux"),
        (lambda: pb.jacobian(f, (0, 1), sparse=True), pb.PullbackError, "one argument"),
        (lambda: pb.compile(lambda x: pb.jacobian(f, sparse=True)(x))(x), pb.PullbackError, "call it on arrays"),
        (lambda: pb.sparsity(lambda x: x[:, None] * x, np.ones(10**6)).nnz, pb.PullbackError, "it is not sparse"),
    ):
        with pytest.raises(error, match=words):
            call()
