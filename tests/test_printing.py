"""Printed expressions: Python text that reads back, LaTeX that renders, listings that count."""

import keyword
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pullback as pb
from pullback.dsl import primitives as P
from pullback.dsl.latex import latex, symbol
from pullback.dsl.listing import draw, listing, show
from pullback.dsl.node import FUNCTIONS, make
from pullback.dsl.ops import ROWS
from pullback.dsl.size import symbol as size
from pullback.dsl.text import text
from pullback.dsl.trace import Guards, tracing

N = size("n")
W, X, B = pb.Var("w"), pb.Var("x"), pb.Var("b")


def var(name, *shape, dtype="float64"):
    return make("var", (), (name,), dtype, shape)


T, V, INDEX = var("t", N, 3), var("v", 3), var("i", 5, dtype="int64")


# ---- what the user wrote ----------------------------------------------------------------------------------------
WRITTEN = """
w @ x + b
exp(-x*x)
-(x*x)
(-x)**2
-x**2
2**-x
(2**x)**x
2**x**x
x - (b - w)
x - b - w
x/(b*w)
x*(b + w)
x // 2 % 3
x % (2 // b)
x == b
(x == b) == w
(x > 0) & (x < 1) | ~(b != w)
x & (b | w)
1 << x
sum(x, axis=0)
mean(x, axis=(0, 1), keepdims=True)
x[1:, ::2]
x[-1:0:-2]
x[..., None, 0]
x[b]
(x + 1)[0]
exp(x)[:3]
where(x > 0, x, 0)
(x + b).T
x.T @ x
x @ (b @ w)
x.astype('float32')
concatenate([x, b], axis=1)
x.at[1:3].set(0)
x.at[b, ::2].add(w + 1)
logsumexp(x, axis=1) - 0.1
-1*x
x + -1
1e-300*x
reshape(x, (2, -1))
""".strip().splitlines()


@pytest.mark.parametrize("source", WRITTEN)
def test_an_untyped_expression_prints_as_it_was_written_and_reads_back(source):
    expression = read(source)
    assert repr(expression) == source
    assert read(repr(expression)) is expression


def read(source):
    """The expression that a text of our own says, with the parts that it names."""
    body, _, clauses = source.partition("  where ")
    scope = {**FUNCTIONS, "w": W, "x": X, "b": B, "inf": float("inf")}
    for clause in reversed(re.split(r", (?=\w+ = )", clauses)) if clauses else ():
        name, _, text = clause.partition(" = ")
        scope[name] = eval(text, scope)
    return eval(body, scope)


def test_methods_and_numpy_print_as_functions():
    assert repr(X.sum(axis=0).reshape(2, 3)) == "reshape(sum(x, axis=0), (2, 3))"
    assert repr(np.sin(X) + np.float32(0.1)) == "sin(x) + 0.1"
    assert repr(np.ones((2, 3)) @ X) == "array(2, 3) @ x"


def test_sums_of_repeated_values_print_their_count_and_compute():
    total = pb.sum(pb.ones(3))
    assert repr(total) == "3*1.0" and total._repr_latex_() == r"$3 \cdot 1$"
    assert float(total) == 3 and float(pb.mean(pb.full((2, 3), 4.0))) == 4
    assert int(pb.sum(pb.ones(5, dtype="int64"))) == 5
    of_x = pb.sum(pb.ones(pb.Var("x", ("n", 2)).shape))
    assert repr(of_x) == "2*n*1.0"


