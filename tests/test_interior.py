"""Loops whose borders are peeled off: the interior has no masks, and the bits stay what they were."""

import itertools

import numpy as np
import pytest
from target_contract import job_of, run_numba_text, run_on_cpu

import pullback as pb
from pullback.codegen.chunks import work_per_row
from pullback.codegen.interior import extents_of, interior_of
from pullback.codegen.program import For, Let, Load, walk_stmts
from pullback.dsl.size import evaluate
from pullback.dsl.stencil import BOUNDARIES

rng = np.random.default_rng(8)
SIZES = (1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 18, 24, 25, 26, 33, 40)
PADDED = {"wrap": "wrap", "reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "constant": "constant"}


def neighbours(u, boundary):
    """The sum of what lies one and two to either side along every axis, each with its own weight."""
    total, weight = u * 0.5, 1.0
    for axis, k in itertools.product(range(u.ndim), (-2, -1, 1, 2)):
        weight += 0.25
        total = total + weight * pb.shift(u, k, axis, boundary)
    return total


def neighbours_by_padding(u, boundary):
    total, weight = u * 0.5, 1.0
    for axis, k in itertools.product(range(u.ndim), (-2, -1, 1, 2)):
        weight += 0.25
        widths = [(2, 2) if i == axis else (0, 0) for i in range(u.ndim)]
        padded = np.pad(u, widths, PADDED[boundary])
        total = total + weight * np.take(padded, range(2 + k, 2 + k + u.shape[axis]), axis)
    return total


def core(a, b):
    """Two half steps with fixed borders."""
    inside = (slice(1, -1),) * a.ndim
    for axis in range(a.ndim):
        ends = [tuple(s if i == axis else slice(1, -1) for i in range(a.ndim)) for s in (slice(2, None), slice(-2))]
        b = b.at[inside].add(a[ends[0]] * a[ends[1]])
    return a.at[inside].set(0.3 * b[inside]), b


def interiors(program):
    """The vector loops of a program with their interiors (None for those that have no border)."""
    for kernel in program.kernels():
        lets = {s.name: s for s in walk_stmts(kernel.begin + kernel.body + kernel.end) if isinstance(s, Let)}
        loops = [s for s in walk_stmts(kernel.body) if isinstance(s, For) and s.vector]
        if kernel.vector:
            loops.append(For((kernel.rows,), kernel.body, kernel.accs, (), True))
        for loop in loops:
            yield loop, interior_of(loop, lets, extents_of(kernel))


def conditional(loop):
    return [s for s in walk_stmts(loop.body)
            if isinstance(s, Load) and s.mask or isinstance(s, Let) and s.op in ("where", "mask", "less")]


# ---- values -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_values_and_adjoints_at_every_size(boundary, rank):
    """One program for all sizes; the adjoint by the dot product."""
    def both(u, v):
        found, back = pb.vjp(lambda u: neighbours(u, boundary), u)
        return found, back(v)[0]

    f = pb.compile(both)
    shapes = [(*rest, n) for n in SIZES for rest in itertools.product((1, 4, 5), repeat=rank - 1)]
    shapes = shapes[:: 1 if rank < 3 else 5] + [(n, *(3,) * (rank - 1)) for n in SIZES]
    for shape in shapes:
        u, v = rng.normal(size=shape), rng.normal(size=shape)
        found, back = f(u, v)
        np.testing.assert_allclose(found, neighbours_by_padding(u, boundary), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(np.sum(back * u), np.sum(v * neighbours_by_padding(u, boundary)), rtol=1e-10)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_of_updated_cores_at_every_size(rank):
    def loss(a, b):
        a, b = pb.fori_loop(0, 3, lambda _, ab: core(*ab), (a, b))
        return pb.sum(a**2) + pb.sum(pb.sin(b))

    f = pb.compile(pb.value_and_grad(loss, argnums=(0, 1)))
    for n in (0, *SIZES):
        shape = (n, 5, 4)[:rank] if n % 2 else (4, 5, n)[-rank:]
        a, b, v, w = (0.5 * rng.normal(size=shape) for _ in range(4))
        _, (grad_a, grad_b) = f(a, b)
        h = 1e-6
        slope = (f(a + h * v, b + h * w)[0] - f(a - h * v, b - h * w)[0]) / (2 * h)
        np.testing.assert_allclose(np.sum(grad_a * v) + np.sum(grad_b * w), slope, rtol=2e-6, atol=1e-7)


BITS = {
    "summed neighbours": lambda u: (pb.sum(neighbours(u, "mirror") ** 2, axis=-1), neighbours(u, "constant")),
    "sum of an adjoint": lambda u: pb.value_and_grad(lambda u: pb.sum(pb.exp(0.1 * neighbours(u, "nearest"))))(u),
    "updated core": lambda u: pb.vjp(lambda u: core(u, 2 * u), u)[1]((u, 3 * u)),
    "joined in the middle": lambda u: pb.sum(pb.concatenate([u, 2 * u[::-1]]) * pb.concatenate([u[1:], u, u[:1]])),
    "first elements": lambda u: pb.where(pb.arange(u.shape[-1]) > 4, u, pb.roll(u, 3, -1)),
}


@pytest.mark.parametrize("name", BITS)
def test_the_bits_are_those_of_the_text(name):
    for shape in ((41,), (5, 26)):
        job = job_of(BITS[name], [rng.normal(size=shape)])
        for a, b in zip(run_on_cpu(job), run_numba_text(job), strict=True):
            np.testing.assert_array_equal(a, b)


# ---- what is left -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_no_condition_is_left_in_the_interior(boundary):
    def loss(u):
        return pb.sum(pb.fori_loop(0, 3, lambda _, u: pb.tanh(neighbours(u, boundary)), u) ** 2)

    for shape in ((50,), (20, 30), (10, 12, 14)):
        program = pb.compile(pb.value_and_grad(loss)).lower(np.zeros(shape)).program
        found = [(loop, near) for loop, near in interiors(program) if conditional(loop)]
        assert len(found) >= 2
        for _, near in found:
            assert near is not None and not conditional(near.loop)


def test_no_condition_is_left_in_the_interior_of_an_updated_core():
    def loss(a, b):
        a, b = pb.fori_loop(0, 3, lambda _, ab: core(*ab), (a, b))
        return pb.sum(a**2) + pb.sum(pb.sin(b))

    for shape in ((50,), (20, 30), (10, 12, 14)):
        f = pb.compile(pb.value_and_grad(loss, argnums=(0, 1)))
        found = [(loop, near) for loop, near in interiors(f.lower(np.zeros(shape), np.zeros(shape)).program)
                 if conditional(loop)]
        assert found
        for _, near in found:
            assert near is not None and not conditional(near.loop)
            assert not [s for s in walk_stmts(near.loop.body) if isinstance(s, Let) and s.dtype == "bool"]


def test_rows_at_a_border_are_told_from_the_others_before_their_elements():
    program = pb.compile(lambda u: neighbours(u, "mirror")).lower(np.zeros((20, 30))).program
    (loop, near), = interiors(program)
    assert len(near.rows) == 2 and len(near.starts) == len(near.ends) == 1
    rows = {s.mask for s in walk_stmts(near.row.body) if isinstance(s, Load)}
    assert len(rows) < len({s.mask for s in walk_stmts(loop.body) if isinstance(s, Load)})


def test_masks_of_a_row_away_from_borders_are_those_of_its_ends():
    """A corner's mask is that of the row and that of the element; only the second is left."""
    def adjoint(u, g):
        return pb.vjp(lambda u: u[2:, 1:-1] + u[1:-1, 2:], u)[1](g)[0]

    program = pb.compile(adjoint).lower(np.zeros((20, 30)), np.zeros((18, 28))).program
    (loop, near), = interiors(program)
    within = {n for s in walk_stmts(loop.body) if isinstance(s, Let) for n in (s.name,)}
    for stmt in walk_stmts(near.row.body):
        if isinstance(stmt, Let) and stmt.dtype == "bool":
            assert all(a in within for a in stmt.args if isinstance(a, str) and a != loop.axes[-1].name)


def test_conditions_on_data_stay():
    def f(u, wet):
        return pb.where(wet, pb.shift(u, 1, 0, "nearest"), 0.0)

    (loop, near), = interiors(pb.compile(f).lower(np.zeros(30), np.zeros(30, bool)).program)
    assert near is not None
    assert [s.op for s in conditional(near.loop)] == ["where"] and len(conditional(loop)) > 2


def test_a_condition_on_two_indices_is_no_border():
    def upper(x):
        return pb.where(pb.arange(x.shape[0])[:, None] + pb.arange(x.shape[1]) > 7, x, 0.0)

    x = rng.normal(size=(9, 21))
    f = pb.compile(upper)
    np.testing.assert_array_equal(f(x), np.where(np.add.outer(np.arange(9), np.arange(21)) > 7, x, 0))
    assert all(near is None for _, near in interiors(f.lower(x).program))


def test_conditions_at_borders_do_not_count_as_work():
    """Where kernels are cut for threads depends on the interior: an adjoint of a stencil as on its value."""
    def work(function, *arrays):
        program = pb.compile(function).lower(*arrays).program
        kernel, = program.kernels()
        return evaluate(work_per_row(kernel), dict.fromkeys(program.sizes, 1000)) / 1000

    u = np.zeros((20, 30))
    value = work(lambda u: neighbours(u, "constant"), u)
    adjoint = work(lambda u, g: pb.vjp(lambda u: neighbours(u, "constant"), u)[1](g)[0], u, u)
    assert adjoint < 1.5 * value < 45


@pytest.mark.parametrize("n", (0, 1, 9, 40))
def test_a_gather_beside_another_array_is_checked_in_every_part_of_the_loop(n):
    """What checks an index is defined wherever the check stands, and goes where the index is not read."""
    x, table = rng.normal(size=n), rng.normal(size=(5, 5))

    def joined(x, table, places):
        return pb.sum(pb.tanh(pb.concatenate([x, pb.diagonal(table)[places], x])))

    places = rng.integers(-5, 5, 40)
    compiled = pb.compile(joined)
    expected = np.sum(np.tanh(np.concatenate([x, np.diagonal(table)[places], x])))
    np.testing.assert_allclose(compiled(x, table, places), expected, rtol=1e-13)
    for bad, value in itertools.product((0, 13, 39), (5, -6)):
        wrong = places.copy()
        wrong[bad] = value
        with pytest.raises(IndexError):
            compiled(x, table, wrong)


@pytest.mark.parametrize("n", (0, 1, 9, 40))
def test_a_diagonal_beside_another_array(n):
    x, table = rng.normal(size=n), rng.normal(size=(5, 4))
    compiled = pb.compile(lambda x, table: pb.sum(pb.tanh(pb.concatenate([x, pb.diagonal(table)]))))
    expected = np.sum(np.tanh(np.concatenate([x, np.diagonal(table)])))
    np.testing.assert_allclose(compiled(x, table), expected, rtol=1e-13)
