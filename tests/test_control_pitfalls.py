"""Loops that other tools differentiate wrongly without a word, and carries that trade places, alias or stand still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb

rng = np.random.default_rng(3)


def agree(f: Callable[..., Any], plain: Callable[..., Any], x: np.ndarray, rtol: float = 1e-7) -> None:
    """The value against plain Python, the gradient against central differences of it."""
    value, gradient = pb.value_and_grad(f)(x)
    np.testing.assert_allclose(value, plain(x), rtol=1e-12)
    numeric = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        numeric[i] = (plain(x + step) - plain(x - step)) / 2e-6
    np.testing.assert_allclose(gradient, numeric, rtol=rtol, atol=1e-8)


def test_a_variable_changed_before_a_loop_of_run_time_length() -> None:
    def f(x: Any, n: Any) -> Any:
        scale = x[0] * 3.0
        scale = pb.sin(scale) + x[1]
        return pb.fori_loop(0, n, lambda i, total: total + scale * x[2] * total, 1.0)

    def plain(x: np.ndarray) -> float:
        return (1.0 + (np.sin(x[0] * 3.0) + x[1]) * x[2]) ** 4

    agree(lambda x: f(x, 4), plain, rng.random(3))
    x = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(pb.grad(f)(x, 4), pb.grad(lambda x: f(x, 4))(x))


def test_an_array_overwritten_after_it_was_used() -> None:
    def f(x: Any) -> Any:
        def step(i: Any, state: Any) -> Any:
            a, total = state
            total = total + pb.sum(a * a)
            a = a.at[i].set(pb.sin(a[i]) * total)
            a = a.at[0].multiply(0.5)
            return a, total + a[i]

        a, total = pb.fori_loop(0, 3, step, (x, 0.0))
        return total + pb.sum(a)

    def plain(x: np.ndarray) -> float:
        a, total = x.copy(), 0.0
        for i in range(3):
            total += np.sum(a * a)
            a[i] = np.sin(a[i]) * total
            a[0] *= 0.5
            total += a[i]
        return total + np.sum(a)

    agree(f, plain, rng.random(4))


def test_the_largest_element_chosen_in_every_turn_and_turns_that_are_skipped() -> None:
    def f(x: Any) -> Any:
        def step(i: Any, a: Any) -> Any:
            k = pb.argmax(a)
            return pb.cond(k == 1, lambda: a.at[1].multiply(0.3), lambda: a.at[k].set(0.6 * a[k] + 0.1 * a[i]))

        return pb.sum(pb.fori_loop(0, 4, step, x) ** 2)

    def plain(x: np.ndarray) -> float:
        a = x.copy()
        for i in range(4):
            k = int(np.argmax(a))
            if k == 1:
                a[1] *= 0.3
                continue
            a[k] = 0.6 * a[k] + 0.1 * a[i]
        return float(np.sum(a**2))

    agree(f, plain, np.array([0.9, 1.3, 0.2, 1.1]))


def test_the_third_derivative_of_x_to_the_power_of_8() -> None:
    def f(x: Any) -> Any:
        return pb.scan(lambda c, _: (c * c, None), x, None, length=3)[0]

    g = pb.grad(pb.grad(pb.grad(f)))
    np.testing.assert_allclose(g(1.1), 8 * 7 * 6 * 1.1**5, rtol=1e-12)
    np.testing.assert_allclose(pb.grad(pb.grad(pb.grad(pb.grad(f))))(1.1), 8 * 7 * 6 * 5 * 1.1**4, rtol=1e-12)


def test_sixty_steps_of_plasticity_that_read_what_the_step_before_wrote() -> None:
    """A return map of one dimension with isotropic hardening: stress, plastic strain and hardening are carried, read
    and written in every step, and a step yields or does not.
    """
    strains = 0.02 * np.sin(np.linspace(0, 3 * np.pi, 60))

    def steps(p: Any, where: Callable[..., Any], absolute: Callable[..., Any], sign: Callable[..., Any]) -> Callable:
        modulus, hardening, strength = p[0], p[1], p[2]

        def step(state: tuple, strain: Any) -> tuple:
            plastic, alpha, work = state
            trial = modulus * (strain - plastic)
            excess = absolute(trial) - (strength + hardening * alpha)
            slip = where(excess > 0, excess, 0.0) / (modulus + hardening)
            plastic = plastic + slip * sign(trial)
            stress = modulus * (strain - plastic)
            return plastic, alpha + slip, work + stress * stress

        return step

    def f(p: Any) -> Any:
        step = steps(p, pb.where, pb.abs, pb.sign)
        return pb.scan(lambda s, e: (step(s, e), None), (0.0, 0.0, 0.0), strains)[0][2]

    def plain(p: np.ndarray) -> float:
        state = (0.0, 0.0, 0.0)
        for strain in strains:
            state = steps(p, np.where, np.abs, np.sign)(state, strain)
        return float(state[2])

    p = np.array([200.0, 20.0, 0.7])
    assert plain(p) < plain(np.array([200.0, 20.0, 100.0])) / 2          # it does yield
    agree(f, plain, p, rtol=1e-6)


def test_second_derivatives_in_compiled_code() -> None:
    def f(x: Any) -> Any:
        return pb.sum(pb.fori_loop(0, 4, lambda i, c: pb.sin(c) * x + c * c[0], x) ** 2)

    x, h = 0.2 + 0.5 * rng.random(3), 1e-5
    got = pb.compile(pb.hessian(f))(x)
    gradient = pb.compile(pb.grad(f))
    numeric = np.stack([(gradient(x + h * e) - gradient(x - h * e)) / (2 * h) for e in np.eye(3)])
    np.testing.assert_allclose(got, numeric, rtol=1e-6)
    np.testing.assert_allclose(got, got.T, rtol=1e-10)


def test_the_gradient_with_respect_to_the_elements_of_a_scan() -> None:
    def f(xs: Any) -> Any:
        c, ys = pb.scan(lambda c, x: (c * pb.cos(x) + x, c * x), 1.0, xs)
        return c + pb.sum(ys)

    def plain(xs: np.ndarray) -> float:
        c, total = 1.0, 0.0
        for x in xs:
            c, total = c * np.cos(x) + x, total + c * x
        return c + total

    agree(f, plain, rng.random(6))


def test_a_loop_that_takes_too_many_turns_raises_and_its_gradient_too() -> None:
    def f(x: Any, most: int) -> Any:
        return pb.while_loop(lambda c: c < 100.0, lambda c: c * 1.5, x, max_steps=most)

    assert pb.grad(lambda x: f(x, 12))(1.0) == 1.5**12
    for derived in (lambda x: x, pb.grad, lambda f: lambda x: pb.jvp(f, (x,), (1.0,))):
        with pytest.raises(IndexError, match="max_steps=11"):
            derived(lambda x: f(x, 11))(1.0)


def test_an_integer_made_in_a_loop_has_no_derivative_and_says_so() -> None:
    with pytest.raises(pb.NotDifferentiable):
        pb.grad(lambda x: pb.fori_loop(0, 3, lambda i, c: pb.floor(x) + c, 0.0))(1.5)
    g = pb.grad(lambda x: pb.fori_loop(0, 3, lambda i, c: c + x * i.astype("float64"), 0.0))
    assert g(1.5) == 3.0


def test_carries_that_trade_places() -> None:
    def f(x: Any) -> Any:
        a, b, c = pb.fori_loop(0, 5, lambda i, s: (s[1], s[2], s[0] * s[1]), (x, 2.0 * x, x + 1.0))
        return pb.sum(a * b + c)

    def plain(x: np.ndarray) -> float:
        a, b, c = x, 2.0 * x, x + 1.0
        for _ in range(5):
            a, b, c = b, c, a * b
        return np.sum(a * b + c)

    agree(f, plain, rng.random(3))


def test_one_value_starts_two_carries_and_ends_two_results() -> None:
    def f(x: Any) -> Any:
        a, b = pb.fori_loop(0, 3, lambda i, s: (pb.sin(s[0]), s[1] * s[0]), (x, x))
        return a, a, b, x

    x = rng.random(3)
    a, again, b, same = pb.compile(f)(x)
    ea, eb = x, x
    for _ in range(3):
        ea, eb = np.sin(ea), eb * ea
    for got, want in zip((a, again, b, same), (ea, ea, eb, x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)
    assert a is not again and same is not x
    agree(lambda x: pb.sum(f(x)[0] * f(x)[2]), lambda x: float(np.sum(np.sin(np.sin(np.sin(x)))
                                                                    * x * x * np.sin(x) * np.sin(np.sin(x)))), x)


def test_a_carry_that_becomes_something_from_outside_or_stands_still() -> None:
    def f(x: Any) -> Any:
        def step(i: Any, s: Any) -> Any:
            fixed, other, total = s
            return fixed, x * 2.0, total + fixed * other

        fixed, other, total = pb.fori_loop(0, 4, step, (pb.cos(x), pb.sin(x), pb.zeros_like(x)))
        return pb.sum(total * other + fixed)

    def plain(x: np.ndarray) -> float:
        total = np.cos(x) * np.sin(x) + 3 * np.cos(x) * 2 * x
        return np.sum(total * 2 * x + np.cos(x))

    agree(f, plain, rng.random(3))


def test_a_carry_that_is_overwritten_while_another_reads_it() -> None:
    """Both next states are computed in one sweep; the first does not read what it overwrites."""
    def f(x: Any) -> Any:
        a, b = pb.fori_loop(0, 4, lambda i, s: (x * (i + 1.0), s[1] + s[0]), (x, pb.zeros_like(x)))
        return pb.sum(a * b)

    agree(f, lambda x: float(np.sum(4 * x * (x + x + 2 * x + 3 * x))), rng.random(5))


def test_a_carry_read_backwards_while_it_is_overwritten() -> None:
    def f(x: Any) -> Any:
        return pb.sum(pb.fori_loop(0, 3, lambda i, s: s[::-1] * 0.5 + s, x) * np.arange(5.0))

    def plain(x: np.ndarray) -> float:
        for _ in range(3):
            x = x[::-1] * 0.5 + x
        return np.sum(x * np.arange(5.0))

    agree(f, plain, rng.random(5))


def test_booleans_and_integer_arrays_are_carried() -> None:
    def sieve(n: Any) -> Any:
        def cross(i: Any, alive: Any) -> Any:
            numbers = pb.arange(30)
            return pb.where(alive[i] & (numbers > i) & (numbers % pb.maximum(i, 1) == 0), False, alive)

        return pb.fori_loop(2, n, cross, pb.arange(30) >= 2)

    primes = np.nonzero(pb.compile(sieve)(6))[0]
    assert list(primes) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]

    def longest(x: Any) -> Any:
        def step(best: Any, i: Any) -> Any:
            before = pb.where((pb.arange(7) < i) & (x < x[i]), best, 0)
            return best.at[i].set(pb.max(before) + 1), None

        return pb.scan(step, pb.zeros(7, "int64"), pb.arange(7))[0]

    assert list(pb.compile(longest)(np.array([3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.6]))) == [1, 1, 2, 2, 3, 4, 3]


def test_arrays_without_elements_are_carried() -> None:
    value, gradient = pb.value_and_grad(lambda x: pb.sum(pb.fori_loop(0, 3, lambda i, c: pb.sin(c), x)))(np.zeros(0))
    assert value == 0.0 and gradient.shape == (0,)


def test_an_array_of_numpy_is_indexed_through_asarray() -> None:
    table = np.arange(4.0)
    with pytest.raises(pb.PullbackError, match="pb.asarray"):
        pb.compile(lambda x: pb.fori_loop(0, 3, lambda i, c: c + table[i], x))(1.0)
    assert pb.compile(lambda x: pb.fori_loop(0, 3, lambda i, c: c + pb.asarray(table)[i], x))(1.0) == 4.0


def test_an_array_written_by_a_loop_in_a_loop_is_not_copied() -> None:
    from pullback.codegen.program import Library, Loop, walk_steps

    def triangle(a: Any) -> Any:
        def row(i: Any, y: Any) -> Any:
            y = pb.fori_loop(0, i, lambda j, y: y.at[i, j].set(y[j, j] * a[i, j] + y[i, j]), y)
            return y.at[i, i].add(1.0)

        return pb.fori_loop(0, a.shape[0], row, a)

    def plain(a: np.ndarray) -> np.ndarray:
        y = a.copy()
        for i in range(len(a)):
            for j in range(i):
                y[i, j] = y[j, j] * a[i, j] + y[i, j]
            y[i, i] += 1.0
        return y

    a, f = rng.random((4, 4)), pb.compile(triangle)
    np.testing.assert_allclose(f(a), plain(a), rtol=1e-14)
    loops = [s for s in f.lower(a).program.steps if isinstance(s, Loop)]
    assert not [s for s in walk_steps(tuple(loops)) if isinstance(s, Library)]
    agree(lambda a: pb.sum(triangle(a) ** 2), lambda a: float(np.sum(plain(a) ** 2)), a)
