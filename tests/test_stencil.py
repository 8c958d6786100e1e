"""Shifts and stencils: values by scipy.ndimage and np.pad, adjoints, second order, sizes, kernels."""

import itertools
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from against_numpy import check, typed
from scipy import ndimage
from target_contract import assert_agree, expected, job_of, run_on_cpu

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

from emulator import run_program  # noqa: E402
from expressions import inputs_of  # noqa: E402

import pullback as pb  # noqa: E402
from pullback.codegen.llvm import write_llvm  # noqa: E402
from pullback.dsl import stencil  # noqa: E402

rng = np.random.default_rng(3)
PADDED = {"wrap": "wrap", "reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "constant": "constant"}
FIVE = {(0, 0): -4.0, (1, 0): 1.0, (-1, 0): 1.0, (0, 1): 1.0, (0, -1): 1.0}
NINE = {k: 1.0 + 3 * k[0] - k[1] * k[0] + k[1] for k in itertools.product((-1, 0, 1), repeat=2)}


def by_padding(u, offset, axis, boundary, value=0.0):
    """What shift means, by np.pad."""
    reach, n = abs(offset), u.shape[axis]
    widths = [(reach, reach) if i == axis else (0, 0) for i in range(u.ndim)]
    padded = np.pad(u, widths, PADDED[boundary], **({"constant_values": value} if boundary == "constant" else {}))
    return np.take(padded, range(reach + offset, reach + offset + n), axis)


def as_array(weights):
    kernel = np.zeros((3, 3))
    for (i, j), w in weights.items():
        kernel[i + 1, j + 1] = w
    return kernel


# ---- values -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("boundary", stencil.BOUNDARIES)
def test_a_shift_is_a_window_of_the_padded_array(boundary):
    for n, offset in itertools.product((1, 2, 5), (-11, -5, -4, -2, -1, 0, 1, 3, 4, 5, 9)):
        u = rng.normal(size=(n, 3))
        forms = ("static", "symbolic", "untyped", "declared") if abs(offset) == 4 else ("static",)
        check(lambda _, u, k=offset: stencil.shift(u, k, 0, boundary, 2.5), u,
              expected=lambda _, u, k=offset: by_padding(u, k, 0, boundary, 2.5), forms=forms)


@pytest.mark.parametrize("boundary", stencil.BOUNDARIES)
@pytest.mark.parametrize("weights", [FIVE, NINE], ids=["five", "nine"])
def test_a_stencil_is_a_correlation(boundary, weights):
    u = rng.normal(size=(6, 7))
    expected = ndimage.correlate(u, as_array(weights), mode=boundary, cval=1.5)
    check(lambda _, u: stencil.stencil(u, weights, boundary=boundary, value=1.5), u,
          expected=lambda _, u: expected, rtol=1e-11)
    compiled = pb.compile(lambda u: pb.stencil(u, weights, boundary=boundary, value=1.5))
    np.testing.assert_allclose(compiled(u), expected, atol=1e-12)
    np.testing.assert_allclose(compiled(u[:2, :2]),
                               ndimage.correlate(u[:2, :2], as_array(weights), mode=boundary, cval=1.5), atol=1e-12)


def test_boundaries_for_each_axis_and_side():
    u = rng.normal(size=(4, 5))
    got = np.asarray(pb.shift(u, (1, -2), (0, 1), ("wrap", ("nearest", "mirror"))))
    np.testing.assert_array_equal(got, by_padding(by_padding(u, 1, 0, "wrap"), -2, 1, "nearest"))
    got = np.asarray(pb.shift(u, (1, 2), (0, 1), ("reflect", ("nearest", "mirror"))))
    np.testing.assert_array_equal(got, by_padding(by_padding(u, 1, 0, "reflect"), 2, 1, "mirror"))
    left, right = (np.asarray(pb.shift(u, k, 1, ("constant", "nearest"), value=9.0)) for k in (-1, 1))
    assert (left[:, 0] == 9.0).all() and (right[:, -1] == u[:, -1]).all()


def test_weights_may_be_arrays_and_axes_any():
    u, w = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 1, 1))
    got = pb.compile(lambda u, w: pb.stencil(u, {-1: w, 2: 0.5}, axes=1, boundary=("mirror", "wrap")))(u, w)
    np.testing.assert_allclose(got, w * by_padding(u, -1, 1, "mirror") + 0.5 * by_padding(u, 2, 1, "wrap"), rtol=1e-13)


def test_what_does_not_fit_is_refused_with_words():
    u = typed("u", np.zeros((4, 5)))
    for wrong, words in (
        (lambda: stencil.shift(u, 1, 0, "periodic"), "write 'wrap', 'reflect'"),
        (lambda: stencil.shift(u, (1, 2), 0), r"shift\(u, \(1, -1\)"),
        (lambda: stencil.shift(u, 1, 2), "axis 2 does not exist"),
        (lambda: stencil.shift(u, 1, 0, "constant", np.zeros(2)), "one number"),
        (lambda: stencil.shift(u, (1, 1), (0, 1), ("wrap",)), "for each of 2 axes"),
        (lambda: stencil.stencil(u, [1, 2]), "a dict from offsets"),
        (lambda: stencil.stencil(u, {(0, 1): 1.0, 1: 2.0}), "has 2 integers"),
    ):
        with pytest.raises(pb.ShapeError, match=words):
            wrong()


