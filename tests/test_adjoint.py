"""The algebra of cotangents: what is simplified, and that it is the same number."""

import numpy as np
import pytest

from pullback.dsl import adjoint
from pullback.dsl.node import make, toposort
from pullback.dsl.primitives import broadcast, elementwise, full
from pullback.dsl.size import symbol
from pullback.kernels.reference import evaluate

N = symbol("n")


def var(name, *shape):
    return make("var", (), (name,), "float64", shape)


U, V, C = var("u", 3, N), var("v", 3, N), make("var", (), ("c",), "bool", (3, N))
S = broadcast(var("s"), (), (3, N))
ROW = broadcast(var("r", N), (1,), (3, N))
VALUES = {U: np.arange(12.0).reshape(3, 4) - 5, V: np.cos(np.arange(12.0)).reshape(3, 4), C: np.eye(3, 4, dtype=bool),
          var("s"): np.float64(0.3), var("r", N): np.arange(4.0)}


def ops_of(node):
    return sorted(n.op for n in toposort([node]) if n.op not in ("var", "const", "broadcast"))


def same_value(a, b):
    found, wanted = evaluate([a, b], VALUES)
    np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-15)


def test_what_repeats_is_computed_before_it_repeats():
    node = adjoint.row("multiply", S, ROW)
    assert node.op == "broadcast" and node.args[0].shape == (N,)
    same_value(node, elementwise("multiply", S, ROW))
    assert adjoint.negated(S) is broadcast(elementwise("negative", var("s")), (), (3, N))
    assert adjoint.row("mask", broadcast(make("var", (), ("d",), "bool", ()), (), (3, N)), S).op == "mask"


def test_signs_move_out_of_products():
    for g, factor in ((adjoint.negated(U), V), (U, adjoint.negated(V)), (adjoint.negated(S), V)):
        product = adjoint.scale(g, factor)
        assert product.op == "negative" and product.args[0].op == "multiply"
        same_value(product, elementwise("multiply", g, factor))
    assert adjoint.scale(adjoint.negated(U), adjoint.negated(V)) is elementwise("multiply", U, V)


def test_equal_terms_are_twice_the_term():
    double = adjoint.total([U, U])
    assert ops_of(double) == ["multiply"] and adjoint.number(double.args[0]) == 2
    scaled = adjoint.scale(full(U.shape, 0.001, "float64"), U)
    assert adjoint.number(adjoint.total([scaled, scaled]).args[0]) == 0.002
    assert adjoint.number(adjoint.total([adjoint.negated(U), adjoint.negated(U)]).args[0]) == -2
    for node in (U, scaled, adjoint.negated(U)):
        same_value(adjoint.total([node, node]), elementwise("add", node, node))


def test_powers_of_two_move_out_and_are_added_up():
    half, two = (adjoint.scale(full(U.shape, c, "float64"), U) for c in (0.5, 2.0))
    product = adjoint.scale(adjoint.negated(two), V)
    assert product.op == "multiply" and adjoint.number(product.args[0]) == -2
    assert adjoint.scale(two, adjoint.quotient(full(U.shape, 0.5, "float64"), V)).op == "multiply"
    assert adjoint.number(adjoint.total([U, V, two]).args[0].args[0]) == 3
    same_value(adjoint.total([half, two, adjoint.negated(U)]), adjoint.scale(full(U.shape, 1.5, "float64"), U))
    assert adjoint.total([U, adjoint.negated(U)]).op == "add", "inf - inf is not 0"


def test_what_is_known_by_form_is_not_computed():
    zero, two = full(U.shape, 0.0, "float64"), full(U.shape, 2.0, "float64")
    assert adjoint.row("subtract", U, zero) is U and adjoint.row("add", U, zero).op == "add"
    assert adjoint.number(adjoint.row("divide", two, two)) == 1
    assert adjoint.number(adjoint.row("isinf", two)) is False
    known = full(U.shape, True, bool)
    assert adjoint.row("logical_and", C, known) is C and adjoint.number(adjoint.row("logical_or", known, C)) is True
    assert adjoint.row("mask", known, U) is U
    assert adjoint.row("exp", two).op == "broadcast", "a target's exp has bits of its own"


def test_a_common_scalar_stands_outside_a_sum():
    a, b = adjoint.scale(S, U), adjoint.scale(adjoint.negated(S), V)
    total = adjoint.total([a, b])
    assert total.op == "multiply" and total.args[0] is S
    other = broadcast(var("s"), (), (3, symbol("m")))      # a size that only the call knows to be equal
    assert adjoint.total([a, adjoint.scale(other, V)]).op == "multiply"
    assert ops_of(total) == ["add", "multiply", "negative"]
    same_value(total, elementwise("subtract", a, elementwise("multiply", S, V)))
    assert adjoint.total([adjoint.scale(ROW, U), adjoint.scale(ROW, V)]).op == "add"


@pytest.mark.parametrize("factor", [U, S, ROW])
def test_masks_stay_outermost(factor):
    masked = adjoint.masked(C, V)
    assert adjoint.scale(masked, factor).op == adjoint.negated(masked).op == "mask"
    assert adjoint.total([masked, adjoint.masked(C, U)]).op == "mask"
