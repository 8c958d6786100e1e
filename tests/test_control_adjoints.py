"""Every form of loop, every boundary, every integrator: the reverse is the transpose of the forward derivative, and
the forward derivative leaves a remainder of second order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb

N = 6
STEPS = np.linspace(0.8, 1.1, 7)
Program = Callable[[Any], Any]


def keep(strategy: Any) -> Program:
    return lambda x: pb.scan(lambda c, t: (pb.sin(c) * t + 0.1 * pb.roll(c, 1), None), x, STEPS, checkpoint=strategy)[0]


def stacked(x: Any) -> Any:
    c, ys = pb.scan(lambda c, t: (pb.tanh(c) + t * c, {"c": c * c, "s": pb.sum(c)}), x, pb.sin(x))
    return c + pb.sum(ys["c"], axis=0) * pb.sum(ys["s"])


def backwards(x: Any) -> Any:
    c, ys = pb.scan(lambda c, t: (c * pb.cos(t), c + t), x, pb.stack([x, 2 * x, x * x]), reverse=True)
    return c + ys[0] * ys[2]


def in_place(x: Any) -> Any:
    return pb.fori_loop(1, N, lambda i, c: c.at[i].set(pb.sin(c[i - 1]) * c[i]).at[0].add(0.1 * c[i] ** 2), x)


def pieces(x: Any) -> Any:
    return pb.fori_loop(0, N - 2, lambda i, c: c.at[i : i + 2].set(c[i + 1 : i + 3] * pb.prod(c[i : i + 3])), x)


def gathered(x: Any) -> Any:
    rows = np.array([[0, 3], [5, 3], [2, 2]])
    return pb.scan(lambda c, ij: (c.at[ij].add(pb.sin(c[ij[::-1]])), None), x, rows)[0]


def nested(x: Any) -> Any:
    def outer(i: Any, c: Any) -> Any:
        inner = pb.fori_loop(0, i + 1, lambda j, d: pb.sin(d) + 0.1 * x * j, c)
        return c * 0.5 + inner

    return pb.fori_loop(0, 4, outer, x)


def waiting(limit: int | None) -> Program:
    def program(x: Any) -> Any:
        def turn(state: Any) -> Any:
            k, c = state
            return k + 1, pb.sin(c) * 1.1 + 0.05 * x

        return pb.while_loop(lambda s: s[0] < 9, turn, (0, x), max_steps=limit)[1]

    return program


def run_time(x: Any) -> Any:
    count = pb.asarray(np.arange(3, 9))[pb.argmin(x) * 0 + 2]
    return pb.fori_loop(0, count, lambda i, c: pb.sin(c) + 0.1 * x * i, x)


def branching(x: Any) -> Any:
    def turn(c: Any, k: Any) -> Any:
        c = pb.switch(k, [lambda c: pb.sin(c), lambda c: c * x, lambda c: c.at[0].multiply(c[1])], c)
        return pb.cond(pb.sum(c) > 0, lambda c: c * c, lambda c: c - x, c), None

    return pb.scan(turn, x, np.array([0, 1, 2, 1]))[0]


def associative(x: Any) -> Any:
    return pb.associative_scan(lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (pb.sin(x), x * x))[1]


def trading(x: Any) -> Any:
    a, b = pb.fori_loop(0, 5, lambda i, s: (s[1], s[0] * pb.cos(s[1])), (x, x * x))
    return a + b


LOOPS: dict[str, Program] = {
    **{f"scan, checkpoint={k!r}": keep(k) for k in ("all", "none", "sqrt", "revolve", "auto", 3)},
    "scan of elements with stacked results": stacked, "scan from the end": backwards,
    "elements in place": in_place, "slices in place": pieces, "gather and scatter": gathered,
    "a loop in a loop": nested,
    "while": waiting(None), "while with max_steps": waiting(20), "turns known at run time": run_time,
    "branches in a scan": branching, "associative scan": associative, "carries that trade places": trading,
    "each lane its own": lambda x: pb.vmap(lambda y: pb.while_loop(lambda c: c < 3.0, lambda c: c * 1.3 + y * y, y))(
        pb.abs(x)),
}


def sweep(boundary: Any) -> Program:
    def program(x: Any) -> Any:
        u = pb.stack([x, pb.sin(x), x * x])

        def step(i: Any, u: Any) -> Any:
            east, south = pb.shift(u, 1, 1, boundary), pb.shift(u, -1, 0, boundary)
            far = pb.shift(u, -2, 1, boundary)
            return u + 0.1 * (east - u) * (south + far)

        return pb.fori_loop(0, 4, step, u)[1]

    return program


BOUNDARIES: dict[str, Program] = {b: sweep(b) for b in ("wrap", "reflect", "mirror", "nearest", "constant")}
BOUNDARIES["a side each"] = sweep(("reflect", "constant"))


def pendulum(t: Any, y: Any) -> Any:
    return y[1], -pb.sin(y[0]) * (1 + 0.1 * t)


def symplectic(t: Any, y: Any) -> Any:
    return y[1], -pb.sin(y[0])


def solved(method: str, **words: Any) -> Program:
    field = symplectic if method == "leapfrog" else pendulum

    def program(x: Any) -> Any:
        times = 0.3 * pb.arange(3) * (1 + 0.1 * x[0])
        q, p = pb.ode.solve(field, (x, 0.5 * x), times, method, **words)
        return q[-1] + p[1]

    return program


def diffused(x: Any) -> Any:
    key = pb.random.key(3)
    path = pb.ode.euler_maruyama(lambda t, y: -y * y, lambda t, y: 0.3 * pb.cos(y), x, pb.asarray([0.0, 0.5, 1.0]), key)
    return path[-1]


INTEGRATORS: dict[str, Program] = {
    "rk4": solved("rk4", steps=5), "leapfrog": solved("leapfrog", steps=5),
    "dopri5": solved("dopri5", rtol=1e-11, atol=1e-12), "tsit5": solved("tsit5", rtol=1e-11, atol=1e-12),
    "euler_maruyama": diffused,
}
PROGRAMS = {**{f"loop: {k}": p for k, p in LOOPS.items()}, **{f"boundary: {k}": p for k, p in BOUNDARIES.items()},
            **{f"integrator: {k}": p for k, p in INTEGRATORS.items()}}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_adjoint_is_the_transpose_and_the_remainder_is_of_second_order(name: str) -> None:
    f = PROGRAMS[name]
    rng = np.random.default_rng(len(name))
    x, v, w = 0.3 + 0.5 * rng.random(N), rng.normal(size=N), rng.normal(size=N)

    def everything(x: Any) -> Any:
        value, along = pb.jvp(f, (x,), (v,))
        _, pull = pb.vjp(f, x)
        return value, along, pull(w)[0]

    compiled = pb.compile(everything)
    value, along, pulled = compiled(x)
    np.testing.assert_allclose(np.sum(w * along), np.sum(v * pulled), rtol=1e-9)
    remainders = []
    for h in (2e-3, 1e-3):
        moved = compiled(x + h * v)[0]
        remainders.append(np.linalg.norm(moved - value - h * along))
    assert remainders[1] > 1e-12, "the program is linear along v: the test would show nothing"
    assert 3.2 < remainders[0] / remainders[1] < 4.8, remainders