OPERATORS = ["+", "-", "*", "/", "//", "%", "@", "**", "&", "|", "^", "<<", ">>", "<", "=="]
EXPRESSIONS = st.recursive(
    st.sampled_from([W, X, B]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda t: eval(f"a {t[1]} b", {"a": t[0], "b": t[2]})),
        inner.map(lambda a: -a), inner.map(lambda a: ~a), inner.map(lambda a: a.T), inner.map(lambda a: a[1:]),
        inner.map(FUNCTIONS["tanh"]), st.tuples(inner, st.floats(allow_nan=False)).map(lambda t: t[0] * t[1]),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_parentheses_are_enough(expression):
    assert read(repr(expression)) is expression


@given(EXPRESSIONS)
def test_latex_is_balanced(expression):
    assert_balanced(latex(expression))


# ---- derivatives ------------------------------------------------------------------------------------------------
def test_a_derivative_prints_as_what_it_stands_for():
    loss = FUNCTIONS["sum"]((W @ X + B) ** 2)
    assert repr(pb.grad(loss, W)) == "∂(sum((w @ x + b)**2))/∂w"
    assert [repr(g) for g in pb.grad(loss, (W, B))] == ["∂(sum((w @ x + b)**2))/∂w", "∂(sum((w @ x + b)**2))/∂b"]
    assert repr(W - 0.1 * pb.grad(W * W, W)) == "w - 0.1*(∂(w*w)/∂w)"
    assert latex(pb.grad(W * W, W)) == r"$\frac{\partial}{\partial w} \left(w \odot w\right)$"


def test_a_derivative_of_a_function_prints_in_its_variables():
    slope = pb.grad(lambda u: u * u)(X)
    assert repr(slope) == "∂(x*x)/∂x"
    value, slope = pb.value_and_grad(lambda u: u * u)(X + 1)
    assert repr(value + slope) == "u*u + ∂(u*u)/∂u"


# ---- typed programs ---------------------------------------------------------------------------------------------
def row(name, *args):
    return P.scalar(name, *args)


TYPED = [
    (row("add", P.contract(T, V, "ij", "j", "i"), var("b", N)), "t @ v + b"),
    (P.contract(V, T, "j", "ij", "i"), "t @ v"),
    (P.contract(T, T, "ki", "kj", "ij"), "t.T @ t"),
    (P.contract(T, T, "ik", "jk", "ji"), "t @ t.T"),
    (P.contract(V, V, "i", "i", ""), "v @ v"),
    (P.contract(V, var("u", N), "i", "j", "ij"), "outer(v, u)"),
    (P.contract(var("a", 4, N, 3), var("c", 4, 3, 2), "bij", "bjk", "bik"), "a @ c"),
    (P.contract(var("a", 4, N, 3), var("c", 4, 2, 3), "bij", "bkj", "bik"), "a @ c.mT"),
    (P.contract(var("a", 4, N, 3), T, "bij", "kj", "bik"), "a @ t.T"),
    (P.contract(var("a", 4, 3), var("c", 4, 3), "bj", "bj", "b"), "einsum('ij,ij->i', a, c)"),
    (row("multiply", T, V), "t*v"),
    (row("divide", T, P.reshape(P.reduce(T, "add", (1,)), (N, 1))), "t/sum(t, axis=1)[:, None]"),
    (row("multiply", V, 2), "v*2"),
    (row("multiply", P.broadcast(V, (0,), (3, N)), P.broadcast(var("u", N), (1,), (3, N))), "v[:, None]*u"),
    (row("multiply", P.full((3,), 1.0, "float64"), P.full((3,), 2.0, "float64")), "broadcast_to(1.0, (3,))*2"),
    (row("add", V, row("negative", row("multiply", V, V))), "v - v*v"),
    (row("square", row("negative", V)), "(-v)**2"),
    (row("negative", row("square", V)), "-v**2"),
    (P.full((N, 3), 1, "float64"), "broadcast_to(1.0, (n, 3))"),
    (P.reduce(T, "add", (0, 1)), "sum(t)"),
    (P.reduce(T, "maximum", (0,)), "max(t, axis=0)"),
    (P.reduce(var("a", N, 3, 4), "multiply", (0, 2)), "prod(a, axis=(0, 2))"),
    (P.transpose(T, (1, 0)), "t.T"),
    (P.transpose(var("a", N, 3, 4), (0, 2, 1)), "transpose(a, (0, 2, 1))"),
    (P.cast(T, "float32"), "t.astype('float32')"),
    (P.slice_(T, ((1, 1), (0, 2)), (N - 1, 2)), "t[1:, ::2]"),
    (P.slice_(T, ((0, 1), (0, 1)), (N - 1, 3)), "t[:-1]"),
    (P.slice_(T, ((N - 1, -1), (2, -1)), (N, 3)), "t[::-1, ::-1]"),
    (P.slice_(var("a", 10), ((7, -3),), (2,)), "a[7:1:-3]"),
    (P.reshape(P.slice_(T, ((N - 1, 1), (0, 1)), (1, 3)), (3,)), "t[-1]"),
    (P.place(V, ((1, 2),), (9,)), "zeros((9,)).at[1:6:2].set(v)"),
    (P.place(V, ((0, 1),), (9,), 2.0), "full((9,), 2.0).at[:3].set(v)"),
    (P.gather(T, [INDEX], (0,)), "t[i]"),
    (P.scatter(T, [INDEX], P.full((5, 3), 1.0, "float64"), (0,), "add"), "t.at[i].add(1.0)"),
    (P.concat([V, V], 0), "concatenate([v, v], axis=0)"),
    (P.iota((N,), 0), "arange(n)"),
    (P.size_value(N * 2 + 1), "2*n + 1"),
    (row("multiply", P.cast(P.size_value(N + 1), "float64"), V), "(n + 1).astype('float64')*v"),
    (P.constant(np.float32(0.1)), "0.1"),
    (P.constant(0.1 + 0.2), "0.30000000000000004"),
    (P.constant(-np.inf), "-inf"),
    (P.constant(np.zeros((2, 3))), "array(2, 3)"),
    (P.recurrence(P.full((3,), 1, "float64"), V, 0), "cumsum(v, axis=0)"),
]


def test_the_gradient_of_a_linear_model_reads_as_in_a_book():
    x, w, b, y = var("x", N, 3), var("w", 3, 4), var("b", 4), var("y", N, 4)
    to_w, to_b = pb.grad(FUNCTIONS["sum"]((x @ w + b - y) ** 2), (w, b))
    assert repr(to_w) == "x.T @ (2*(x @ w + b - y))"
    assert repr(to_b) == "sum(2*(x @ w + b - y), axis=0)"
    assert latex(to_w) == r"$x^{\top} \, \left(2 \, \left(x \, w + b - y\right)\right)$"


@pytest.mark.parametrize(("node", "expected"), TYPED, ids=[expected for _, expected in TYPED])
def test_a_typed_operation_prints_as_a_person_would_write_it(node, expected):
    assert text(node) == expected


def test_indexing_survives_typing():
    with tracing(Guards({"n": 5})):
        for source in ("t[1:]", "t[:-1, 1]", "t[-1]", "t[::-1]", "t[i]", "t[:, i]", "t[None]", "t.at[i].max(0.0)"):
            assert text(eval(source, {"t": T, "i": INDEX})) == source


def test_operands_may_be_given_names():
    inner = row("exp", V)
    assert text(row("add", inner, row("multiply", inner, inner)), {inner: "y"}) == "y + y*y"
    assert text(inner, {inner: "y"}) == "exp(v)"


# ---- size -------------------------------------------------------------------------------------------------------
def test_a_long_chain_is_cut_where_it_is_deepest():
    y = X
    for _ in range(10_000):
        y = y + 1
    for printed in (repr(y), latex(y)):
        assert 1000 < len(printed) <= 2100
        assert printed.strip("$").startswith("… + 1 + 1") and printed.strip("$").endswith("+ 1 + 1")
    assert listing(y).count("\n") == 10_001  # x, the sums, the result


def test_a_shared_graph_does_not_blow_up():
    for y in (V, X):
        for _ in range(10_000):
            y = y * y
        assert len(repr(y)) <= 2100 and len(latex(y)) <= 4200  # written out it would fill the universe


def test_wide_and_long_parts_are_cut():
    wide = FUNCTIONS["concatenate"]([pb.Var(f"a{i}") for i in range(5000)])
    assert len(repr(wide)) < 500 and "…" in repr(wide)
    assert len(repr(pb.Var("v" * 100_000) + 1)) < 3000
    assert len(repr(X[tuple([0] * 5000)])) < 500


def test_printing_decides_nothing_about_sizes():
    guards = Guards({"n": 5})
    with tracing(guards):
        for node, _ in TYPED:
            text(node), latex(node), listing(node)
    assert guards.facts == []


# ---- LaTeX ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "expected"), [
    ("x", "x"), ("alpha", r"\alpha"), ("Omega", r"\Omega"), ("x1", "x_{1}"), ("alpha_0", r"\alpha_{0}"),
    ("loss", r"\mathrm{loss}"), ("x_hat", r"x_{\mathrm{hat}}"), ("x_beta", r"x_{\beta}"), ("lambda_", r"\lambda"),
    ("a_b_c", r"a_{\mathrm{b\_c}}"), ("_", r"\_"), ("__", r"\_\_"), ("π", "π"), ("int", r"\mathrm{int}"),
])
def test_names_in_latex(name, expected):
    assert symbol(name) == expected
    assert latex(pb.Var(name)) == f"${expected}$"


