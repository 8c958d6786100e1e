"""vmap against a Python loop over the items: every structural operation, loops, branches, nests, derivatives."""

import numpy as np
import pytest

import pullback as pb

R = np.random.default_rng(0)
A, B, V = R.normal(size=(3, 4)), R.normal(size=(3, 4)), R.normal(size=4)
M, N = R.normal(size=(3, 4, 4)), R.normal(size=(4, 4))
ROWS, AT = np.array([[0, 2, 1], [3, 3, 0], [1, 0, 2]]), np.array([2, 0, 3])


def one_by_one(f, args, axes):
    size = next(a.shape[k] for a, k in zip(args, axes, strict=True) if k is not None)
    items = [pb.compile(f)(*(a if k is None else np.take(a, i, k) for a, k in zip(args, axes, strict=True)))
             for i in range(size)]
    return np.stack([np.asarray(x) for x in items])


def agree(f, *args, axes=None, rtol=1e-12):
    axes = (0,) * len(args) if axes is None else axes
    found = pb.vmap(f, axes)(*args)
    expected = one_by_one(f, args, axes)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-14)


CASES = {
    "rows": (lambda x, y: pb.sin(x) * y + pb.where(x > y, x, 2.0), (A, B), (0, 0)),
    "one item for all": (lambda x, y: x * y, (A, V), (0, None)),
    "second axis": (lambda x, y: pb.sum(x) * y, (A.T, B), (1, 0)),
    "negative axis": (lambda x, y: x - y, (A.T, B), (-1, 0)),
    "reshape": (lambda x: x.reshape(2, 2).T.ravel(), (A,), (0,)),
    "broadcast": (lambda x: x[:, None] * pb.ones((1, 3)) + x[0], (A,), (0,)),
    "slices": (lambda x: x[::-1][1:] - x[:-1], (A,), (0,)),
    "flip": (lambda x: pb.flip(x) + pb.roll(x, 1), (A,), (0,)),
    "pad with its own number": (lambda x: pb.pad(x, 1, constant_values=2.0) * x[0], (A,), (0,)),
    "concatenate": (lambda x, y: pb.concatenate([x, y, x[:1]]), (A, V), (0, None)),
    "update": (lambda x, y: x.at[1:3].add(y[:2]), (A, V), (0, None)),
    "update a constant": (lambda y: pb.zeros(6).at[1:5].set(y), (A,), (0,)),
    "gather, own index": (lambda x, i: x[i], (A, ROWS), (0, 0)),
    "gather, common index": (lambda x, i: x[i] * 2, (A, AT), (0, None)),
    "gather, common array": (lambda x, i: x[i], (V, ROWS), (None, 0)),
    "gather by a scalar": (lambda x, i: x[i], (A, AT), (0, 0)),
    "gather rows": (lambda x, i: x[i], (M, ROWS), (0, 0)),
    "gather by two": (lambda x, i: x[i, i[::-1]], (M, ROWS), (0, 0)),
    "gather a column": (lambda x, i: x[:, i], (M, AT), (0, None)),
    "scatter, own index": (lambda x, i, v: x.at[i].add(v), (A, ROWS, A[:, :3]), (0, 0, 0)),
    "scatter, common index": (lambda x, i, v: x.at[i].multiply(v), (A, AT, A[:, :3]), (0, None, 0)),
    "scatter, last wins": (lambda x, i, v: x.at[i].set(v), (V, ROWS, A[:, :3]), (None, 0, 0)),
    "scatter rows": (lambda x, i, v: x.at[i].min(v), (M, AT, M[:, :3]), (0, None, 0)),
    "folds": (lambda x: pb.stack([pb.max(x), pb.prod(x), pb.min(x), pb.mean(x), pb.std(x)]), (A,), (0,)),
    "logical folds": (lambda x: pb.any(x > 1), (A,), (0,)),
    "argmax": (lambda x: pb.argmax(x), (A,), (0,)),
    "matrix, own vector": (lambda m, x: m @ x, (N, A), (None, 0)),
    "own matrix": (lambda m, x: m @ x, (M, V), (0, None)),
    "both": (lambda m, x: m @ (x @ m), (M, A), (0, 0)),
    "einsum": (lambda m, x: pb.einsum("ij,ik,k->j", m, m, x), (M, A), (0, 0)),
    "outer": (lambda x, y: pb.outer(x, y), (A, B), (0, 0)),
    "cumulative": (lambda x: pb.cumsum(x) + pb.cumprod(x), (A,), (0,)),
    "logsumexp": (lambda m: pb.logsumexp(m, axis=1) + pb.softmax(m, axis=0)[0], (M,), (0,)),
    "integers": (lambda i: i // 2 + i % 3, (ROWS,), (0,)),
    "cast": (lambda x: x.astype("float32") * 2, (A,), (0,)),
}


@pytest.mark.parametrize("name", CASES)
def test_operations(name):
    f, args, axes = CASES[name]
    agree(f, *args, axes=axes)


# ---- arguments and results ------------------------------------------------------------------------------------------
def test_nests_axes_and_keywords():
    def f(p, s, *, k):
        return {"a": p["x"] * s, "b": (pb.sum(p["y"]) + k, s)}
    p = {"x": A, "y": V}
    found = pb.vmap(f, in_axes=({"x": 0, "y": None}, None), out_axes={"a": 1, "b": (0, None)})(p, 2.0, k=np.arange(3.0))
    np.testing.assert_allclose(found["a"], 2 * A.T)
    np.testing.assert_allclose(found["b"][0], V.sum() + np.arange(3))
    assert found["b"][1] == 2.0


def test_results_that_are_the_same_repeat():
    np.testing.assert_array_equal(pb.vmap(lambda x: pb.ones(2))(A), np.ones((3, 2)))


def test_words():
    with pytest.raises(pb.ShapeError, match=r"argument 1 has 4 items along axis 0, and argument 0 has 3"):
        pb.vmap(lambda x, y: x + y)(A, V)
    with pytest.raises(pb.ShapeError, match="argument 1 has shape .* no axis 0"):
        pb.vmap(lambda x, y: x + y)(A, 2.0)
    with pytest.raises(pb.ShapeError, match="maps over no argument"):
        pb.vmap(lambda x: x, in_axes=None)(A)
    with pytest.raises(pb.ShapeError, match="differs between items"):
        pb.vmap(lambda x: x, out_axes=None)(A)
    with pytest.raises(pb.ShapeError, match="2 entries for 1 arguments"):
        pb.vmap(lambda x: x, in_axes=(0, 0))(A)
    with pytest.raises(pb.ShapeError, match="not built like"):
        pb.vmap(lambda x: x, in_axes=((0, 0),))(A)
    with pytest.raises(TypeError, match="'first'"):
        pb.vmap(lambda x: x, in_axes="first")(A)


def test_expressions_without_types():
    x, y = pb.Var("x"), pb.Var("y")
    e = pb.vmap(lambda a: pb.sum(a * y))(x)
    np.testing.assert_allclose(pb.compile(e)(x=A, y=V), A @ V)
    np.testing.assert_allclose(pb.compile(pb.grad(pb.sum(e), y))(x=A, y=V), A.sum(0))
    z = pb.Var("z", ("n", 4))
    assert pb.vmap(lambda a: a[:2])(z).shape[1] == 2


def test_one_compilation_serves_every_size():
    f = pb.compile(pb.vmap(lambda x, y: x @ y))
    for n in (2, 3, 5):
        a = R.normal(size=(n, 4))
        np.testing.assert_allclose(f(a, a), (a * a).sum(1))
    assert len(f.log) == 1
    assert f(np.ones((0, 4)), np.ones((0, 4))).shape == (0,)


# ---- loops and branches ---------------------------------------------------------------------------------------------
COUNTS = np.array([0, 3, 1])


def power(n, x):
    return pb.fori_loop(0, n, lambda i, s: s * x + i, x)


def root(x):
    return pb.while_loop(lambda s: pb.abs(s * s - x) > 1e-12 * x, lambda s: 0.5 * (s + x / s), 1.0 + 0 * x,
                         max_steps=60)


def search(values, x):
    """The number of `values` below x, by bisection: indices that only running lanes may use."""
    def step(s):
        middle = (s[0] + s[1]) // 2
        below = values[middle] < x
        return pb.where(below, middle + 1, s[0]), pb.where(below, s[1], middle)
    return pb.while_loop(lambda s: s[0] < s[1], step, (0, values.shape[0]))[0]


def test_scan_with_stacked_results():
    def f(x):
        last, ys = pb.scan(lambda s, e: (s + e, s * e), 0.0, x)
        return ys + last
    agree(f, A)
    agree(lambda x, y: pb.scan(lambda s, e: (s * y + e, s), 0.0, x, reverse=True)[1], V, B[:, 0], axes=(None, 0))


def test_each_item_takes_its_own_number_of_turns():
    agree(power, COUNTS, A[:, 0])
    agree(lambda n, x: power(n, x), COUNTS, A[0, 0], axes=(0, None))
    agree(root, np.array([2.0, 1e6, 1e-3]))
    sorted_values = np.sort(R.normal(size=9))
    points = np.array([-9.0, 0.1, 9.0, sorted_values[4]])
    found = pb.vmap(search, (None, 0))(sorted_values, points)
    np.testing.assert_array_equal(found, np.searchsorted(sorted_values, points))


def test_a_counter_that_depends_on_the_lane():
    def f(x, n):
        return pb.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 2, s[1] * x + s[0]), (0, 1.0))
    found = pb.vmap(f)(A[:, 0], np.array([1, 0, 6]))
    expected = [f(x, n) for x, n in zip(A[:, 0], (1, 0, 6), strict=True)]
    for k in range(2):
        np.testing.assert_allclose(found[k], [e[k] for e in expected])


