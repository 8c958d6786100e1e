"""States with a short axis: loops carry one array for each place of it where their bodies take them apart."""

import sys
from pathlib import Path

import numpy as np
import pytest
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from expressions import fn, gradient  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.program import Kernel, Let, Loop, Program, walk_steps, walk_stmts  # noqa: E402

R = np.random.default_rng(8)
MEMBERS, RATES, POINTS = R.uniform(1, 2, (11, 2)), R.uniform(0.5, 1, (11, 4)), R.normal(size=(11, 3))


def species(y, p):
    prey, predators = y[:, 0], y[:, 1]
    return fn.stack([p[:, 0] * prey - p[:, 1] * prey * predators,
                     p[:, 2] * prey * predators - p[:, 3] * predators], axis=1)


def runge_kutta(y, p):
    def step(i, y):
        a = species(y, p)
        b = species(y + 0.05 * a, p)
        return y + 0.1 * (a + b) / 2

    return pb.fori_loop(0, 6, step, y)


def lorenz(y):
    def step(i, y):
        u, v, w = y[0], y[1], y[2]
        return y + 0.01 * fn.stack([10 * (v - u), u * (28 - w) - v, u * v - 2.5 * w])

    return pb.fori_loop(0, 6, step, y)


def rotations(x, turn):
    """Products with a small matrix, a fold over the short axis, an update of one place."""
    def step(i, x):
        x = x @ turn
        x = x / fn.sqrt(fn.sum(x * x, axis=1))[:, None]
        return x.at[:, 0].add(0.1)

    return pb.fori_loop(0, 4, step, x)


def states(y):
    return pb.scan(lambda y, _: (fn.stack([y[1], -y[0]]), y * 2), y, None, length=5)


def doubling(y):
    return pb.while_loop(lambda y: y[0] + y[1] < 100, lambda y: fn.stack([y[1], y[0] + y[1]]), y, max_steps=50)


def nested(y):
    def outer(i, y):
        return pb.fori_loop(0, 3, lambda j, y: fn.stack([y[:, 1] * 0.5, fn.sin(y[:, 0])], axis=1), y) + 0.1

    return pb.fori_loop(0, 2, outer, y)


def matrices(a):
    """A state of two short axes."""
    return pb.fori_loop(0, 3, lambda i, a: a @ a / (1 + fn.abs(a[:, 0, 1]))[:, None, None], a)


TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def three(x):
    return fn.stack([x[:, 0], x[:, 1], x[:, 2]], axis=1)


def two(x):
    return fn.stack([x[:, 0], x[:, 1]], axis=1)


CASES = {
    "ensemble": (lambda y, p: runge_kutta(two(y), p), [MEMBERS, RATES]),
    "a point": (lambda y: lorenz(fn.stack([y[0], y[1], y[2]])), [POINTS[0]]),
    "products": (lambda x: rotations(three(x), TURN), [POINTS]),
    "stacked states": (lambda y: states(fn.stack([y[0], y[1]])), [POINTS[0]]),
    "while": (lambda y: doubling(fn.stack([1 + y[0] * y[0], 1 + y[1] * y[1]])), [POINTS[0]]),
    "nested": (lambda y: nested(two(y)), [MEMBERS]),
    "matrices": (lambda x: matrices(fn.stack([two(x), two(x * 0.3)], axis=1)), [MEMBERS / 4]),
}


def bodies(program: Program) -> list[list]:
    """The steps of every loop that holds no other loop."""
    loops = [s for s in walk_steps(program.steps) if isinstance(s, Loop)]
    return [list(s.steps) for s in loops if not any(isinstance(inner, Loop) for inner in s.steps)]


def conditions(steps: list) -> int:
    return sum(isinstance(s, Let) and s.op == "where" and s.dtype != "int64"
               for k in steps if isinstance(k, Kernel) for s in walk_stmts(k.body))


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_whole_state(name):
    function, arrays = CASES[name]
    first = (lambda *a: function(*a)[0]) if name == "stacked states" else function
    for job in (job_of(function, arrays), job_of(gradient(first, len(arrays)), arrays)):
        assert_agree(run_on_cpu(job), expected(job))


@pytest.mark.parametrize("name", ["ensemble", "a point", "products", "while", "matrices"])
def test_a_turn_is_one_kernel_without_conditions(name):
    _, program, _ = job_of(*CASES[name])
    found = bodies(program)
    assert found and all(len(steps) == 1 and conditions(steps) == 0 for steps in found)


def test_the_adjoint_of_an_ensemble_is_one_kernel_a_turn():
    function, arrays = CASES["ensemble"]
    _, program, _ = job_of(gradient(function, 2), arrays)
    assert [(len(steps), conditions(steps)) for steps in bodies(program)] == [(1, 0), (1, 0)]


def carried(program: Program) -> list[int]:
    return [len(b.shape) for b in program.buffers.values() if b.name.startswith(("state", "out"))]


def test_a_state_whose_places_are_treated_alike_stays_whole():
    _, program, _ = job_of(lambda y: pb.fori_loop(0, 5, lambda i, y: y + fn.sin(y), two(y)), [MEMBERS])
    assert set(carried(program)) == {2}


def test_a_state_that_is_read_at_a_place_of_the_loop_stays_whole():
    def function(y):
        return pb.fori_loop(0, 3, lambda i, y: y.at[i].set(y[i] + y[0] * y[1]), fn.stack([y[0], y[1], y[2]]))

    job = job_of(function, [POINTS[0]])
    assert_agree(run_on_cpu(job), expected(job))
    assert 1 in carried(job[1])


def test_a_mapped_function_of_a_small_state_is_an_ensemble():
    def member(y, p):
        prey, predators = y[0], y[1]
        rates = pb.stack([p[0] * prey - p[1] * prey * predators, p[2] * prey * predators - p[3] * predators])
        return y + 0.1 * rates

    def run(y, p):
        return pb.fori_loop(0, 5, lambda i, y: member(y, p), y)

    f = pb.compile(pb.vmap(run), device="cpu")
    want = np.stack([pb.compile(run, device="cpu")(y, p) for y, p in zip(MEMBERS, RATES, strict=True)])
    np.testing.assert_allclose(f(MEMBERS, RATES), want, rtol=1e-14)
    loop = f.lower(MEMBERS, RATES).as_text("program").partition("repeat")[2]
    assert loop.count("kernel kernel") >= 1 and "inside" not in loop.partition("# out")[0]


def test_elements_of_a_captured_array_are_not_part_of_the_code():
    """Programs that differ in captured arrays alone share one compilation."""
    def compiled(rates):
        def turn(i, y):
            y = y * rates
            return pb.stack([y[1], y[0]])

        return pb.compile(lambda y: pb.fori_loop(0, 3, turn, pb.stack([y, y + 1])), device="cpu")

    for rates in (np.array([2.0, 3.0]), np.array([5.0, 7.0])):
        want = np.array([1.0, 2.0])
        for _ in range(3):
            want = (want * rates)[::-1]
        np.testing.assert_array_equal(compiled(rates)(np.float64(1.0)), want)