@pytest.mark.parametrize(("source", "expected"), [
    ("w @ x + b", r"w \, x + b"),
    ("(w + b)/(1 + x)", r"\frac{w + b}{1 + x}"),
    ("(w/b)**2", r"\left(\frac{w}{b}\right)^{2}"),
    ("w**(x + 1)", "w^{x + 1}"),
    ("exp(-x*x/2)", r"e^{\frac{-x \odot x}{2}}"),
    ("exp(x)**2", r"\left(e^{x}\right)^{2}"),
    ("sqrt(x + 1)", r"\sqrt{x + 1}"),
    ("abs(x - b)", r"\left|x - b\right|"),
    ("log1p(x + b)", r"\log\left(1 + x + b\right)"),
    ("x*2", r"2 \, x"),
    ("1e-9*(x + b)", r"10^{-9} \, \left(x + b\right)"),
    ("x*(b + w)", r"x \odot \left(b + w\right)"),
    ("sum(x, axis=0)*b", r"\left(\sum_{\mathrm{axis}\,0} x\right) \odot b"),
    ("(x + b).T", r"\left(x + b\right)^{\top}"),
    ("x - (b - w)", r"x - \left(b - w\right)"),
    ("-(x + b)", r"-\left(x + b\right)"),
    ("where(x <= 0, x, b)", r"\operatorname{where}\left(x \leq 0, x, b\right)"),
])
def test_latex(source, expected):
    assert latex(read(source)) == f"${expected}$"


