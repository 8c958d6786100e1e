"""Where programs are not smooth: what is listed, and that the derivatives that it tells are those that are used.

The table of docs/smoothness.md is written anew by `python tests/test_smoothness.py`.
"""

from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.dsl import breaks
from pullback.dsl.breaks import BREAKS
from pullback.dsl.ops import ROWS

DOCS = Path(__file__).resolve().parents[1] / "docs" / "smoothness.md"
x, y = pb.Var("x"), pb.Var("y")
OTHERS = {
    "`where`, a comparison as a number": breaks.COMPARED, "`max`": breaks.TIED, "`min`": breaks.TIED_LEAST,
    "`sqrt` of a sum of squares, `norm`": breaks.ZERO_NORM, "`astype` to an integer": breaks.TRUNCATED,
    "`x[i]`, `i` computed from floats": breaks.MOVED, "`cond`, `switch`": breaks.BRANCHED,
    "`while_loop`": breaks.TURNS, "`root`, `fixed_point`": breaks.SOLVED, "`linalg.solve`, `inv`": breaks.SINGULAR,
}


def listed(target, *args, **known):
    return [(f.kind, f.condition) for f in pb.smoothness(target, *args, **known)]


# ---- the table --------------------------------------------------------------------------------------------------
POINTS = [(name, found) for name, several in BREAKS.items() for found in several if found.used]


@pytest.mark.parametrize(("name", "found"), POINTS, ids=[f"{n}-{f.when}" for n, f in POINTS])
def test_the_derivative_that_is_told_is_the_one_that_is_used(name, found):
    wrt = tuple(k for k, u in enumerate(found.used) if u is not None)
    expected = [found.used[k] for k in wrt]
    function = getattr(pb, name)
    np.testing.assert_array_equal(pb.grad(lambda *a: function(*a), argnums=wrt)(*found.at), expected)
    for k, u in zip(wrt, expected, strict=True):
        def alone(value, k=k):
            return function(*found.at[:k], value, *found.at[k + 1 :])

        np.testing.assert_array_equal(pb.jvp(alone, (found.at[k],), (1.0,))[1], u)


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row.jumps and n in BREAKS])
def test_what_is_constant_between_jumps_is_refused(name):
    point = BREAKS[name][0].at or (2.0,)
    with pytest.raises(pb.NotDifferentiable):
        pb.grad(lambda *a: getattr(pb, name)(*a).astype("float64"))(*point)


def test_every_row_that_says_it_is_not_smooth_is_in_the_table():
    """But for comparisons and operations on bits, which have no derivative to be wrong."""
    left_out = {"where", "mask", "stop_gradient", "cast", "polygamma3", "bitcast"}
    floats = [n for n, row in ROWS.items() if row.kinks and row.kind in ("numeric", "float", "select")]
    assert {n for n in floats if n not in BREAKS} <= left_out | {n for n in floats if n not in pb.__all__}


def table() -> str:
    """The conventions, in Markdown."""
    lines = ["| operation | | not smooth where | derivative used |", "|---|---|---|---|"]
    rows = [(f"`{name}({', '.join(ROWS[name].args)})`", ROWS[name].args, found)
            for name, several in BREAKS.items() for found in several]
    for what, args, found in [*rows, *((what, ("x", "y"), found) for what, found in OTHERS.items())]:
        texts = {a: a for a in args}
        cells = (what, found.kind, found.when.format(**texts), found.derivative(texts, args, args))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def rewritten(text: str) -> str:
    start, end = "<!-- start of the table -->\n", "<!-- end of the table -->"
    return text[: text.index(start) + len(start)] + table() + "\n" + text[text.index(end) :]


def test_the_documentation_has_this_table():
    assert DOCS.read_text() == rewritten(DOCS.read_text())


# ---- what is listed ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("expression", "expected"), [
    (abs(x), [("kink", "x = 0")]),
    (abs(x - 2 * y), [("kink", "x - 2*y = 0")]),
    (1 / x, [("pole", "x = 0")]),
    (pb.sqrt(x) + pb.log(y), [("pole", "x = 0"), ("pole", "y = 0")]),
    (pb.maximum(x, 0.0), [("kink", "x = 0")]),
    (pb.clip(x, -1, 1), [("kink", "x = -1"), ("kink", "x = 1")]),
    (pb.floor(x), [("jump", "x is an integer")]),
    (pb.tan(x), [("pole", "cos(x) = 0")]),
    (x % 3, [("jump", "x/3 is an integer")]),
    (pb.arcsin(x), [("pole", "|x| = 1")]),
    (x**0.5 + x**-2.0, [("pole", "x = 0"), ("pole", "x = 0")]),
    (pb.where(x > y, x, y * y), [("jump", "x = y")]),
    (pb.where((x > 0) & (y < 1), x, y), [("jump", "x = 0"), ("jump", "y = 1")]),
    ((x > 1) * y, [("jump", "x = 1")]),
    (pb.max(x), [("kink", "two elements of x are both the greatest")]),
    (pb.sqrt(pb.sum(x * x)), [("kink", "all of x are 0")]),
    (x.astype("int64") * 1.5, [("jump", "x is an integer")]),
    (pb.arctan2(y, x), [("kink", "y = x = 0"), ("jump", "y = 0 and x < 0")]),
])
def test_conditions(expression, expected):
    assert listed(expression) == expected


