"""What Python does to an expression by habit: the right result, or an error that says what to write."""

import math
import re
import traceback

import numpy as np
import pytest

import pullback as pb

X, Y = pb.Var("x"), pb.Var("y")


def assign(x):
    x[0] = 1
    return x


def loop(x):
    for _ in x:
        pass


def in_place(a):
    a += X


HABITS = [
    (lambda: bool(X), r"truth of the expression x .*pb\.where\(condition, a, b\).*pb\.cond"),
    (lambda: 1 if X > 0 else 2, r"truth of the expression x > 0 .*pb\.where"),
    (lambda: min(X, Y), r"truth of the expression y < x .*pb\.where"),
    (lambda: X or 3, "truth of the expression x .*instead of and, or, not"),
    (lambda: not X, "truth of the expression x"),
    (lambda: 0 < X < 1, "truth of the expression"),
    (lambda: X in [Y], "truth of the expression"),
    (lambda: float(X), r"free variables \(x\): compile it and call it, for example pb\.compile\(expr\)\(x=\.\.\.\)"),
    (lambda: int(X + Y), r"free variables \(x, y\)"),
    (lambda: math.sin(X), r"free variables \(x\)"),
    (lambda: np.asarray(X), r"free variables \(x\)"),
    (lambda: X.eval(), r"free variables \(x\)"),
    (lambda: X.item(), r"free variables \(x\)"),
    (lambda: range(X), "is no Python integer.*a size comes from x.shape"),
    (lambda: [1, 2][X], "is no Python integer"),
    (lambda: loop(X), r"length of the expression x is not known.*pb\.Var\(name, shape\)"),
    (lambda: len(X), r"is not known before the call.*pb\.Var\('x', shape="),
    (lambda: assign(X), r"immutable.*x = x\.at\[index\]\.set\(value\)"),
    (lambda: in_place(np.ones(3)), r"write a = a \+ x instead of a \+= x"),
    (lambda: np.add(X, 1, out=np.zeros(3)), "out="),
    (lambda: X.ndim, r"\.ndim of the expression x is not known before the call"),
    (lambda: pb.compile(lambda x: float(x) * 2)(2.0), r"not known while the program is built.*x\.astype\('float64'\)"),
    (lambda: pb.compile(lambda x: math.exp(x))(2.0), r"not known while the program is built.*pb\.sin"),
    (lambda: pb.compile(lambda x: x if x > 0 else -x)(2.0), r"truth of the expression x > 0.*pb\.where"),
    (lambda: pb.compile(assign)(np.ones(3)), r"immutable.*\.at\[index\]\.set"),
    (lambda: pb.compile(lambda x: sorted(x))(np.ones(3)), "truth of the expression"),
    (lambda: pb.compile(lambda x: x[x > 0])(np.ones(3)), "where"),
    (lambda: pb.compile(lambda x: x + X)(np.ones(2)), "the variable 'x', which is no argument.*pass it as an argument"),
    (lambda: pb.compile(lambda x: (x, "text"))(np.ones(2)), "dtype <U4 cannot enter an expression"),
]


@pytest.mark.parametrize("number", range(len(HABITS)))
def test_habits_of_python(number):
    habit, words = HABITS[number]
    with pytest.raises((pb.PullbackError, TypeError), match=f"(?s){words}") as caught:
        habit()
    assert "0x" not in str(caught.value)


def test_every_error_names_the_user_s_line():
    for habit, _ in HABITS:
        try:
            habit()
        except Exception as error:
            files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            assert re.search(r"test_errors_words\.py:\d+", str(error)) or __file__ in files


def inner(a, b):
    return a @ b            # the line that errors must name


def middle(a, b):
    return inner(a, b) * 2


def outer(a, b):
    return pb.sin(middle(a, b)) + 1


LINE = inner.__code__.co_firstlineno + 1


@pytest.mark.parametrize("run", [
    lambda: outer(pb.Var("a", (3, 4)), pb.Var("b", (5, 6))),
    lambda: pb.compile(outer(pb.Var("a"), pb.Var("b")))(a=np.ones((3, 4)), b=np.ones((5, 6))),
    lambda: pb.compile(outer)(np.ones((3, 4)), np.ones((5, 6))),
    lambda: pb.compile(pb.grad(lambda a, b: outer(a, b).sum()))(np.ones((3, 4)), np.ones((5, 6))),
    lambda: pb.compile(outer).lower(np.ones((3, 4)), np.ones((5, 6))),
], ids=["declared", "called", "function", "gradient", "lowered"])
def test_a_mismatch_three_calls_deep_names_the_line(run):
    with pytest.raises(pb.ShapeError) as caught:
        run()
    text = str(caught.value)
    assert f"test_errors_words.py:{LINE}" in text
    assert "(3, 4)" in text and "(5, 6)" in text        # numbers, not n0 and n1


