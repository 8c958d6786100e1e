"""What loops and branches say where a program cannot be meant so, and bounds of every integer dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "int64"])
def test_a_bound_may_be_an_integer_of_any_dtype(dtype: str) -> None:
    def power(x: Any, n: Any) -> Any:
        return pb.fori_loop(0, n, lambda i, c: c * x, 1.0)

    n = np.asarray(3, dtype)
    assert pb.compile(power)(2.0, n) == 8.0
    assert pb.grad(power)(2.0, n) == 12.0
    assert pb.compile(lambda x, n: pb.fori_loop(n, 5, lambda i, c: c + x * i, 0.0))(2.0, n) == 14.0


TABLE = np.arange(4.0)
REFUSED = [
    (lambda x: pb.fori_loop(0, 3, lambda i, c: c if c > 0 else -c, x), "pb.where.* or pb.cond"),
    (lambda x: pb.fori_loop(0, 3, lambda i, c: c + TABLE[i], x), r"pb.asarray\(a\)\[i\]"),
    (lambda x: pb.fori_loop(0, 3, lambda i, c: c + TABLE[i : i + 2].sum(), x), r"pb.asarray\(x\)\[i\]"),
    (lambda x: pb.fori_loop(0, 3, lambda i, c: (c, c), x), r"carry built as \(\*, \*\), and init is built as \*"),
    (lambda x: pb.fori_loop(0, 3, lambda i, c: None, x), "carry built as None"),
    (lambda x: pb.cond(x > 0, lambda: (x, x), lambda: x), r"as \* and as \(\*, \*\)"),
    (lambda x: pb.scan(lambda c, t: (c + t, None), x, 3.0), "scan goes along the first axis, and xs has none"),
    (lambda x: pb.scan(lambda c, t: (c, t), x, None), "write length="),
    (lambda x: pb.fori_loop(0, 2.5, lambda i, c: c, x), "the bound upper of a loop is one integer"),
    (lambda x: pb.while_loop(lambda c: c, lambda c: c + 1, x), "one bool"),
    (lambda x: pb.fori_loop(0, 3, lambda i, c: pb.stack([c, c]), x), r"shape \(\) and returns it with \(2,\)"),
]


@pytest.mark.parametrize(("program", "words"), REFUSED)
def test_what_cannot_be_meant_is_said_with_what_to_write(program: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(pb.PullbackError, match=words) as caught:
        pb.compile(program)(1.0)
    assert "PyTreeSpec" not in str(caught.value) and "bound(" not in str(caught.value)


def test_a_slice_that_leaves_the_array_raises() -> None:
    def moving(x: Any, n: Any) -> Any:
        return pb.fori_loop(0, n, lambda i, s: s + pb.prod(x[i : i + 3]), 0.0)

    x = np.arange(1.0, 9.0)
    assert pb.compile(moving)(x, 6) == sum(np.prod(x[i : i + 3]) for i in range(6))
    for program in (moving, pb.grad(moving)):
        with pytest.raises(IndexError, match="8 elements"):
            pb.compile(program)(x, 7)


def test_a_long_python_loop_warns_once_with_its_line() -> None:
    def f(x: Any, turns: int = 2000) -> Any:
        for _ in range(turns):
            x = pb.sin(x) * 1.01 + 0.1          # the line that the warning names
        return x

    line = f.__code__.co_firstlineno + 2
    with pytest.warns(UserWarning, match=f"{line}.*fori_loop or pb.scan") as caught:
        pb.compile(f).lower(0.5)
    assert len(caught) == 1


def test_long_programs_without_a_long_loop_do_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    def short(x: Any) -> Any:
        for _ in range(30):
            x = pb.tanh(x * 1.01)
        return pb.sum(pb.fori_loop(0, 10_000, lambda i, c: pb.sin(c) * 1.01, x))

    pb.compile(pb.value_and_grad(short)).lower(np.ones(3))
    code = "\n".join(f"    x = pb.sin(x) * {k}.5" for k in range(3000))
    space: dict[str, Any] = {"pb": pb}
    exec(compile(f"def straight(x):\n{code}\n    return x", "straight.py", "exec"), space)
    pb.compile(space["straight"]).lower(0.5)
    assert not recwarn.list


def test_a_python_loop_over_a_static_range_is_written_out() -> None:
    def f(x: Any) -> Any:
        for k in range(1, 4):
            x = x**k + x
        for row in x:
            x = x + row
        return pb.sum(x)

    x = np.array([0.3, 0.7])
    y = x
    for k in range(1, 4):
        y = y**k + y
    for row in y.copy():
        y = y + row
    np.testing.assert_allclose(pb.compile(f)(x), np.sum(y), rtol=1e-14)