@pytest.mark.parametrize("expression", [
    pb.exp(-x * x), 1 / (1 + x * x), pb.log(1 + pb.exp(x)), pb.sqrt(x * x + y * y + 1), x / 3, x**3 + x**2.5,
    pb.softmax(x), pb.tanh(x) * pb.sin(y), abs(pb.exp(x)), pb.log1p(x * x), pb.where(np.array(True), x, y),
    1 / pb.cosh(x), pb.logaddexp(x, y), pb.sum(x) / 5,
])
def test_what_is_smooth_is_not_listed(expression):
    assert not pb.smoothness(expression)
    assert repr(pb.smoothness(expression)) == "smooth wherever it is finite"


def test_a_guarded_argument_is_no_pole():
    guarded = pb.where(x > 0, pb.sqrt(pb.where(x > 0, x, 1.0)), 0.0)
    assert listed(guarded) == [("jump", "x = 0")]
    assert ("pole", "x = 0") in listed(pb.where(x > 0, pb.sqrt(x), 0.0))


def test_what_a_finding_tells():
    found, = pb.smoothness(abs(x - 1))
    assert (found.kind, found.derivative, found.instead) == ("kink", "0", "pb.sqrt((x - 1)**2 + eps**2)")
    assert Path(found.line.rsplit(":", 1)[0]).name == Path(__file__).name
    assert str(found).startswith("kink where x - 1 = 0 in abs(x - 1)")
    lines = repr(pb.smoothness(abs(x) + 1 / y)).splitlines()
    assert len(lines) == 3 and "pb.where(y != 0, 1/pb.where(y != 0, y, 1), 0)" in lines[2]
    w, b = pb.Var("w"), pb.Var("b")
    found, = pb.smoothness(pb.sum(pb.maximum(w @ x + b, 0)))          # vectors, as scalars do not fit
    assert (found.condition, found.derivative) == ("w @ x + b = 0", "0.5")


def test_what_is_written_instead_computes_the_same():
    eps, width = 1e-9, 1e-6
    for expression, at in ((abs(x), {"x": -1.5}), (pb.sqrt(x), {"x": 2.0}), (y / x, {"x": 2.0, "y": 3.0}),
                           (pb.maximum(x, y), {"x": 2.0, "y": 3.0}), (pb.minimum(x, y), {"x": 2.0, "y": 3.0}),
                           (pb.log(x), {"x": 0.3}), (pb.log1p(x), {"x": 0.3}), (x**0.5, {"x": 0.3}),
                           (pb.hypot(x, y), {"x": 2.0, "y": 3.0}), (pb.sign(x), {"x": 0.3}),
                           (pb.heaviside(x, 0.5), {"x": -0.3})):
        found = pb.smoothness(expression)[0]
        written = found.instead.replace(" for a step of some width", "")
        value = float(np.asarray(eval(written, {"pb": pb, "eps": eps, "width": width, **at})))
        assert value == pytest.approx(float(pb.compile(expression)(**at)), rel=1e-6), found


def test_functions_nests_loops_and_solutions():
    def f(x, p):
        size = pb.sqrt(pb.sum(x * x))
        last = pb.while_loop(lambda c: c < 100.0, lambda c: abs(c) * 3, size)
        chosen = pb.cond(size > 1, lambda u: pb.floor(u) + u, lambda u: u, size)
        solved = pb.root(lambda t: t**3 - pb.sqrt(p["a"]), 1.0)
        return last + chosen + solved + x[pb.argmax(x)] + pb.linalg.solve(pb.outer(x, x), x)[0]

    found = listed(f, np.ones(3), {"a": 1.0})
    for expected in (("kink", "all of x are 0"), ("jump", "the number of turns changes"), ("kink", "carry = 0"),
                     ("jump", "sqrt(sum(x*x)) > 1 changes"), ("jump", "the index changes"),
                     ("pole", "the derivative of the residual is singular"), ("pole", "p['a'] = 0")):
        assert expected in found
    assert any(condition.endswith("is an integer") for _, condition in found)
    assert any(condition.endswith("is singular") and "matrix" in condition for _, condition in found)


def test_a_row_of_the_users_is_as_smooth_as_its_expression():
    sympy = pytest.importorskip("sympy")
    u, v = sympy.symbols("u v")
    ramp = pb.scalar_op("ramp_for_smoothness", sympy.Abs(u) / (1 + v**2))
    smooth = pb.scalar_op("bell_for_smoothness", sympy.exp(-u**2))
    assert listed(ramp(x - 1, y)) == [("kink", "x - 1 = 0")]
    assert listed(smooth(x)) == []


def test_functions_without_arguments_are_of_variables():
    assert listed(lambda u, v: abs(u) + v @ u) == [("kink", "u = 0")]
    assert listed(lambda m, scale=2.0: pb.max(m * scale, axis=1)) == [
        ("kink", "two elements of m*2 are both the greatest")]


def test_shapes_that_do_not_fit_are_asked_for():
    v = pb.Var("v")
    assert listed(abs(v[:, 1, ::2]), v=np.ones((2, 3, 4))) == [("kink", "v[:, 1, ::2] = 0")]
    with pytest.raises(pb.PullbackError, match="declare them"):
        pb.smoothness(abs(v[:, 1, ::2]))
    with pytest.raises(TypeError, match="expression or a function"):
        pb.smoothness(3.0)


if __name__ == "__main__":
    DOCS.write_text(rewritten(DOCS.read_text()))
