"""Operators and elementwise functions on expressions against NumPy: values, promotion, protocols, error texts."""

import operator

import numpy as np
import pytest
from against_numpy import check, pb, typed

from pullback.dsl import ops
from pullback.dsl.errors import DTypeError, PullbackError, ShapeError
from pullback.dsl.node import FUNCTIONS
from pullback.dsl.surface import Var
from pullback.kernels.reference import evaluate

A = np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]])
B = np.array([0.5, 2.0, -1.5])
K, J = np.array([[7, -7, 5], [0, 3, -1]]), np.array([2, -3, 4])
BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.eq,
          operator.ne,
          operator.lt, operator.le, operator.gt, operator.ge]
INTEGER = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


@pytest.mark.parametrize("op", BINARY, ids=lambda f: f.__name__)
def test_binary_operators_in_every_order(op):
    for a, b in ((A, B), (K, J), (A.astype("f4"), B.astype("f4")), (K.astype("i2"), J), (A, J), (A[:, :1], B),
                 (A, np.array(2.0))):
        check(lambda xp, a, b: op(a, b), a, b)
    for scalar in (2, 2.5, np.float32(2.5), np.float64(2.5), np.int8(3)):
        for a in (A, K, A.astype("f4")):
            check(lambda xp, a, s=scalar: op(a, s), a)
            check(lambda xp, a, s=scalar: op(s, a + 9), a)
    check(lambda xp, a: op(a, B), A)
    check(lambda xp, a: op(B, a), A)


@pytest.mark.parametrize("op", INTEGER, ids=lambda f: f.__name__)
def test_integer_operators(op):
    check(lambda xp, a, b: op(a, abs(b)), K, J)
    check(lambda xp, a: (op(a, 2), op(2, abs(a))), K)
    if op in INTEGER[:3]:
        check(lambda xp, a, b: op(a, b), K > 0, J > 0)
    with pytest.raises(DTypeError):
        op(typed("x", A), 2)


def test_unary_operators_and_divmod():
    check(lambda xp, a: (-a, +a, abs(a)), A)
    check(lambda xp, a: (~a, -a, abs(a)), K)
    check(lambda xp, a: ~a, K > 0)
    check(lambda xp, a, b: divmod(a, b), K, J)
    check(lambda xp, a: divmod(7, a), J)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 5, -1, -2, 0.5, 2.0, 2.5, -0.5])
def test_powers(exponent):
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, -1.5, 2.5, 1e-20, 1e20])
    check(lambda xp, a: a**exponent, special, rtol=1e-15)
    check(lambda xp, a: a**exponent, special.astype("f4"))
    if exponent >= 0 or isinstance(exponent, float):
        check(lambda xp, a: a**exponent, np.array([3, 0, 5], np.int32))
        check(lambda xp, a: a**exponent, np.array([3, 250], np.uint8))
    check(lambda xp, a: 2**a, A)
    check(lambda xp, a, b: a**b, np.abs(A), B)


def test_small_powers_are_products():
    x = typed("x", A)
    assert (x**2).op == "square" and (x**3).op == "multiply" and (x**1) is x and (x**0.5).op == "sqrt"
    with pytest.raises(DTypeError, match=r"astype\('float64'\) \*\* -1"):
        typed("i", K) ** -1


def test_every_row_has_a_public_function_with_its_meaning():
    for name, row in ops.ROWS.items():
        if name in ("mask", "cast", "bitcast", "stop_gradient", "clip", "where"):
            continue
        for dtype in ("f8", "f4", "i4", "?") if row.kind not in ("integer", "logical") else ("i4", "?"):
            sample = [np.linspace(low, high, 5).astype(dtype) for low, high in row.domain]
            try:
                wanted = row.numpy(*sample)
            except (TypeError, ValueError):      # no such dtype; integers to negative powers
                continue
            variables = [typed(n, a) for n, a in zip("abc", sample, strict=False)]
            found, = evaluate([FUNCTIONS[name](*variables)], dict(zip(variables, sample, strict=True)))
            assert found.dtype == wanted.dtype, (name, dtype)
            np.testing.assert_array_equal(found, wanted, err_msg=name)


def test_docstrings_and_signatures_follow_the_table():
    assert "arcsin" in pb.asin.__doc__ and "no derivative" in pb.floor.__doc__
    with pytest.raises(TypeError, match=r"atan2\(y, x\) takes 2 arguments, not 1"):
        pb.atan2(typed("x", A))
    assert pb.arctan2 is pb.atan2 and pb.concat is pb.concatenate


def test_functions_of_more_than_one_row():
    check(lambda xp, a: (xp.clip(a, -1, 1), xp.clip(a, None, 1), xp.clip(a, -1, None)), A)
    check(lambda xp, a, b: xp.clip(a, b - 1, max=b) if xp is pb else np.clip(a, b - 1, b), A, B)
    check(lambda xp, a: xp.where(a > 0, a, 0), A)
    check(lambda xp, a, i: xp.where(i, a, -a.astype("f4") if xp is pb else -a.astype("f4")), A, K)
    check(lambda xp, a: (xp.round(a * 1.37, 1), xp.round(a), a.round(2)), A)
    check(lambda xp, a: (xp.round(a, 1), xp.round(a * 13, -1)), K)
    bad = np.array([np.nan, np.inf, -np.inf, 2.0])
    check(lambda xp, a: (xp.nan_to_num(a), xp.nan_to_num(a, nan=1.0, posinf=2.0, neginf=3.0)), bad)
    check(lambda xp, a, b: (xp.isclose(a, b), xp.isclose(a, b, equal_nan=True), xp.allclose(a, b)), bad,
          bad[::-1] * 1.0)
    check(lambda xp, a: (xp.real(a), xp.imag(a), xp.conj(a), a.conj(), a.real), A)
    check(lambda xp, a: (a.astype("f4"), a.astype(int), a.astype(bool), a.clip(0, 1)), A)
    with pytest.raises(ShapeError, match="size known"):
        pb.where(typed("x", A) > 0)


