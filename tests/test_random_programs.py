"""Programs that nobody wrote: targets against the reference, gradients against finite differences and each other."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import EmulatedBatch  # noqa: E402
from expressions import fn, inputs_of  # noqa: E402

from pullback.dsl.functional import grad, jvp, vjp  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:the result does not depend on")
SIZES = {"n": 5, "m": 7}                        # axes of the inputs; others arise from slices and concatenations
SMOOTH = ("sin", "cos", "tanh", "exp_of_tanh", "sigmoid", "softplus", "square", "negative", "erf", "logistic_log")
BINARY = ("add", "subtract", "multiply", "ratio", "maximum", "where", "hypot1")
MOVES = ("transpose", "flip", "slice", "roll", "pad", "reshape", "tile")
FOLDS = ("sum", "mean", "max", "std", "logsumexp", "cumsum", "cumprod_of_tanh")
JOINS = ("matmul", "outer", "concatenate", "gather", "update")
LOOSE = 100                                     # a random program may enlarge rounding, as sin(x**4) does
KINDS = {"unary": SMOOTH, "binary": BINARY, "move": MOVES, "fold": FOLDS, "join": JOINS}


def unary(name, x):
    if name == "exp_of_tanh":
        return fn.exp(fn.tanh(x))
    if name == "logistic_log":
        return fn.log(1.0 + x * x)
    return fn.negative(x) if name == "negative" else getattr(fn, name)(x)


def binary(name, x, y):
    if name == "ratio":
        return x / (1.0 + y * y)
    if name == "where":
        return fn.where(x > y, x * y, x - y)
    if name == "hypot1":
        return fn.sqrt(1.0 + x * x + y * y)
    return getattr(fn, name)(x, y)


def move(name, x, k):
    axis = k % max(len(x.shape), 1)
    if not x.shape:
        return fn.reshape(x, (1,))
    if name == "slice":
        places = [slice(None)] * len(x.shape)
        places[axis] = (slice(1, None), slice(None, None, -1), slice(None, None, 2), slice(0, 3))[k % 4]
        return x[tuple(places)]
    return {"transpose": fn.transpose, "flip": lambda a: fn.flip(a, axis=axis),
            "roll": lambda a: fn.roll(a, k, axis=axis), "pad": lambda a: fn.pad(a, 1),
            "reshape": lambda a: fn.reshape(a, (-1,)), "tile": lambda a: fn.tile(a, 2)}[name](x)


def fold(name, x, k):
    if not x.shape:
        return x * 0.5
    axis = k % len(x.shape)
    keep = bool(k & 4)
    if name == "cumsum":
        return fn.cumsum(x, axis=axis)
    if name == "cumprod_of_tanh":
        return fn.cumprod(fn.tanh(x), axis=axis)
    if name == "std":
        return fn.sqrt(0.1 + fn.var(x, axis=axis, keepdims=keep))
    return getattr(fn, name)(x, axis=None if k & 8 else axis, keepdims=keep)


def join(name, x, y, k):
    if name == "outer" and len(x.shape) == len(y.shape) == 1:
        return x[:, None] * y
    if name == "matmul" and len(x.shape) == len(y.shape) == 2:
        return 0.1 * (fn.transpose(x) @ y if x.shape[0] == y.shape[0] else x @ fn.transpose(x))
    if name == "concatenate" and len(x.shape) == len(y.shape) > 0 and x.shape[1:] == y.shape[1:]:
        return fn.concatenate([x, y], axis=0)
    if name == "gather" and x.shape:
        return x[np.array([0, 2, 0, -1])] if x.shape[0] > 2 else x[np.array([0, 0])]
    if name == "update" and x.shape and x.shape[0] > 2:
        return x.at[1:-1].add(fn.tanh(x[2:]))
    return binary("add", x, fn.sum(y))


@st.composite
def programs(draw, depth=7):
    """A list of steps; a step takes earlier values by number."""
    number = st.integers(0, 15)
    kinds = st.sampled_from(("unary", "unary", "binary", "binary", "move", "fold", "join"))
    steps = []
    for _ in range(draw(st.integers(2, depth))):
        kind = draw(kinds)
        name = draw(st.sampled_from(KINDS[kind]))
        steps.append((kind, name, draw(number), draw(number), draw(number)))
    return tuple(steps)


def step_value(kind, name, x, y, k):
    """A value that does not broadcast with another meets its sum instead."""
    if kind == "binary":
        return binary(name, x, y if _broadcast(x, y) else fn.sum(y))
    if kind == "join":
        return join(name, x, y, k)
    return unary(name, x) if kind == "unary" else move(name, x, k) if kind == "move" else fold(name, x, k)


def compute(steps, *inputs):
    """The last two values of the program."""
    values = list(inputs)
    for kind, name, a, b, k in steps:
        x, y = values[-1 - a % min(len(values), 4)], values[-1 - b % min(len(values), 4)]
        values.append(step_value(kind, name, x, y, k))
    return values[-1], values[-2]


def _broadcast(x, y) -> bool:
    return all(a == b or a == 1 or b == 1 for a, b in zip(reversed(x.shape), reversed(y.shape), strict=False))


def inputs(dtype="float64"):
    """A matrix, a row, a column of numbers and a scalar."""
    r = np.random.default_rng(3)
    n, m = SIZES["n"], SIZES["m"]
    return [r.normal(size=shape).astype(dtype) * 0.7 for shape in ((n, m), (m,), (n, 1), ())]


def loss(steps):
    return lambda *xs: sum(fn.sum(v) for v in compute(steps, *xs))


quick = settings(max_examples=80, suppress_health_check=list(HealthCheck))


@quick
@given(programs(), st.sampled_from(["float64", "float64", "float32"]))
def test_machine_code_agrees_with_the_reference(steps, dtype):
    job = job_of(lambda *xs: compute(steps, *xs), inputs(dtype))
    assert_agree(run_on_cpu(job), expected(job), LOOSE)


@quick
@given(programs())
def test_gradients_in_machine_code_agree_with_the_reference(steps):
    job = job_of(lambda *xs: grad(loss(steps), argnums=(0, 1, 2, 3))(*xs), inputs())
    assert_agree(run_on_cpu(job), expected(job), LOOSE)


@quick
@given(programs())
def test_gradients_are_finite_differences(steps):
    """Along one direction; the ties and kinks of max and where are hit with probability 0."""
    at, r = inputs(), np.random.default_rng(8)
    along = [r.normal(size=a.shape) for a in at]
    gradients = run_on_cpu(job_of(lambda *xs: grad(loss(steps), argnums=(0, 1, 2, 3))(*xs), at))
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, along, strict=True))
    total = loss(steps)

    def value(t):
        return float(expected(job_of(total, [a + t * d for a, d in zip(at, along, strict=True)]))[0])

    found = [(value(h) - value(-h)) / (2 * h) for h in (1e-4, 1e-5)]
    scale = max(1.0, abs(slope), abs(value(0.0)))
    assert min(abs(f - slope) for f in found) < 1e-5 * scale


@quick
@given(programs())
def test_forward_and_reverse_are_transposes(steps):
    at, r = inputs(), np.random.default_rng(9)
    along = [r.normal(size=a.shape) for a in at]

    def both(*xs):
        primals, tangents = xs[:4], xs[4:]
        first, forward = jvp(lambda *p: compute(steps, *p)[0], primals, tangents)
        weights = fn.cos(first)
        _, pull = vjp(lambda *p: compute(steps, *p)[0], *primals)
        reverse = pull(weights)
        return fn.sum(forward * weights), sum(fn.sum(g * t) for g, t in zip(reverse, tangents, strict=True))

    a, b = run_on_cpu(job_of(both, [*at, *along]))
    assert abs(a - b) <= 1e-9 * max(1.0, abs(a))


@st.composite
def integer_programs(draw):
    """Steps on integers and bools: (operation, earlier values)."""
    number = st.integers(0, 15)
    ops = ("add", "subtract", "multiply", "floor_divide", "remainder", "bitwise_and", "minimum", "where", "less", "sum",
           "max", "cumsum", "argmax", "flip")
    return tuple((draw(st.sampled_from(ops)), draw(number), draw(number)) for _ in range(draw(st.integers(2, 7))))


def compute_integers(steps, *inputs):
    values = list(inputs)
    for name, a, b in steps:
        x, y = values[-1 - a % min(len(values), 3)], values[-1 - b % min(len(values), 3)]
        y = y if _broadcast(x, y) else fn.max(y)
        if name in ("sum", "max", "cumsum", "argmax", "flip"):
            found = getattr(fn, name)(x, axis=a % len(x.shape)) if x.shape else x + 1
            values.append(found.astype("int16"))                # a sum is wider than what it adds
        elif name == "where":
            values.append(fn.where(x > y, x, y))
        elif name == "less":
            values.append((x < y) * 3)
        else:
            values.append(getattr(fn, name)(x, y))
    return tuple(values[-2:])


@quick
@given(integer_programs(), st.sampled_from(["int64", "int32", "int16", "int8", "uint8"]))
def test_integers_agree_with_the_reference(steps, dtype):
    r = np.random.default_rng(4)
    arrays = [r.integers(0 if dtype[0] == "u" else -9, 9, size=s).astype(dtype) for s in ((5, 7), (7,), (5, 1))]
    job = job_of(lambda *xs: compute_integers(steps, *xs), arrays)
    assert_agree(run_on_cpu(job), expected(job), LOOSE)


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
def test_cuda_text_agrees_with_the_reference():
    """A sample of random programs, half of them gradients, in one translation unit."""
    sample: list = []

    @settings(max_examples=24, database=None, suppress_health_check=list(HealthCheck))
    @given(programs())
    def collect(steps):
        derivative = grad(loss(steps), argnums=(0, 1))
        sample.append(job_of(derivative if len(sample) % 2 else lambda *xs: compute(steps, *xs), inputs()))

    collect()
    assert len(sample) > 20
    batch = EmulatedBatch()
    handles = [batch.add(program) for _, program, _ in sample]
    for handle, job in zip(handles, sample, strict=True):
        assert_agree(batch.run(handle, *inputs_of(job[0], job[2])), expected(job), LOOSE)
