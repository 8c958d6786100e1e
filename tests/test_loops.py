"""Loops in hand-built graphs: derivatives of derivatives, the same numbers whatever is stored, carries that are never
copied.
"""

from __future__ import annotations

import numpy as np
import pytest

from pullback.codegen.plan import plan
from pullback.codegen.program import Kernel, Library, Loop, walk_steps
from pullback.dsl import primitives, size
from pullback.dsl.grad import jvp_of, vjp_of
from pullback.dsl.loop import Loop as LoopView
from pullback.dsl.loop import repeat, tiled
from pullback.dsl.node import Expr, make
from pullback.dsl.trace import Kind, trace
from pullback.kernels import reference
from pullback.kernels.execute_cpu import build

E = primitives.elementwise
KEEPING = ("all", "none", "tiled")


def variable(name: str, shape: tuple = ()) -> Expr:
    return make("var", (), (name,), "float64", shape)


def number(value: float, shape: tuple = ()) -> Expr:
    return primitives.full(shape, value, "float64")


def compiled(outputs: list[Expr], inputs: dict[Expr, np.ndarray]) -> list[np.ndarray]:
    """`outputs` through the planner and the CPU target."""
    known = list(inputs)
    arrays = [np.asarray(a, float) for a in inputs.values()]

    def graph(leaves: list[Expr]) -> list[Expr]:
        from pullback.dsl.node import rebuild, rewrite

        return rewrite(outputs, rebuild, dict(zip(known, leaves, strict=True)))

    kinds = [Kind("<f8", tuple(n == 1 for n in a.shape)) for a in arrays]
    traced = trace(graph, [x.attrs[0] for x in known], kinds, [a.shape for a in arrays])
    return build(traced).call_for([a.shape for a in arrays]).run(arrays)


# ---- (a) a while loop of scalars -------------------------------------------------------------------------------
def growth(x: Expr, a: Expr, keep: str) -> LoopView:
    """x <- 1.3 x + a sin x while x < 50"""

    def turn(index: Expr, carries: list[Expr]) -> tuple:
        return [E("add", E("multiply", carries[0], number(1.3)), E("multiply", a, E("sin", carries[0])))], ()

    return repeat(None, [x], turn, test=lambda c: E("less", c[0], number(50.0)), limit=64, checkpoint=keep)


@pytest.mark.parametrize("keep", ["all", "none"])
def test_second_derivatives_of_a_while_loop(keep: str) -> None:
    x, a = variable("x"), variable("a")
    y = growth(x, a, keep).item("carry")
    g, = vjp_of([y], [number(1.0)], [x])
    gg = vjp_of([g], [number(1.0)], [x, a])
    outputs = [y, g, *gg]                                                    # type: ignore[list-item]
    got = compiled(outputs, {x: np.array(2.0), a: np.array(0.3)})

    def at(xv: float, av: float) -> list[np.ndarray]:
        return reference.evaluate([y, g], {x: np.float64(xv), a: np.float64(av)})

    h = 1e-6
    numeric = [(at(2 + h, 0.3)[0] - at(2 - h, 0.3)[0]) / (2 * h), (at(2 + h, 0.3)[1] - at(2 - h, 0.3)[1]) / (2 * h),
               (at(2.0, 0.3 + h)[1] - at(2.0, 0.3 - h)[1]) / (2 * h)]
    np.testing.assert_allclose(got[1:], numeric, rtol=1e-7)
    np.testing.assert_allclose(got, reference.evaluate(outputs, {x: np.float64(2), a: np.float64(0.3)}), rtol=1e-12)


def test_a_while_loop_beyond_its_bound_reports() -> None:
    x = variable("x")
    endless = repeat(
        None,
        [x],
        lambda i, c: ([E("multiply", c[0], number(1.0))], ()),
        test=lambda c: E("less", c[0], number(50.0)),
        limit=5,
    )
    with pytest.raises(IndexError, match="max_steps=5"):
        compiled([endless.item("carry")], {x: np.array(2.0)})


# ---- (b) a Jacobi sweep with updates of the core ------------------------------------------------------------------
def jacobi(a: Expr, b: Expr, steps: size.Dim, keep: str, power: int) -> LoopView:
    n = a.shape[0]
    core = ((1, 1), (1, 1))

    def part(u: Expr, i: int, j: int) -> Expr:
        return primitives.slice_(u, ((i, 1), (j, 1)), (n - 2, n - 2))

    def smoothed(u: Expr) -> Expr:
        total = E(
            "add",
            E("add", E("add", E("add", part(u, 1, 1), part(u, 1, 0)), part(u, 1, 2)), part(u, 2, 1)),
            part(u, 0, 1),
        )
        factor = number(0.2 if power == 1 else 0.05, (n - 2, n - 2))
        return E("multiply", factor, total if power == 1 else E("multiply", total, total))

    def update(u: Expr, value: Expr) -> Expr:
        return make("update", (u, value), ("set", core), u.dtype, u.shape)

    def turn(index: Expr, carries: list[Expr]) -> tuple:
        new_b = update(carries[1], smoothed(carries[0]))
        return [update(carries[0], smoothed(new_b)), new_b], ()

    loop = repeat(steps, [a, b], turn, checkpoint="all" if keep == "tiled" else keep)
    return tiled(loop, 3) if keep == "tiled" else loop