def test_float32_stays_float32():
    x = typed("x", A.astype("f4"))
    for y in (x + 1, x * 2.5, 1 / x, x**2, pb.sin(x), x.mean(), pb.where(x > 0, x, 0), pb.maximum(x, 0.0), x * True,
              x.std(),
              pb.logsumexp(x), pb.clip(x, 0, 1), x @ x.T, pb.linspace(np.float32(0), np.float32(1), 3)):
        assert y.dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64


def test_comparison_is_an_expression_and_the_hash_is_identity():
    x, y = Var("x"), Var("x")
    assert (x == y).op == "call" and x is y and len({x, y, x + 1, x + 1}) == 2
    assert (x == None) is False and (x != None) is True  # noqa: E711
    check(lambda xp, a: (a == -1, a != 300), np.array([1, 255], np.uint8))


def test_objects_that_are_no_arrays_are_refused():
    for other in ("a", None, {}, print):
        with pytest.raises(TypeError):
            Var("x") + other
    with pytest.raises(DTypeError, match="complex128 can"):
        Var("x") + np.array(["a"])
    with pytest.raises(DTypeError, match="does not fit int8"):
        typed("i", K.astype("i1")) + 1000
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(2,\) do not broadcast.*x\[:, None\]"):
        typed("x", A) + np.zeros(2)


def test_numpy_functions_and_scalars_dispatch():
    check(lambda xp, a: (np.sin(a), np.add(a, 1), np.add(B, a), np.float64(2) * a, np.multiply(2.0, a)), A)
    check(lambda xp, a: (np.sum(a, axis=0), np.mean(a), np.max(a, axis=1, keepdims=True), np.where(a > 0, a, 0)), A)
    check(lambda xp, a: (np.concatenate([a, a], axis=1), np.stack([a, A]), np.reshape(a, (3, 2)), np.transpose(a)), A)
    check(lambda xp,
          a: (B @ a.T, A.T @ a, np.matmul(a, B), np.dot(a, B), np.einsum("ij,j->i", a, B), np.linspace(0, 1, 3) + a), A)
    check(lambda xp, a: (np.zeros_like(a), np.clip(a, 0, 1), np.round(a), np.cumsum(a, axis=1), np.roll(a, 1, axis=0),
                         np.abs(a)), A)
    check(lambda xp, a: (np.arcsin(a / 9), np.logaddexp(a, 1), np.expand_dims(a, 0), np.tril(a), np.argmax(a, axis=1),
                         np.take(a, 1)), A)
    x = typed("x", A)
    assert np.shape(x) == (2, 3) and np.ndim(x) == 2 and np.size(x) == 6 and np.result_type(x, np.float32) == np.float64


def test_numpy_functions_that_cannot_be_say_what_can():
    x, a = typed("x", A), A.copy()
    for attempt, words in ((lambda: np.add.reduce(x), r"pb\.sum"), (lambda: np.add.outer(x, x), r"a\[:, None\]"),
                           (lambda: np.add.at(a, 0, x), r"\.at\[index\]\.add"), (lambda: np.sin(x, out=a), "out="),
                           (lambda: np.add(x, 1, where=A > 0), "where"), (lambda: np.nanmedian(x), "near it"),
                           (lambda: np.float_power(x, 2), "does not take expressions"),
                           (lambda: np.sum(x, out=a), "out=")):
        with pytest.raises(TypeError, match=words) as caught:
            attempt()
        assert isinstance(caught.value, PullbackError)
    with pytest.raises(TypeError, match=r"a = a \+ x"):
        a += x


def test_undeclared_variables_build_and_declared_ones_are_checked_where_they_are_written():
    w, x, b = Var("w"), Var("x"), Var("b")
    for y in (w @ x + b, np.sin(x), x.sum(axis=0)[1:], w @ A, A @ w, np.float32(1) * x, x.T[..., None],
              pb.einsum("i,j", x, w)):
        assert y.dtype is None
    with pytest.raises(ShapeError, match=r"w \(3, 4\) by x \(3,\).*test_surface_elementwise"):
        Var("w", (3, 4)) @ Var("x", (3,))
    with pytest.raises(ShapeError, match="do not broadcast"):
        Var("a", (3, None)) + Var("b", (2, 5))
    assert (Var("a", ("n", 3)) @ Var("b", (3, 5))).shape[1] == 5
    assert str((Var("a", ("n", 3)) + 1).shape[0]) == "n"


def test_truth_iteration_and_assignment_say_what_to_write():
    with pytest.raises(PullbackError, match=r"pb\.where"):
        bool(Var("x") > 0)
    with pytest.raises(PullbackError, match="declare its shape"):
        iter(Var("x"))
    assert len(list(typed("x", A))) == 2 and len(typed("x", A)) == 2


def test_sizes_are_numbers_in_expressions():
    check(lambda xp, a: (a.sum() / a.shape[0], a * a.shape[1], a.shape[0] - a, a ** a.shape[1], a + a.size), A,
          forms=("static", "symbolic", "declared"))
    check(lambda xp, a: xp.arange(a.shape[1]) * 1.5 + a, A, forms=("static", "symbolic", "declared"))
