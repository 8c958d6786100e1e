"""Loops by their public functions: values against Python's loops, derivatives of both modes and of second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb

rng = np.random.default_rng(7)


def slope(f: Callable[..., Any], x: np.ndarray, v: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """The derivative of f at x along v by central differences."""
    return (np.asarray(f(x + h * v)) - np.asarray(f(x - h * v))) / (2 * h)


def check_derivatives(f: Callable[[Any], Any], x: Any, rtol: float = 1e-6) -> None:
    """Scalar f of one array: the gradient, the two modes against each other, and the Hessian along a vector."""
    x = np.asarray(x, float)
    v = np.random.default_rng(1).normal(size=x.shape)
    gradient = pb.grad(f)

    def everything(x: Any) -> Any:
        return (f(x), gradient(x), pb.jvp(f, (x,), (v,))[1], pb.hvp(f, (x,), (v,)),
                pb.grad(lambda x: pb.sum(gradient(x) * v))(x))

    compiled = pb.compile(everything)
    _, got, along, product, twice = compiled(x)
    h = 1e-6
    above, below = compiled(x + h * v), compiled(x - h * v)
    np.testing.assert_allclose(np.sum(got * v), along, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(along, (above[0] - below[0]) / (2 * h), rtol=rtol, atol=1e-7)
    np.testing.assert_allclose(product, (above[1] - below[1]) / (2 * h), rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(twice, product, rtol=1e-9, atol=1e-10)


# ---- fori_loop --------------------------------------------------------------------------------------------------
def test_a_counter_stays_an_integer_and_the_index_runs_between_the_bounds() -> None:
    total, count = pb.fori_loop(3, 8, lambda i, s: (s[0] + i, s[1] + 1), (0, 0))
    assert (total, count) == (25, 5) and np.asarray(total).dtype == np.int64
    assert pb.fori_loop(4, 4, lambda i, s: s * 0.0, 7.0) == 7.0
    assert pb.fori_loop(5, 2, lambda i, s: s * 0.0, 7.0) == 7.0


def test_a_rk4_step_with_parameters_closed_over() -> None:
    def loss(p: Any) -> Any:
        def field(y: Any) -> Any:
            return pb.stack([p[0] * y[0] - p[1] * y[0] * y[1], p[1] * y[0] * y[1] - y[1]])

        def step(_: Any, y: Any) -> Any:
            a = field(y)
            b = field(y + 0.05 * a)
            return y + 0.1 * b

        return pb.sum(pb.fori_loop(0, 12, step, pb.stack([p[2], 0.5 * p[2]])) ** 2)

    check_derivatives(loss, [1.1, 0.7, 1.3])


def test_bounds_that_are_known_at_run_time_only() -> None:
    def power(x: Any, low: Any, high: Any) -> Any:
        return pb.fori_loop(low, high, lambda i, c: pb.sin(c) * x + 0.1 * i, x)

    def plain(x: float, low: int, high: int) -> float:
        c = x
        for i in range(low, high):
            c = np.sin(c) * x + 0.1 * i
        return c

    f, g = pb.compile(power), pb.compile(pb.value_and_grad(power))
    second = pb.compile(pb.grad(lambda x, a, b: pb.grad(power)(x, a, b)))
    for low, high in ((0, 5), (2, 9), (3, 3), (6, 2), (0, 40)):
        np.testing.assert_allclose(f(0.7, low, high), plain(0.7, low, high), rtol=1e-14)
        value, gradient = g(0.7, low, high)
        h = 1e-6
        numeric = (plain(0.7 + h, low, high) - plain(0.7 - h, low, high)) / (2 * h)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-7)
        numeric = (g(0.7 + h, low, high)[1] - g(0.7 - h, low, high)[1]) / (2 * h)
        np.testing.assert_allclose(second(0.7, low, high), numeric, rtol=1e-6, atol=1e-8)


def test_a_size_is_a_bound_without_a_new_compilation() -> None:
    f = pb.compile(lambda x: pb.fori_loop(0, x.shape[0], lambda i, s: s * 0.5 + x[i], 0.0))
    for n in (3, 7, 11):
        x = rng.random(n)
        s = 0.0
        for value in x:
            s = s * 0.5 + value
        np.testing.assert_allclose(f(x), s, rtol=1e-14)
    assert len(f.log) == 1


def test_indexed_updates_in_place_and_reads_of_what_was_written() -> None:
    def fill(x: Any) -> Any:
        def step(i: Any, y: Any) -> Any:
            return y.at[i + 1].set(pb.sin(y[i]) + x[i])

        return pb.fori_loop(0, 6, step, pb.zeros(7) + x[0])

    x = rng.random(6)
    y = np.zeros(7) + x[0]
    for i in range(6):
        y[i + 1] = np.sin(y[i]) + x[i]
    np.testing.assert_allclose(pb.compile(fill)(x), y, rtol=1e-14)
    check_derivatives(lambda x: pb.sum(fill(x) ** 2 * np.arange(1.0, 8.0)), x)


def test_slices_that_move_with_the_index() -> None:
    def moving(x: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            total, rows = state
            window = x[i: i + 3]
            return total + pb.sum(window * window) * x[i], rows.at[i, :].set(window[:2] * total)

        return pb.fori_loop(0, 4, step, (1.0, pb.zeros((4, 2))))

    x = rng.random(6)
    total, rows = 1.0, np.zeros((4, 2))
    for i in range(4):
        window = x[i: i + 3]
        total, rows[i, :] = total + np.sum(window * window) * x[i], window[:2] * total
    got = pb.compile(moving)(x)
    np.testing.assert_allclose(got[0], total, rtol=1e-14)
    np.testing.assert_allclose(got[1], rows, rtol=1e-14)
    check_derivatives(lambda x: moving(x)[0] + pb.sum(moving(x)[1] ** 2), x)


def test_loops_in_loops_with_bounds_that_depend_on_the_outer_index() -> None:
    """A lower triangular solve, row by row."""
    def solve(a: Any, b: Any) -> Any:
        a = pb.asarray(a)
        n, b = b.shape[0], pb.asarray(b)

        def row(i: Any, y: Any) -> Any:
            total = pb.fori_loop(0, i, lambda j, s: s + a[i, j] * y[j], 0.0)
            return y.at[i].set((b[i] - total) / a[i, i])

        return pb.fori_loop(0, n, row, pb.zeros_like(b))

    a, b = np.tril(rng.random((5, 5))) + 2 * np.eye(5), rng.random(5)
    np.testing.assert_allclose(pb.compile(solve)(a, b), np.linalg.solve(a, b), rtol=1e-12)
    check_derivatives(lambda a: pb.sum(solve(a, b) ** 2), a)
    check_derivatives(lambda b: pb.sum(solve(a, b) ** 3), b)


# ---- scan -------------------------------------------------------------------------------------------------------
def recurrent(w: Any, xs: Any, reverse: bool = False, **keep: Any) -> Any:
    def cell(h: Any, x: Any) -> Any:
        h = pb.tanh(w @ h + x["force"])
        return h, {"norm": pb.sum(h * h), "state": h * x["gain"]}

    return pb.scan(cell, pb.zeros(3), xs, reverse=reverse, **keep)


def recurrent_in_python(w: np.ndarray, xs: dict, reverse: bool) -> Any:
    h, norms, states = np.zeros(3), [], []
    order = range(5)[::-1] if reverse else range(5)
    for i in order:
        h = np.tanh(w @ h + xs["force"][i])
        norms.append(np.sum(h * h))
        states.append(h * xs["gain"][i])
    turn = slice(None, None, -1 if reverse else 1)
    return h, np.array(norms)[turn], np.array(states)[turn]


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_over_a_nest_stacks_a_nest(reverse: bool) -> None:
    w, xs = rng.normal(size=(3, 3)) / 2, {"force": rng.normal(size=(5, 3)), "gain": rng.random(5)}
    h, ys = pb.compile(lambda w, xs: recurrent(w, xs, reverse))(w, xs)
    expected = recurrent_in_python(w, xs, reverse)
    for got, want in zip((h, ys["norm"], ys["state"]), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)

    def loss(w: Any) -> Any:
        h, ys = recurrent(w, xs, reverse)
        return pb.sum(h) + pb.sum(ys["norm"] ** 2) + pb.sum(ys["state"] * ys["state"])

    check_derivatives(loss, w)


def test_gradients_with_respect_to_what_is_scanned() -> None:
    def loss(x: Any) -> Any:
        last, ys = pb.scan(lambda c, x: (c * x + pb.sin(x), c * c), 1.0, x)
        return last + pb.sum(ys)

    check_derivatives(loss, rng.random(6))
    h, ys = recurrent(np.eye(3), {"force": np.ones((2, 3)), "gain": np.ones(2)})
    assert np.asarray(ys["state"]).shape == (2, 3) and np.asarray(h).shape == (3,)


def test_lengths_and_structures() -> None:
    carry, ys = pb.scan(lambda c, _: (c + 1, c), 0, None, length=4)
    assert carry == 4 and np.array_equal(ys, [0, 1, 2, 3])
    carry, ys = pb.scan(lambda c, x: (c + x, None), 0.0, np.zeros(0))
    assert carry == 0.0 and ys is None
    assert np.asarray(pb.scan(lambda c, x: (c + x, c), 0.0, np.zeros((0,)))[1]).shape == (0,)
    with pytest.raises(pb.ShapeError, match=r"xs\['b'\] has 3 elements"):
        pb.scan(lambda c, x: (c, None), 0.0, {"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(pb.ShapeError, match="length="):
        pb.scan(lambda c, x: (c, None), 0.0)
    with pytest.raises(pb.PullbackError, match="pair"):
        pb.scan(lambda c, x: c, 0.0, np.zeros(2))
    with pytest.raises(pb.PullbackError, match="same nest"):
        pb.scan(lambda c, x: ((c, c), None), 0.0, np.zeros(2))


def test_carries_keep_their_types_or_say_which_does_not() -> None:
    assert np.asarray(pb.fori_loop(0, 3, lambda i, s: s / 2, 8)).dtype == np.float64
    assert np.asarray(pb.fori_loop(0, 3, lambda i, s: s * 2, np.float32(1))).dtype == np.float32
    half = pb.scan(lambda s, x: (x, None), 0.0, np.ones(3, np.float32))[0]
    assert np.asarray(half).dtype == np.float32
    with pytest.raises(pb.DTypeError, match=r"init\['b'\] as float32 and returns it as float64"):
        init = {"a": 1.0, "b": np.ones(2, np.float32)}
        pb.fori_loop(0, 3, lambda i, s: {"a": s["a"], "b": s["b"] + np.ones(2)}, init)
    with pytest.raises(pb.ShapeError, match=r"init with shape \(\) and returns it with \(2,\)"):
        pb.fori_loop(0, 3, lambda i, s: s + np.ones(2), 0.0)
    with pytest.raises(pb.DTypeError, match="one bool"):
        pb.while_loop(lambda s: s, lambda s: s, 1.0)


# ---- while_loop -------------------------------------------------------------------------------------------------
def cube_root(a: Any, **bounds: Any) -> Any:
    def more(s: Any) -> Any:
        return (pb.max(pb.abs(s[0] - s[1])) > 1e-13) & (s[2] < 50)

    x, _, steps = pb.while_loop(more, lambda s: (s[0] - (s[0] ** 3 - a) / (3 * s[0] ** 2), s[0], s[2] + 1),
                                (a * 0.0 + 1.0, a * 0.0, 0), **bounds)
    return x, steps


@pytest.mark.parametrize("bounds", [{}, {"max_steps": 60}, {"checkpoint": "none"}])
def test_newton_by_while_converges_with_its_derivatives(bounds: dict) -> None:
    a = rng.uniform(0.5, 3.0, 4)
    x, steps = pb.compile(lambda a: cube_root(a, **bounds))(a)
    np.testing.assert_allclose(x, np.cbrt(a), rtol=1e-14)
    assert 3 < steps < 30
    gradient = pb.grad(lambda a: pb.sum(cube_root(a, **bounds)[0]))(a)
    np.testing.assert_allclose(gradient, a ** (-2 / 3) / 3, rtol=1e-12)
    second = pb.grad(lambda a: pb.sum(pb.grad(lambda a: pb.sum(cube_root(a, **bounds)[0]))(a)))(a)
    np.testing.assert_allclose(second, -2 / 9 * a ** (-5 / 3), rtol=1e-9)


def test_a_while_loop_whose_turns_depend_on_data_each_time() -> None:
    def collatz(n: Any) -> Any:
        return pb.while_loop(lambda s: s[0] != 1, lambda s: (pb.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] +
        1), (n, 0))[1]

    f = pb.compile(collatz)
    assert [int(f(n)) for n in (1, 6, 7, 27)] == [0, 8, 16, 111]


def test_beyond_max_steps_a_loop_raises_and_its_gradient_too() -> None:
    def f(x: Any) -> Any:
        return pb.while_loop(lambda c: c < 100.0, lambda c: c * x, x, max_steps=6)

    assert pb.compile(f)(3.0) == 243.0
    np.testing.assert_allclose(pb.grad(f)(3.0), 405.0)
    for run in (pb.compile(f), pb.grad(f)):
        with pytest.raises(IndexError, match="max_steps=6"):
            run(1.5)


def test_a_while_loop_inside_a_scan() -> None:
    def root_by_steps(x: Any) -> Any:
        def turn(total: Any, x: Any) -> Any:
            y = pb.while_loop(lambda y: y * y > x * 1.0001, lambda y: 0.5 * (y + x / y), x + 1.0)
            return total + y, y

        return pb.scan(turn, 0.0, x)

    x = rng.uniform(0.5, 9.0, 5)
    total, roots = pb.compile(root_by_steps)(x)
    np.testing.assert_allclose(roots, np.sqrt(x), rtol=1e-4)
    gradient = pb.grad(lambda x: root_by_steps(x)[0])(x)
    np.testing.assert_allclose(gradient, slope(lambda x: pb.compile(root_by_steps)(x)[1], x, np.ones(5)), rtol=1e-6)


def test_many_turns_without_a_bound_are_reversed_from_a_fixed_number_of_states() -> None:
    """20,000 turns are more than the slots that states are kept in."""
    def f(x: Any) -> Any:
        return pb.while_loop(lambda s: s[1] < 20000, lambda s: (s[0] + 1e-4 * pb.sin(s[0]), s[1] + 1), (x, 0))[0]

    c, t = 0.5, 1.0
    for _ in range(20000):
        t *= 1 + 1e-4 * np.cos(c)
        c += 1e-4 * np.sin(c)
    np.testing.assert_allclose(pb.grad(f)(0.5), t, rtol=1e-10)


# ---- what the reverse keeps -------------------------------------------------------------------------------------
@pytest.mark.parametrize("keep", ["none", 4, "sqrt", "revolve", "auto"])
def test_what_is_kept_changes_no_bit_of_a_gradient(keep: Any) -> None:
    def loss(x: Any, keep: Any) -> Any:
        last, ys = pb.scan(lambda c, w: (pb.sin(c) * w + c, c * w), x, np.linspace(0.1, 1.0, 30), checkpoint=keep)
        return pb.sum(last) + pb.sum(ys * ys)

    x = rng.random(3)
    kept = pb.compile(pb.value_and_grad(lambda x: loss(x, keep)))(x)
    whole = pb.compile(pb.value_and_grad(lambda x: loss(x, "all")))(x)
    np.testing.assert_allclose(kept[0], whole[0], rtol=1e-14)
    np.testing.assert_allclose(kept[1], whole[1], rtol=1e-13)
    check_derivatives(lambda x: loss(x, keep), x)


def test_a_budget_bounds_the_memory_of_a_gradient() -> None:
    def loss(x: Any, **keep: Any) -> Any:
        return pb.sum(pb.fori_loop(0, 4096, lambda i, c: c + 1e-3 * pb.sin(c), x, **keep))

    x = rng.random(64)
    words = {None: {"checkpoint": "all"}, "200KB": {"budget": "200KB"}, "60KB": {"budget": "60KB"}}
    compiled = {b: pb.compile(pb.grad(lambda x, word=word: loss(x, **word))) for b, word in words.items()}
    results = {b: f(x) for b, f in compiled.items()}
    np.testing.assert_array_equal(results["200KB"], results[None])
    np.testing.assert_array_equal(results["60KB"], results[None])
    bytes_of = {b: workspace(f.lower(x).program, 64) for b, f in compiled.items()}
    assert bytes_of[None] > 4096 * 64 * 8
    assert bytes_of["200KB"] < 210 << 10
    assert bytes_of["60KB"] < 70 << 10


def workspace(program: Any, n: int) -> int:
    from pullback.dsl import size

    return size.evaluate(program.workspace, dict.fromkeys(program.sizes, n))


WRONG = [{"checkpoint": 0}, {"checkpoint": "some"}, {"budget": "much"}, {"checkpoint": "all", "budget": "1MB"}]


@pytest.mark.parametrize("wrong", WRONG)
def test_words_for_what_is_kept_are_checked(wrong: dict) -> None:
    with pytest.raises(pb.PullbackError, match="budget|checkpoint"):
        pb.fori_loop(0, 3, lambda i, x: x, 1.0, **wrong)


# ---- expressions ------------------------------------------------------------------------------------------------
def test_loops_over_variables_wait_for_their_types() -> None:
    x, w, n = pb.Var("x"), pb.Var("w"), pb.Var("n")
    y = pb.fori_loop(0, n, lambda i, c: pb.tanh(w @ c) + i, x)
    last, norms = pb.scan(lambda c, row: (c + pb.sum(row * x), c), 0.0, w)
    f = pb.compile({"y": y, "last": last, "norms": norms, "grad": pb.grad(pb.sum(y) + last, {"w": w, "x": x})})
    xv, wv = rng.random(3), rng.normal(size=(3, 3))
    got = f(x=xv, w=wv, n=4)
    c = xv
    for i in range(4):
        c = np.tanh(wv @ c) + i
    np.testing.assert_allclose(got["y"], c, rtol=1e-13)
    np.testing.assert_allclose(got["last"], np.sum(wv @ xv), rtol=1e-13)
    np.testing.assert_allclose(got["norms"], np.concatenate([[0], np.cumsum(wv @ xv)[:-1]]), rtol=1e-12, atol=1e-15)
    v = rng.normal(size=(3, 3))

    def total(wv: np.ndarray) -> float:
        r = f(x=xv, w=wv, n=4)
        return np.sum(r["y"]) + r["last"]

    np.testing.assert_allclose(np.sum(got["grad"]["w"] * v), slope(total, wv, v), rtol=1e-6)


def test_sizes_of_declared_variables_inside_a_waiting_body() -> None:
    x = pb.Var("x", ("n",))
    y = pb.fori_loop(0, x.shape[0], lambda i, c: c + x[i] * x.shape[0], 0.0)
    f = pb.compile(y)
    assert f(x=np.array([1.0, 2.0])) == 6.0 and f(x=np.array([1.0, 2.0, 3.0])) == 18.0


def test_a_loop_is_named_where_the_program_is_explained() -> None:
    f = pb.compile(lambda x: pb.fori_loop(0, 10, lambda i, c: pb.sin(c) * 1.5, x))
    f(rng.random(4))
    assert "loop" in f.explain()


# ---- associative_scan -------------------------------------------------------------------------------------------
def test_running_products_of_matrices_and_sums_from_the_end() -> None:
    a = rng.normal(size=(4, 2, 2))
    got = pb.compile(lambda a: pb.associative_scan(lambda x, y: x @ y, a))(a)
    expected = [a[0], a[0] @ a[1], a[0] @ a[1] @ a[2], a[0] @ a[1] @ a[2] @ a[3]]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    b = rng.random((2, 5))
    got = pb.associative_scan(lambda x, y: x + y, b, reverse=True, axis=1)
    np.testing.assert_allclose(got, np.cumsum(b[:, ::-1], axis=1)[:, ::-1], rtol=1e-13)
    check_derivatives(lambda a: pb.sum(pb.associative_scan(lambda x, y: x @ y, a) ** 2), a)


# ---- what nobody reads ------------------------------------------------------------------------------------------
def test_carries_that_nobody_reads_are_neither_computed_nor_kept() -> None:
    """The last-but-one state serves the condition alone, so its past is not kept; nor is what a dead carry needs. The
    dead carries overflow, and no zero cotangent meets them.
    """
    from pullback.codegen.program import Kernel, Loop, walk_steps

    def dead(x: Any) -> Any:
        def turn(i: Any, s: Any) -> Any:
            inner = pb.fori_loop(0, 3, lambda j, t: (t[0] * 0.5, pb.exp(t[1])), (s[0], s[1]))
            return inner[0] + 1.0, inner[1], pb.exp(s[2])

        return pb.sum(pb.fori_loop(0, 4, turn, (x, x, x))[0])

    f, x = pb.compile(pb.value_and_grad(dead)), rng.random(3)
    np.testing.assert_allclose(pb.jvp(dead, (x,), (np.ones(3),))[1], 3 * 0.125**4)
    np.testing.assert_allclose(f(x)[1], np.full(3, 0.125**4))
    kernels = [s for s in walk_steps(f.lower(x).program.steps) if isinstance(s, Kernel)]
    assert not any("exp" in k.fuses for k in kernels)
    program = pb.compile(pb.grad(lambda a: pb.sum(cube_root(a, max_steps=60)[0]))).lower(x).program
    kept = [b for b in program.buffers.values() if len(b.shape) == 2]
    assert len(kept) == 1
    assert any(isinstance(s, Loop) for s in program.steps)


def test_a_value_and_its_gradient_share_the_forward_loop_and_keep_what_is_overwritten() -> None:
    from pullback.codegen.program import Loop

    def cholesky(a: Any) -> Any:
        n = a.shape[0]

        def column(j: Any, low: Any) -> Any:
            s = a[:, j] - low @ low[j]
            return low.at[:, j].set(pb.where(pb.arange(n) >= j, s / pb.sqrt(s[j]), 0.0))

        return pb.fori_loop(0, n, column, pb.zeros_like(a))

    m = rng.normal(size=(6, 6))
    a = m @ m.T + 6 * np.eye(6)
    np.testing.assert_allclose(pb.compile(cholesky)(a), np.linalg.cholesky(a), rtol=1e-12)
    f = pb.compile(pb.value_and_grad(lambda a: pb.sum(pb.sin(cholesky(a)))))
    program = f.lower(a).program
    assert len([s for s in program.steps if isinstance(s, Loop)]) == 2
    assert not [b for b in program.buffers.values() if len(b.shape) == 3]
    check_derivatives(lambda a: pb.sum(pb.sin(cholesky(a))), a)


def test_the_turns_of_a_triangular_loop_are_bounded_by_its_form() -> None:
    from pullback.dsl.bounds import least, most
    from pullback.dsl.loop import bound
    from pullback.dsl.size import same, symbol
    from pullback.dsl.surface import as_expr

    n = symbol("n")
    i = bound(np.int64, (), n)
    assert same(most(i), n - 1) and least(i) == 0
    assert same(most(n - i), n) and same(least(n - i), 1)
    assert same(most(pb.minimum(as_expr(3), i * 0 + i)), 3)
    assert most(i * i) is None and most(bound(np.int64)) is None


def test_waiting_loops_and_branches_print_what_they_do() -> None:
    x, n = pb.Var("x"), pb.Var("n")
    assert str(pb.fori_loop(0, n, lambda i, c: c * x, 1.0)).startswith("fori_loop(carry*x, carry=1.0, turns=n)")
    ys = pb.scan(lambda c, e: (c * e, c), 1.0, x)[1]
    assert str(ys).startswith("scan((carry*element, carry), carry=1.0, element=x)")
    assert str(pb.cond(x > 0, lambda: x, lambda: -x)).startswith("cond(x > 0, x, -x)")


@pytest.mark.parametrize(("first", "second"), [
    (slice(0, 1), slice(1, 2)), (slice(0, 2), slice(1, 3)), (slice(1, 3), slice(0, 2)), (slice(0, 2), slice(0, 2)),
    (slice(0, 4, 2), slice(1, 5, 2)), (slice(2, 4), slice(0, 2)),
])
@pytest.mark.parametrize("op", ["set", "add"])
def test_parts_of_a_carry_that_are_written_one_after_the_other(first, second, op):
    """A kernel that wrote both dropped the first where nobody else read it."""
    x, a, b = np.arange(5.0), np.array([10.0, 20.0]), np.array([100.0, 200.0])
    a, b = a[: len(x[first])], b[: len(x[second])]

    def turn(i, x):
        x = getattr(x.at[first], op)(a * (1 + i))
        return getattr(x.at[second], op)(b + i)

    want = x.copy()
    for i in range(3):
        want[first] = a * (1 + i) + (want[first] if op == "add" else 0)
        want[second] = b + i + (want[second] if op == "add" else 0)
    got = pb.compile(lambda x, a, b: pb.fori_loop(0, 3, turn, x), device="cpu")(x, a, b)
    np.testing.assert_array_equal(got, want)