def every_row():
    for name, entry in ROWS.items():
        args = [var(letter, 4, dtype="int64" if entry.kind == "integer" else "float64") for letter in "xyz"]
        if entry.kind == "cast":
            yield make(name, args[:1], ("<f4",), "float32", (4,))
        else:
            yield P.scalar(name, *args[:len(entry.args)])


def test_latex_of_every_operation_renders():
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    nodes = [*every_row(), *(node for node, _ in TYPED), *(read(source) for source in WRITTEN),
             pb.grad(FUNCTIONS["sum"](W @ X), W), pb.Var("a_b_c") + pb.Var("_")]
    for node in nodes:
        assert_balanced(latex(node))
        parser.parse(latex(node))
    assert len(nodes) > 150


def test_every_operation_prints_its_name_or_sign():
    for node in every_row():
        entry = ROWS[node.op]
        assert (entry.infix or {"square": "**2", "cast": "astype", "mask": "where", "exp_product": "exp",
                                 "logical_and": "&", "logical_or": "|",
                                 "logical_not": "~"}.get(node.op, node.op)) in text(node)


def assert_balanced(source):
    assert source.startswith("$") and source.endswith("$") and "$" not in source[1:-1]
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", source):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert source.count(r"\left") - source.count(r"\leftarrow") == source.count(r"\right")


# ---- names ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["lambda_", "π", "int", "print", "__import__", "grad", "add", "where", "x" * 300, "Ⅷ"])
def test_hostile_names_print_as_names(name):
    assert not keyword.iskeyword(name)
    expression = pb.Var(name) + 1
    assert repr(expression) == f"{name} + 1"
    assert_balanced(latex(expression))
    assert listing(expression).splitlines()[0].endswith(name)
    assert draw(expression).count("\n") > 3


def test_static_text_cannot_leave_its_place():
    hostile = make("call", (X,), ("mystery", ("tuple", ("tuple", ("value", '}$"\\')), ("tuple",))))
    assert_balanced(latex(hostile))
    label = draw(hostile).splitlines()[2]
    assert re.fullmatch(r'  n0 \[label="(\\.|[^"\\])*"\];', label)


# ---- listings ---------------------------------------------------------------------------------------------------
def test_listing(capsys):
    y = row("exp", row("subtract", T, P.reshape(P.reduce(T, "maximum", (1,)), (N, 1))))
    expected = """
%0  float64[n, 3]  t
%1  float64[n]     max(%0, axis=1)
%2  float64[n, 3]  %0 - %1[:, None]
%3  float64[n, 3]  exp(%2)
result = %3""".strip()
    assert listing(y) == expected
    assert show(y) is None
    assert capsys.readouterr().out == expected + "\n"


def test_listing_of_a_nest_shares_lines_and_names_results():
    y = W @ X
    lines = listing({"y": y, "both": (y + B, [y]), "π r": y}).splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["w", "x", "%1"]
    assert lines[3:] == ["%3  ?  b", "%4  ?  %2 + %3", "y = %2", "both[0] = %4", "both[1][0] = %2", "['π r'] = %2"]


def test_listing_of_a_derivative_is_that_of_what_it_is():
    x = pb.Var("x", ("m", "n"), "float64")
    loss = pb.mean(pb.logsumexp(2 * x, axis=1))
    assert listing((loss, pb.grad(loss, x))).splitlines() == [
        "%0  float64[m, n]  x",
        "%1  float64[m, n]  2*%0",
        "%2  float64[m]     logsumexp(%1, axis=1)",
        "%3  float64        mean(%2)",
        "%4  float64[m, n]  softmax(%1, axis=1)",
        "%5  float64[m, n]  2*%4/m",
        "result[0] = %3",
        "result[1] = %5",
    ]


def test_listing_shows_declared_shapes():
    y = pb.Var("a", ("n", 3)) @ pb.Var("c", (3, None))
    assert listing(y).splitlines()[2] == "%2  ?[n, c_1]  %0 @ %1"


def test_draw():
    dot = draw(row("add", V, 1))
    assert dot.startswith("digraph program {") and dot.endswith("}")
    assert r'[label="v\nfloat64[3]"];' in dot
    assert dot.count("->") == 4  # 1 -> broadcast, v and it -> sum, sum -> result
