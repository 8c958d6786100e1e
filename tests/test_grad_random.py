"""Derivatives of random programs: reverse against forward against finite differences; the Hessian is symmetric."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import pullback as pb
from pullback.dsl.adjoint import filled
from pullback.dsl.grad import jvp_of, vjp_of
from pullback.dsl.node import make
from pullback.dsl.surface import constant
from pullback.kernels.reference import evaluate

ROWS, COLUMNS = 3, 4
SHAPES = [(), (COLUMNS,), (ROWS, 1), (ROWS, COLUMNS)]

# Smooth for every input, with moderate values, so that finite differences tell the truth.
UNARY = [pb.sin, pb.cos, pb.tanh, pb.atan, pb.sigmoid, pb.softplus, pb.erf, pb.square, pb.asinh, pb.negative,
         lambda x: pb.exp(-x * x), lambda x: pb.sqrt(1 + x * x), lambda x: pb.log1p(x * x),
         lambda x: 1 / (2 + pb.sin(x))]
BINARY = [pb.add, pb.multiply, pb.logaddexp, lambda x, y: x - 2 * y, lambda x, y: x / (1 + y * y),
          lambda x, y: pb.where(pb.sin(3 * x) > 0, x * y, y - x)]
WHOLE = [pb.mean, lambda x: pb.sum(x, axis=0, keepdims=True), lambda x: pb.logsumexp(x, axis=-1, keepdims=True),
         lambda x: pb.cumsum(x, axis=0), lambda x: x[::-1], lambda x: pb.roll(x, 1, 0), lambda x: x @ x.T @ x / 8,
         lambda x: x.at[1].set(x[0] * x[1]), lambda x: x[np.array([0, 0, 2])], lambda x: x.T.reshape(ROWS, COLUMNS),
         lambda x: pb.prod(pb.sin(x), axis=1, keepdims=True), lambda x: pb.concatenate([x[1:], x[:1] * 2]),
         lambda x: pb.var(x, axis=1, keepdims=True), lambda x: pb.cumprod(pb.cos(x), axis=1)]


@st.composite
def programs(draw):
    """(inputs, scalar result) of a random program over variables of random shapes."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    variables = [make("var", (), (f"x{i}",), "float64", shape) for i, shape in enumerate(shapes)]
    values = list(variables)
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from("ubw"))
        x = draw(st.sampled_from(values))
        if kind == "u":
            values.append(draw(st.sampled_from(UNARY))(x))
        elif kind == "b":
            values.append(draw(st.sampled_from(BINARY))(x, draw(st.sampled_from(values))))
        else:
            values.append(pb.tanh(draw(st.sampled_from(WHOLE))(pb.broadcast_to(x, (ROWS, COLUMNS)))))
    result = values[-1]
    weights = np.cos(0.7 * np.arange(result.size) + 0.2).reshape(result.shape)
    return variables, pb.sum(result * weights)


def dot(a, b):
    return sum(float(np.sum(x * y)) for x, y in zip(a, b, strict=True))


@settings(max_examples=120)
@given(programs(), st.integers(0, 2**32 - 1))
def test_random_program(program, seed):
    variables, result = program
    rng = np.random.default_rng(seed)
    at, v, w = ([rng.normal(size=x.shape) for x in variables] for _ in range(3))
    values = dict(zip(variables, at, strict=True))
    slopes = filled(vjp_of([result], [constant(1.0)], variables), variables)
    along_v, along_w = ({x: constant(t) for x, t in zip(variables, d, strict=True)} for d in (v, w))
    tangent, = filled(jvp_of([result], along_v), [result])
    hv, hw = (filled(jvp_of(slopes, d), slopes) for d in (along_v, along_w))
    count = len(variables)
    found = evaluate([tangent, *slopes, *hv, *hw], values)
    forward, slope, hv, hw = found[0], found[1:1 + count], found[1 + count:1 + 2 * count], found[1 + 2 * count:]
    np.testing.assert_allclose(forward, dot(slope, v), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dot(hv, w), dot(hw, v), rtol=1e-8, atol=1e-8)
    moved = [{x: a + s * t for x, a, t in zip(variables, at, v, strict=True)} for s in (1e-6, -1e-6)]
    ahead, behind = (evaluate([result], values)[0] for values in moved)
    np.testing.assert_allclose(forward, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-6)
