"""logsumexp and softmax as operations: values, edges, derivatives to third order, and the kernels they share."""

import numpy as np
import pytest
from test_rules import check

import pullback as pb
from pullback.codegen.plan import plan
from pullback.dsl import softmax as s
from pullback.dsl.grad import vjp_of
from pullback.dsl.node import make, toposort
from pullback.dsl.primitives import elementwise
from pullback.dsl.surface import constant
from pullback.kernels.reference import evaluate

RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 5))
INF = np.inf


def var(name, *shape, dtype="float64"):
    return make("var", (), (name,), dtype, shape)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_derivatives_of_every_order(axes):
    check(lambda x: s.logsumexp(elementwise("sin", x), axes), X, order=3, tolerance=1e-5)
    check(lambda x: s.softmax(elementwise("sin", x), axes), X, order=2, tolerance=1e-5)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values(axis, dtype):
    x = (X * 300).astype(dtype)
    wide = x.astype(np.longdouble)
    top = wide.max(axis=axis, keepdims=True)
    total = np.exp(wide - top).sum(axis=axis, keepdims=True)
    log, share = pb.compile(lambda x: (pb.logsumexp(x, axis, keepdims=True), pb.softmax(x, axis)))(x)
    assert log.dtype == share.dtype == dtype
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(log, top + np.log(total), rtol=tolerance)
    np.testing.assert_allclose(share, np.exp(wide - top) / total, rtol=60 * tolerance, atol=1e-40)


EDGES = [([-INF, -INF], -INF, [0, 0]), ([-INF, 1.0], 1.0, [0, 1]), ([INF, 0.0], INF, [np.nan, 0]),
         ([np.nan, 0.0], np.nan, [np.nan, np.nan]), ([1e4, 1e4], 1e4 + np.log(2), [0.5, 0.5]), ([7.0], 7.0, [1])]


@pytest.mark.parametrize(("x", "value", "slope"), EDGES)
def test_edges_on_the_reference_and_compiled(x, value, slope):
    x = np.array([x, x])
    node = var("x", *x.shape)
    y = s.logsumexp(node, (1,))
    pulled, = vjp_of([y], [constant(np.ones(2))], [node])
    found = evaluate([y, pulled], {node: x})
    compiled = pb.compile(lambda x: (pb.logsumexp(x, axis=1), pb.grad(lambda v: pb.sum(pb.logsumexp(v, axis=1)))(x)))(x)
    for log, gradient in (found, compiled):
        np.testing.assert_allclose(log, [value, value], rtol=1e-15)
        np.testing.assert_allclose(gradient, [slope, slope])


def test_no_elements():
    with pytest.raises(pb.ShapeError, match="zero elements"):
        pb.logsumexp(pb.Var("x", (3, 0)), axis=1)
    empty = np.zeros((0, 3))
    log, share = pb.compile(lambda x: (pb.logsumexp(x, axis=1), pb.softmax(x, axis=0)))(empty)
    assert log.shape == (0,) and share.shape == (0, 3)


def test_axes_of_one_element_fall_away():
    x = var("x", 4, 1, 5)
    assert s.logsumexp(x, (1,)).op == "reshape"
    node = s.logsumexp(x, (1, 2))
    assert node.op == "logsumexp" and node.shape == (4,) and node.args[0].shape == (4, 5)
    assert s.logsumexp(s.logsumexp(var("y", 2, 3), (1,)), (0,)).args[0].op == "logsumexp"


def test_a_loss_and_its_gradient_share_the_exponentials():
    x, t = var("x", 40, 10), var("t", 40, 10)
    loss = elementwise("subtract", s.logsumexp(x, (1,)), pb.sum(t * x, axis=1))
    pulled, = vjp_of([loss], [constant(np.ones(40))], [x])
    assert {n.op for n in toposort([pulled])} >= {"softmax"} and "exp" not in {n.op for n in toposort([pulled])}
    program = plan([loss, pulled], [x, t])
    kernels = list(program.kernels())
    assert len(program.steps) == len(kernels) == 1
    assert kernels[0].fuses.count("exp") == 1
