"""What a program calls its steps and buffers: mathematics, in names that can be read."""

import re

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.plan import TITLE

SIZES = {"k": 3, "m": 4, "n": 50}


def program_of(target, **shapes):
    values = {name: np.ones([SIZES[s] for s in shape]) for name, shape in shapes.items()}
    return pb.compile(target).lower(**values).program


def titles_of(program):
    return [title for step in program.steps for title in step.title]


def test_softmax_regression_in_its_own_words():
    w, x, b, t = (pb.Var(name) for name in "wxbt")
    scores = w @ x + b
    loss = pb.mean(pb.logsumexp(scores, axis=0) - pb.sum(t * scores, axis=0)) + 1e-3 * pb.sum(w * w)
    program = program_of([loss, *pb.grad(loss, [w, b])], w=("k", "m"), x=("m", "n"), b=("k", "n"), t=("k", "n"))
    assert [re.sub(r"n\d", "n", title) for title in titles_of(program)[:6]] == [
        "w_x = w @ x",
        "column_max = max(w_x + b, axis=0)",
        "column_sum = sum(exp(w_x + b - column_max), axis=0)",
        "column_sum_1 = sum(t*(w_x + b), axis=0)",
        "grad_b = (softmax(w_x + b, axis=0) - t)/n",
        "total = sum(logsumexp(w_x + b, axis=0) - column_sum_1)",
    ]
    assert program.outputs == ("out", "grad_w", "grad_b")
    assert {"grad_w = 0.002*w + grad_b_x", "grad_b_x = grad_b @ x.T"} <= set(titles_of(program))


@pytest.mark.parametrize(("build", "shapes", "title"), [
    (lambda x: pb.sigmoid(x) ** 2, {"x": ("n",)}, "out = sigmoid(x)**2"),
    (lambda x: pb.isfinite(x), {"x": ("n",)}, "out = isfinite(x)"),
    (lambda x, v: x @ v, {"x": ("n", "m"), "v": ("m",)}, "out = x @ v"),
    (lambda x: pb.softmax(x, axis=1), {"x": ("n", "m")}, "row_max = max(x, axis=1)"),
    (lambda x: {"loss": pb.sum(x), "other": (x + 1,)}, {"x": ("n",)}, "other = x + 1"),
    (lambda x: {"loss": pb.sum(x), "other": (x + 1,)}, {"x": ("n",)}, "loss = sum(x)"),
])
def test_titles_say_what_was_meant(build, shapes, title):
    names = list(shapes)
    program = program_of(build(*map(pb.Var, names)), **shapes)
    assert title in titles_of(program)


def test_results_of_functions_have_names_too():
    x = np.ones(4)
    program = pb.compile(pb.value_and_grad(lambda slope: pb.sum(pb.exp(slope)))).lower(x).program
    assert program.outputs[1] == "grad_slope"
    assert pb.compile(lambda x: {"mean": pb.mean(x), "scale": pb.std(x)}).lower(x).program.outputs == ("mean", "scale")


def test_titles_are_no_longer_than_a_line():
    x, y = pb.Var("x"), pb.Var("y")
    z = x
    for k in range(30):
        z = pb.sin(z * y + k) + z
    for title in titles_of(program_of([z, *pb.grad(pb.sum(z), [x, y])], x=("n",), y=("n",))):
        assert len(title) <= TITLE + 30


def test_a_title_does_not_look_into_other_buffers():
    x = pb.Var("x")
    titles = titles_of(program_of([pb.sum(x), pb.mean(x), -pb.max(x) + 1], x=("n",)))
    assert "out_1 = out/n0" in titles and "out_2 = 1 - largest" in titles


def test_workspace_is_told_in_bytes():
    f = pb.compile(lambda x: pb.sum(pb.exp(x)))
    f(np.ones(1000))
    text = f.explain()
    assert "workspace 64 bytes at n0 = 1000" in text and "//" not in text.splitlines()[-3]