# ---- derivatives ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("boundary", stencil.BOUNDARIES)
@pytest.mark.parametrize("shape", [(9, 8), (2, 3)])
def test_the_adjoint_is_the_transpose(boundary, shape):
    u, v, g = (rng.normal(size=shape) for _ in range(3))

    def step(u):
        far = pb.shift(u, (3, -2), (0, 1), boundary, 0.7)          # beyond the small array
        return pb.stencil(u, NINE, boundary=boundary, value=0.7) + far

    def both(u, v, g):
        return pb.jvp(step, (u,), (v,))[1], pb.vjp(step, u)[1](g)

    along, back = pb.compile(both)(u, v, g)
    back = back[0] if isinstance(back, tuple) else back
    np.testing.assert_allclose(np.sum(along * g), np.sum(v * back), rtol=1e-12)


@pytest.mark.parametrize("boundary", stencil.BOUNDARIES)
def test_a_sweep_of_steps_has_a_gradient_of_second_order(boundary):
    """The remainder of Taylor's formula falls as the square of the distance: so near that the third order is small."""
    u, v = rng.normal(size=(6, 7)), rng.normal(size=(6, 7))

    def loss(u):
        def step(_, u):
            return u + 0.05 * pb.stencil(u, FIVE, boundary=boundary, value=0.3) - 0.02 * u**3

        return pb.sum(pb.fori_loop(0, 5, step, u) ** 3)

    compiled = pb.compile(pb.value_and_grad(loss))
    value, gradient = compiled(u)
    rest = [compiled(u + h * v)[0] - value - h * np.sum(gradient * v) for h in (1e-3, 1e-4)]
    assert 90 < rest[0] / rest[1] < 110


# ---- plans ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("boundary", stencil.BOUNDARIES)
def test_a_laplacian_and_its_adjoint_are_one_kernel_each_and_store_nothing_else(boundary):
    def laplacian(u):
        return pb.stencil(u, FIVE, boundary=boundary)

    def adjoint(u, g):
        return pb.vjp(laplacian, u)[1](g)

    u = rng.normal(size=(20, 30))
    for f, arrays in ((laplacian, [u]), (adjoint, [u, u])):
        program = pb.compile(f).lower(*arrays).program
        assert len(program.steps) == 1
        assert not [b for b in program.buffers.values() if b.kind == "temp"]


@pytest.mark.parametrize(("boundary", "axis", "elsewhere"), [
    ("reflect", 0, True), ("reflect", 1, True), ("wrap", 0, True), ("wrap", 1, True), ("constant", 1, False)])
def test_a_border_that_is_not_read_has_an_address_in_memory(boundary, axis, elsewhere):
    """A masked load that reads nothing takes a hundred times as long where no memory is."""
    program = pb.compile(lambda u: pb.shift(u, 1, axis, boundary)).lower(np.zeros((20, 30))).program
    text = write_llvm(program)
    assert "llvm.masked.load" in text and (re.search("select i1 .*ptr %spare", text) is not None) == elsewhere


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
def test_a_time_loop_and_its_gradient_as_cuda_text():
    def loss(u):
        step = pb.fori_loop(0, 3, lambda _, u: u + 0.1 * pb.stencil(u, FIVE, boundary=("mirror", "wrap")) - u**3, u)
        return pb.sum(step**2)

    job = job_of(lambda u: pb.value_and_grad(loss)(u), [0.5 * rng.normal(size=(6, 9))])
    graph, program, arrays = job
    assert_agree(run_on_cpu(job), expected(job))
    assert_agree(run_program(program, *inputs_of(graph, arrays)), expected(job))


@pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")
def test_half_steps_on_two_fields_and_their_gradient_as_cuda_text():
    """The cotangent of a field is computed, read by the other's, and its core set to 0, all in one buffer."""
    inside = (slice(1, -1), slice(1, -1))

    def average(u):
        return 0.2 * (u[1:-1, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] + u[2:, 1:-1] + u[:-2, 1:-1])

    def loss(a, b):
        def step(_, ab):
            a, b = ab
            b = b.at[inside].set(average(a))
            return a.at[inside].set(average(b) * b[1:-1, 2:]), b

        a, b = pb.fori_loop(0, 3, step, (a, b))
        return pb.sum(a**2) + pb.sum(pb.sin(b))

    arrays = [rng.normal(size=(6, 9)), rng.normal(size=(6, 9))]
    job = job_of(lambda a, b: pb.value_and_grad(loss, argnums=(0, 1))(a, b), arrays)
    graph, program, arrays = job
    assert_agree(run_on_cpu(job), expected(job))
    assert_agree(run_program(program, *inputs_of(graph, arrays)), expected(job))
