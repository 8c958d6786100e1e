"""Random programs of loops, branches and indexed updates: against the reference, and modes against each other."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.kernels import reference

N = 3


class RandomProgram:
    """A function of a scalar, a vector and a number of turns, drawn from `seed`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, a: Any, x: Any, n: Any) -> Any:
        self.r, self.n = random.Random(self.seed), n
        scalars, vectors = self.loop(0, [a], [x])
        total = a * 0.0
        for value in scalars:
            total = total + value
        for value in vectors:
            total = total + pb.sum(value * np.arange(1.0, N + 1))
        return total

    def scalar(self, scalars: list, vectors: list, i: Any) -> Any:
        a, b, x = self.r.choice(scalars), self.r.choice(scalars), self.r.choice(vectors)
        return self.r.choice([
            lambda: a, lambda: pb.sin(a), lambda: a * b * 0.5, lambda: pb.sum(x) * 0.3, lambda: x[i % N],
            lambda: a + 0.1 * i, lambda: pb.where(a > 0.2, b, pb.cos(a)),
            lambda: pb.cond(a > b, lambda: pb.tanh(a * b), lambda: b * 0.7),
        ])()

    def vector(self, scalars: list, vectors: list, i: Any) -> Any:
        x, y, a = self.r.choice(vectors), self.r.choice(vectors), self.r.choice(scalars)
        return self.r.choice([
            lambda: x, lambda: pb.tanh(x) * a, lambda: x.at[i % N].set(a), lambda: x.at[i % 2].add(pb.sin(a)),
            lambda: pb.roll(x, 1) * 0.9, lambda: x + 0.5 * y, lambda: x.at[1:].set(y[:-1] * 0.5), lambda: x[::-1],
            lambda: pb.cumsum(x) * 0.3, lambda: pb.cond(a > 0.1, lambda x: x * a, lambda x: pb.sin(x), x),
        ])()

    def loop(self, depth: int, scalars: list, vectors: list) -> tuple[list, list]:
        choose = self.r.choice
        init = ([choose(scalars) for _ in range(self.r.randrange(1, 3))],
                [choose(vectors) for _ in range(self.r.randrange(3))])
        kind, turns, seed = choose(["fori", "run-time", "while", "scan"]), self.r.randrange(6), self.r.random()
        keep, limit, backward = choose(["all", "none", 2, "sqrt", "auto"]), choose([None, 9]), choose([False, True])
        outside = self.r

        def body(i: Any, carry: Any) -> Any:
            self.r = random.Random(seed)
            known_scalars, known_vectors = scalars + list(carry[0]), vectors + list(carry[1])
            if depth < 2 and self.r.random() < 0.4:
                more = self.loop(depth + 1, known_scalars, known_vectors)
                known_scalars, known_vectors = known_scalars + more[0], known_vectors + more[1]
            result = ([self.scalar(known_scalars, known_vectors, i) for _ in carry[0]],
                      [self.vector(known_scalars, known_vectors, i) for _ in carry[1]])
            self.r = outside
            return result

        if kind == "fori":
            return pb.fori_loop(1, 1 + turns, body, init, checkpoint=keep)
        if kind == "run-time":
            return pb.fori_loop(0, self.n, body, init)
        if kind == "while":
            return pb.while_loop(lambda s: s[1] < turns, lambda s: (body(s[1], s[0]), s[1] + 1), (init, 0),
                                 max_steps=limit)[0]

        def turn(carry: Any, element: Any) -> Any:
            carry = body(1, carry)
            return carry, (carry, element)

        (out, more), ((some, rows), elements) = pb.scan(turn, init, choose(vectors), checkpoint=keep, reverse=backward)
        return ([*out, pb.sum(elements), *(pb.sum(s) * 0.1 for s in some)],
                [*more, *(pb.sum(r, axis=0) * 0.1 for r in rows)])


@pytest.mark.parametrize("seed", [1, 4, 9, 16, 25, 36, 56, 61])
def test_a_random_program_of_loops(seed: int) -> None:
    f = RandomProgram(seed)
    rng = np.random.default_rng(seed)
    a, x, va, vx, n = rng.normal(), rng.normal(size=N), rng.normal(), rng.normal(size=N), seed % 5

    def everything(a: Any, x: Any, n: Any) -> Any:
        gradient = pb.grad(f, argnums=(0, 1))
        ga, gx = gradient(a, x, n)
        along = pb.jvp(lambda a, x: f(a, x, n), (a, x), (va, vx))[1]
        second = pb.jvp(lambda a, x: gradient(a, x, n), (a, x), (va, vx))[1]

        def projected(a: Any, x: Any) -> Any:
            ga, gx = gradient(a, x, n)
            return ga * va + pb.sum(gx * vx)

        return f(a, x, n), ga, gx, along, *second, *pb.grad(projected, argnums=(0, 1))(a, x)

    compiled = pb.compile(everything)
    got = compiled(a, x, n)
    traced = compiled.lower(a, x, n).traced
    values = dict(zip(traced.inputs, map(np.asarray, (a, x, n)), strict=True))
    expected = reference.evaluate(traced.outputs, values, traced.sizes_of([(), (N,), ()]))
    for result, want in zip(got, expected, strict=True):
        np.testing.assert_allclose(result, want, rtol=1e-9, atol=1e-11)
    value, ga, gx, along, *second = got
    np.testing.assert_allclose(ga * va + np.sum(gx * vx), along, rtol=1e-9, atol=1e-11)
    h = 1e-6
    above, below = compiled(a + h * va, x + h * vx, n), compiled(a - h * va, x - h * vx, n)
    np.testing.assert_allclose((above[0] - below[0]) / (2 * h), along, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose((above[1] - below[1]) / (2 * h), second[0], rtol=1e-4, atol=1e-4)
    for forward, backward in zip(second[:2], second[2:], strict=True):
        np.testing.assert_allclose(forward, backward, rtol=1e-8, atol=1e-10)