def jacobi_outputs(keep: str) -> tuple[list[Expr], dict[Expr, np.ndarray], Expr]:
    rng = np.random.default_rng(0)
    a, b, w = variable("a", (6, 6)), variable("b", (6, 6)), variable("w", (6, 6))
    loss = primitives.reduce(E("multiply", jacobi(a, b, 7, keep, 2).item("carry", 0), w), "add", (0, 1))
    ga, gb = vjp_of([loss], [number(1.0)], [a, b])
    along = primitives.reduce(E("multiply", ga, w), "add", (0, 1))          # type: ignore[arg-type]
    ha, = vjp_of([along], [number(1.0)], [a])
    tangent, = jvp_of([loss], {a: w})
    values = {a: rng.random((6, 6)), b: rng.random((6, 6)), w: rng.random((6, 6))}
    return [loss, ga, gb, ha, tangent, along], values, a                     # type: ignore[list-item]


def test_second_derivatives_of_a_jacobi_sweep_agree_whatever_is_stored() -> None:
    all_results = []
    for keep in KEEPING:
        outputs, values, a = jacobi_outputs(keep)
        got = compiled(outputs, values)
        np.testing.assert_allclose(got[4], got[5], rtol=1e-13)               # <J w> forward is <g, w> reverse
        for x, y in zip(got, reference.evaluate(outputs, values), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-15)
        all_results.append(got)
    for other in all_results[1:]:
        for x, y in zip(other[:3], all_results[0][:3], strict=True):
            np.testing.assert_array_equal(x, y)                              # to the bit
        for x, y in zip(other[3:], all_results[0][3:], strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-13, atol=1e-16)         # sums of cotangents come in another order
    outputs, values, a = jacobi_outputs("all")
    w = list(values.values())[2]
    h = 1e-6
    up, down = (reference.evaluate(outputs[:2], {**values, a: values[a] + s * h * w})[1] for s in (1, -1))
    np.testing.assert_allclose(all_results[0][3], (up - down) / (2 * h), rtol=1e-6, atol=1e-9)


# ---- (c) a loop in a loop -----------------------------------------------------------------------------------------
def nested(x: Expr, keep: str) -> LoopView:
    def outer(index: Expr, carries: list[Expr]) -> tuple:
        start = primitives.cast(index, "float64")

        def inner(k: Expr, inside: list[Expr]) -> tuple:
            return [E("add", E("sin", inside[0]), E("multiply", number(0.1), E("add", inside[0], start)))], ()

        deep = repeat(3, carries, inner, checkpoint="all" if keep == "tiled" else keep)
        return [E("add", deep.item("carry"), number(0.5))], ()

    loop = repeat(4, [x], outer, checkpoint="all" if keep == "tiled" else keep)
    return tiled(loop, 2) if keep == "tiled" else loop


def test_second_derivatives_of_a_loop_in_a_loop() -> None:
    def plain(x: float) -> float:
        for i in range(4):
            for _ in range(3):
                x = np.sin(x) + 0.1 * (x + i)
            x = x + 0.5
        return x

    x, at, h = variable("x"), 1.7, 1e-4
    first = (plain(at + h) - plain(at - h)) / (2 * h)
    second = (plain(at + h) - 2 * plain(at) + plain(at - h)) / h**2
    found = []
    for keep in KEEPING:
        y = nested(x, keep).item("carry")
        g, = vjp_of([y], [number(1.0)], [x])
        gg, = vjp_of([g], [number(1.0)], [x])                                # type: ignore[list-item]
        found.append(compiled([y, g, gg], {x: np.array(at)}))                # type: ignore[list-item]
    np.testing.assert_allclose(found[0], [plain(at), first, second], rtol=1e-5, atol=1e-6)
    for other in found[1:]:
        np.testing.assert_array_equal(other[:2], found[0][:2])
        np.testing.assert_allclose(other[2], found[0][2], rtol=1e-13)


# ---- what the planner makes of them -------------------------------------------------------------------------------
def inside_loops(steps: tuple) -> list:
    return [inner for step in walk_steps(steps) if isinstance(step, Loop) for inner in walk_steps(step.steps)]


def test_no_carry_is_copied_and_a_linear_reverse_stores_no_state() -> None:
    n, t = size.symbol("n"), size.symbol("t")
    a, b, w, clock = variable("a", (n, n)), variable("b", (n, n)), variable("w", (n, n)), variable("clock", (t,))
    loss = primitives.reduce(E("multiply", jacobi(a, b, t, "all", 1).item("carry", 0), w), "add", (0, 1))
    gradients = vjp_of([loss], [number(1.0)], [a, b])
    program = plan([loss, *gradients], [a, b, w, clock])                     # type: ignore[list-item]
    inside = inside_loops(program.steps)
    assert not [s for s in inside if isinstance(s, Library) and s.routine == "copy"]
    assert len([s for s in inside if isinstance(s, Kernel)]) == 5       # two half steps forward, two back, a core to 0
    assert not [buffer for buffer in program.buffers.values() if len(buffer.shape) == 3]


def test_bytes_of_a_jacobi_gradient_are_near_those_written_by_hand() -> None:
    """By hand a half step reads one array and writes one; its adjoint reads and writes both cotangents."""
    from pullback.codegen.cost import cost_of

    n, t = size.symbol("n"), size.symbol("t")
    a, b, w, clock = variable("a", (n, n)), variable("b", (n, n)), variable("w", (n, n)), variable("clock", (t,))
    loss = primitives.reduce(E("multiply", jacobi(a, b, t, "all", 1).item("carry", 0), w), "add", (0, 1))
    program = plan([loss, *vjp_of([loss], [number(1.0)], [a, b])], [a, b, w, clock])     # type: ignore[list-item]
    loops = [s for s in program.steps if isinstance(s, Loop)]
    sizes = {"n": 350, "t": 80}
    moved = sum(size.evaluate(cost_of(program, s).bytes, sizes) for s in loops)
    by_hand = 80 * 8 * 350**2 * (2 * 2 + 2 * 4)
    assert by_hand / 2 < moved <= 1.5 * by_hand