def test_loops_in_loops_with_their_own_lengths():
    def f(n, x):
        def outer(i, s):
            return pb.while_loop(lambda t: t < 3.0 * (i + 1), lambda t: t + pb.abs(x) + 0.5, s) - 1.0
        return pb.fori_loop(0, n, outer, x)
    agree(f, COUNTS, A[:, 0])


def test_max_steps_counts_for_the_slowest():
    with pytest.raises(IndexError):
        pb.vmap(lambda n: pb.while_loop(lambda s: s < n, lambda s: s + 1.0, 0.0 * n, max_steps=3))(np.array([1.0, 9.0]))


def test_branches():
    bodies = [lambda x: pb.sin(x), lambda x: x * x, lambda x: pb.log(x)]
    agree(lambda k, x: pb.switch(k, bodies, x), np.array([-1, 1, 7]), pb.compile(pb.abs)(A[:, 0]))
    agree(lambda x: pb.cond(pb.sum(x) > 0, lambda y: y * 2, lambda y: y - 1.0, x), A)
    agree(lambda p, x: pb.cond(p, lambda y: y * 2, lambda y: pb.ones_like(y), x), np.array(True), A, axes=(None, 0))


# ---- with derivatives -----------------------------------------------------------------------------------------------
def test_derivatives_of_items_and_items_of_derivatives():
    def f(x, y):
        return pb.sum(pb.sin(x) * y) ** 2
    agree(pb.grad(f), A, V, axes=(0, None))
    agree(pb.grad(f, argnums=1), A, V, axes=(0, None))
    agree(lambda x: pb.hvp(lambda z: f(z, V), (x,), (V,)), A)
    whole = pb.grad(lambda x, y: pb.sum(pb.vmap(f, (0, None))(x, y)), argnums=(0, 1))(A, V)
    np.testing.assert_allclose(whole[0], pb.vmap(pb.grad(f), (0, None))(A, V))
    np.testing.assert_allclose(whole[1], pb.vmap(pb.grad(f, argnums=1), (0, None))(A, V).sum(0))