def test_declared_names_that_may_differ_are_left_to_the_call():
    y = outer(pb.Var("a", ("n", "k")), pb.Var("b", ("m", "k")))
    f = pb.compile(y)
    assert f(a=np.ones((2, 3)), b=np.ones((3, 3))).shape == (2, 3)
    with pytest.raises(pb.ShapeError, match="second to last axis"):
        f(a=np.ones((2, 3)), b=np.ones((4, 3)))


@pytest.mark.parametrize("build, dtype", [
    (lambda: np.sin(X), np.float64), (lambda: np.ones((2, 2)) @ X, np.float64), (lambda: np.float64(2) * X, np.float64),
    (lambda: np.float32(2) * X, np.float32), (lambda: 2.0 * X, np.float32), (lambda: np.sum(X), np.float32),
    (lambda: np.ones(2, np.float32) + X, np.float32), (lambda: [1.0, 2.0] * X, np.float64), (lambda: X.T, np.float32),
])
def test_numpy_on_either_side(build, dtype):
    x = np.array([1.0, 2.0], np.float32)
    f = pb.compile(build())
    assert isinstance(build(), pb.Expr)
    if build() is not X.T:
        assert f(x=x).dtype == (np.float32 if build() is np.sin(X) else dtype)


@pytest.mark.parametrize("name", [
    "x; import os", "lambda", "", " x", "1x", "x y", "None", "x\n", "class", "x.y", 3, None])
def test_hostile_names_are_refused(name):
    with pytest.raises(ValueError, match="Python identifier that is no keyword"):
        pb.Var(name)
    if isinstance(name, str):
        with pytest.raises((pb.ShapeError, ValueError)):
            pb.Var("x", (name, "x y"))


def test_two_declarations_of_one_name():
    for target in (pb.Var("x", (3,)) + X, (pb.Var("x", ("n",)), [pb.Var("x", dtype="float32")])):
        with pytest.raises(pb.PullbackError, match="two variables are called 'x' with different declarations"):
            pb.compile(target)
    same = pb.compile(pb.Var("x", ("n",)) + pb.Var("x", ("n",)))
    assert same(x=np.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("index", [5, -4, np.array([0, 5]), np.array([[-4]])])
def test_an_index_that_leaves_the_array(index):
    with pytest.raises(IndexError, match="axis of 3 elements"):
        pb.compile(lambda x, i: x[i])(np.ones(3), index)
    with pytest.raises((pb.ShapeError, IndexError), match="3"):
        pb.compile(lambda x: x[index])(np.ones(3))


def test_devices():
    with pytest.raises(pb.DeviceError, match="'cpu', 'cuda' or 'auto', not 'gpu'"):
        pb.compile(X, device="gpu")
    f = pb.compile(X + 1, device="cuda")
    assert "__global__" in f.lower(x=np.ones(3)).as_text("cuda") and "__global__" in f.source("cuda")
    try:
        result = f(x=np.ones(3))
    except pb.DeviceError as error:
        assert str(error).startswith("device='cuda' needs a GPU: ") and "\n" not in str(error)
    else:
        assert result.get().tolist() == [2.0, 2.0, 2.0]


def test_expressions_without_variables_are_computed():
    e = pb.ones(3) * 2 + pb.arange(3)
    assert e.eval().tolist() == np.asarray(e).tolist() == e.tolist() == [2.0, 3.0, 4.0]
    assert float(e.sum()) == int(e.sum()) == e.sum().item() == 9 and e.sum().eval(device="cpu") == 9
    assert np.asarray(e, dtype=np.float32).dtype == np.float32 and complex(e.sum()) == 9
    assert bool(e.sum() > 2) and not bool(pb.asarray(0.0))
    assert pb.asarray(3) and [1, 2, 3][pb.asarray(1)] == 2


def test_texts_that_do_not_exist():
    f = pb.compile(lambda x: x + 1)
    with pytest.raises(pb.PullbackError, match=r"nothing was compiled yet.*call the program once, or use f\.lower"):
        f.source("cpu")
    f(np.ones(3))
    with pytest.raises(pb.PullbackError, match="source takes 'cpu' or 'cuda', not 'metal'"):
        f.source("metal")
    with pytest.raises(pb.PullbackError, match="as_text takes 'graph', 'program', 'cpu', 'cuda', not 'ptx'"):
        f.lower(np.ones(3)).as_text("ptx")
    with pytest.raises(AttributeError, match="no attribute 'sine'"):
        pb.sine  # noqa: B018
