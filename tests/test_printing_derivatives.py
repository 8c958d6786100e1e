"""Derivatives as they are printed: in the form of a book, with what is long and repeated under a name."""

import re

import pytest
from test_printing import B, W, X, assert_balanced, read

import pullback as pb
from pullback.dsl.latex import latex
from pullback.dsl.node import FUNCTIONS

# what is differentiated, and the derivative with respect to its first variable
M, K, SHIFT = pb.Var("m", ("k", "j")), pb.Var("c", ("j", "n")), pb.Var("o", ("k", 1))
Y, U = pb.Var("y", ("n",)), pb.Var("u", ("n",))
BOOK = [
    (lambda: pb.sum(pb.tanh(M @ K)), M, "sech(m @ c)**2 @ c.T"),
    (lambda: pb.mean(pb.logsumexp(M @ K + SHIFT, axis=0)), M, "softmax(m @ c + o, axis=0)/n @ c.T"),
    (lambda: pb.mean(pb.logsumexp(M @ K + SHIFT, axis=0)), SHIFT, "sum(softmax(m @ c + o, axis=0)/n, axis=1)[:, None]"),
    (lambda: pb.mean((U - Y) ** 2), U, "2*(u - y)/n"),
    (lambda: pb.mean(pb.logaddexp(0, U) - Y * U), U, "(sigmoid(u) - y)/n"),
    (lambda: pb.sum(pb.exp(-U * U) * pb.sin(Y)), U, "-2*sin(y)*exp(-u*u)*u"),
    (lambda: 1e-3 * pb.sum(U * U), U, "0.002*u"),
    (lambda: pb.sum(U**3), U, "3*u**2"),
    (lambda: pb.sum(U**2.5 * Y), U, "y*(2.5*u**1.5)"),
    (lambda: pb.sum(pb.where(U > 0, pb.sqrt(U), U)), U, "where(u > 0, 0.5/sqrt(u), 1)"),
    (lambda: pb.sum(abs(U)), U, "sign(u)"),
    (lambda: pb.sqrt(pb.sum(U * U)), U, "where(sqrt(sum(u*u)) != 0, u/sqrt(sum(u*u)), 0)"),
    (lambda: pb.var(U), U, "2*(u - mean(u))/n - mean(2*(u - mean(u))/n)"),
    (lambda: pb.sum(pb.softmax(U) * Y), U, "(y - sum(y*softmax(u)))*softmax(u)"),
    (lambda: pb.sum(pb.exp(-U) / (1 + U)), U, "-(exp(-u)/(1 + u)/(1 + u) + exp(-u)/(1 + u))"),
]


@pytest.mark.parametrize(("build", "wrt", "expected"), BOOK, ids=[expected for _, _, expected in BOOK])
def test_derivatives_of_declared_variables_read_as_in_a_book(build, wrt, expected):
    assert repr(pb.grad(build(), wrt)) == expected
    assert_balanced(latex(pb.grad(build(), wrt)))


def test_softmax_regression_reads_as_in_a_book():
    w, b, x = pb.Var("w", ("classes", "pixels")), pb.Var("b", ("classes", 1)), pb.Var("x", ("pixels", "samples"))
    t = pb.Var("t", ("classes", "samples"))
    scores = w @ x + b
    loss = pb.mean(pb.logsumexp(scores, axis=0) - pb.sum(t * scores, axis=0)) + 1e-3 * pb.sum(w * w)
    assert repr(pb.grad(loss, w)) == "0.002*w + (softmax(w @ x + b, axis=0) - t)/samples @ x.T"
    both = pb.grad(loss, [w, b])
    assert repr(both[1]) == "sum((softmax(w @ x + b, axis=0) - t)/samples, axis=1)[:, None]"


# ---- parts with names -------------------------------------------------------------------------------------------
def test_what_is_long_and_repeated_is_named():
    x, s = pb.Var("x", ("m", "n")), pb.Var("s", ("n",))
    normed = (x - pb.mean(x, axis=0)) / pb.sqrt(pb.var(x, axis=0) + 1e-5) * s
    assert repr(pb.grad(pb.sum(normed), x)) == (
        "z - mean(z, axis=0)  where z = s/r - sum(s/r*(d/r), axis=0)/r/m*d, "
        "r = sqrt(mean(d**2, axis=0) + 1e-05), d = x - mean(x, axis=0)")
    assert latex(pb.grad(pb.sum(normed), x)).count(r"\quad") == 2


def long_sum(part):
    sin, cos, exp, tanh = (FUNCTIONS[name] for name in ("sin", "cos", "exp", "tanh"))
    return exp(cos(part)) / (sin(part + 1) + 1000000) * tanh(part * 0.1234567890123) - cos(part * 2)


def test_named_parts_read_back():
    part = FUNCTIONS["tanh"](W @ X + B) * FUNCTIONS["sqrt"](W @ X + B)
    assert repr(long_sum(part)) == (
        "exp(cos(u))/(sin(u + 1) + 1000000)*tanh(u*0.1234567890123) - cos(u*2)  "
        "where u = tanh(z)*sqrt(z), z = w @ x + b")
    for expression in (long_sum(part), long_sum(long_sum(part))):
        assert read(repr(expression)) is expression


def test_names_of_parts_are_not_those_of_variables():
    taken = [pb.Var(c) for c in "abcdefghijklmnopqrstuvwxyz"]
    part = FUNCTIONS["tanh"](FUNCTIONS["concatenate"](taken))
    source = repr(part * part + part)
    assert source.startswith("u1*u1 + u1  where u1 = tanh(concatenate([a, b")
    sizes = pb.Var("left", ("z", "u")) @ pb.Var("right", ("u", "z"))
    names = re.findall(r"(\w+) = ", repr(long_sum(long_sum(sizes))))
    assert names and not {"z", "u", "left", "right"} & set(names)


def test_short_texts_name_nothing():
    part = W @ X + B
    assert repr(part * part) == "(w @ x + b)*(w @ x + b)"