def test_derivatives_through_loops_of_different_lengths():
    slope = pb.grad(power, argnums=1)
    agree(slope, COUNTS, A[:, 0])
    agree(pb.grad(root), np.array([2.0, 1e6, 1e-3]), rtol=1e-9)
    whole = pb.grad(lambda x: pb.sum(pb.vmap(power)(COUNTS, x)))(A[:, 0])
    np.testing.assert_allclose(whole, pb.vmap(slope)(COUNTS, A[:, 0]))
    pb.check_grads(lambda x: pb.vmap(power)(COUNTS, x), (A[:, 0],), order=2)
    pb.check_grads(pb.vmap(root), (np.array([2.0, 5.0, 0.3]),), order=2)


def test_a_lane_that_is_done_gives_no_nan():
    def f(x):
        return pb.while_loop(lambda s: s > 0.5, lambda s: pb.sqrt(s - 0.2) * x, x)
    points = np.array([0.1, 0.6, 0.8])
    agree(pb.grad(f), points)
    assert np.isfinite(pb.grad(lambda x: pb.sum(pb.vmap(f)(x)))(points)).all()


def test_vmap_of_vmap():
    table = pb.vmap(pb.vmap(lambda x, y: x @ y, (None, 0)), (0, None))(A, B)
    np.testing.assert_allclose(table, A @ B.T)
    turns = pb.vmap(pb.vmap(power, (None, 0)), (0, None))(COUNTS, A[:, 0])
    np.testing.assert_allclose(turns, [[pb.compile(power)(n, x) for x in A[:, 0]] for n in COUNTS])
    diagonal = pb.vmap(pb.vmap(lambda i, x: x[i]), (0, None))(ROWS, A)
    np.testing.assert_allclose(diagonal, [[A[k][i] for k, i in enumerate(row)] for row in ROWS])


def test_random_numbers_of_each_key():
    keys = np.asarray(pb.random.split(pb.random.key(0), 4))
    found = pb.vmap(lambda k: pb.random.normal(k, (2,)))(keys)
    np.testing.assert_array_equal(found, np.stack([pb.compile(lambda k: pb.random.normal(k, (2,)))(k) for k in keys]))


def test_every_operation_with_a_derivative_has_a_rule():
    from pullback.dsl import batch, ops, rules
    assert set(rules.RULES) - set(batch.BATCH_RULES) - set(ops.ROWS) == set()
