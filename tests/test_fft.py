"""Fourier transforms: values against NumPy, exact transposes in both modes, programs that use them, every target."""

import sys
from pathlib import Path

import numpy as np
import pytest
from target_contract import CpuContract, CpuTextContract, CudaTextContract

sys.path.insert(0, str(Path(__file__).parent / "emulator"))

import stand_in  # noqa: E402

import pullback as pb  # noqa: E402

F = pb.fft
R = np.random.default_rng(3)
X = R.normal(size=(4, 5, 6))
Z = X + 1j * R.normal(size=X.shape)


def pair_up(a, b):
    """The real pairing of a cotangent with a tangent."""
    return np.sum(a * b).real


def check_transposes(f, x):
    """f is linear: its tangent is f itself, and <g, f(v)> = <f'(g), v> to rounding."""
    v = R.normal(size=x.shape) + (1j * R.normal(size=x.shape) if x.dtype.kind == "c" else 0)
    y, along = pb.jvp(f, (x,), (v,))
    g = R.normal(size=y.shape) + (1j * R.normal(size=y.shape) if y.dtype.kind == "c" else 0)
    np.testing.assert_allclose(along, pb.compile(f)(v), rtol=1e-12, atol=1e-12)
    pulled, = pb.vjp(f, x)[1](g)
    assert pair_up(g, along) == pytest.approx(pair_up(pulled, v), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_axis(name, axis):
    a = X if name == "rfft" else Z
    for options in ({}, {"norm": "ortho"}, {"norm": "forward"}, {"n": 3}, {"n": 4, "norm": "ortho"}, {"n": 9}):
        def f(a, xp=F, options=options):
            return getattr(xp, name)(a, axis=axis, **options)

        wanted, found = f(a, np.fft), pb.compile(f)(a)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
        check_transposes(f, a)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"])
def test_several_axes(name):
    a = X if name.startswith("rfft") else Z
    cases = [{}, {"norm": "ortho"}, {"axes": (0, 2)}, {"axes": (1, 0), "norm": "forward"}, {"axes": (0, 1)},
             {"s": (3, 7), "axes": (0, 1)}, {"s": (7, 4), "axes": (2, 1)}]
    for options in cases:
        def f(a, xp=F, options=options):
            return getattr(xp, name)(a, **options)

        wanted, found = f(a, np.fft), pb.compile(f)(a)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14, err_msg=str(options))
        check_transposes(f, a)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8])
def test_doubled_frequencies_of_even_and_odd_lengths(n):
    """Jacobians against the matrices of NumPy's transforms."""
    x = R.normal(size=n)
    matrix = np.fft.rfft(np.eye(n), axis=0)
    np.testing.assert_allclose(pb.jacfwd(F.rfft)(x), matrix, atol=1e-13)
    np.testing.assert_allclose(pb.jacrev(lambda x: pb.real(F.rfft(x)))(x), matrix.real, atol=1e-13)
    np.testing.assert_allclose(pb.jacrev(lambda x: pb.imag(F.rfft(x)))(x), matrix.imag, atol=1e-13)
    z = np.fft.rfft(x)
    columns = [np.fft.irfft(unit, n) - 1j * np.fft.irfft(1j * unit, n) for unit in np.eye(len(z), dtype=complex)]
    np.testing.assert_allclose(pb.jacrev(lambda z: F.irfft(z, n))(z), np.transpose(columns), atol=1e-13)


def test_single_precision_and_integers():
    for name, a in (("fft", Z), ("ifft2", Z), ("rfft", X), ("irfft", Z), ("rfftn", X)):
        single = a.astype(np.complex64 if a.dtype.kind == "c" else np.float32)
        found = pb.compile(lambda a, name=name: getattr(F, name)(a))(single)
        wanted = getattr(np.fft, name)(a)
        assert found.dtype == (np.float32 if wanted.dtype.kind == "f" else np.complex64)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pb.compile(F.fft)(np.arange(6)), np.fft.fft(np.arange(6)), atol=1e-14)


def test_frequencies_and_shifts():
    for n in (1, 2, 5, 8):
        np.testing.assert_allclose(F.fftfreq(n, 0.1).eval(), np.fft.fftfreq(n, 0.1), rtol=1e-15)
        np.testing.assert_allclose(F.rfftfreq(n, 0.1).eval(), np.fft.rfftfreq(n, 0.1), rtol=1e-15)
    for axes in (None, 0, (0, 2), -1):
        shifted = pb.compile(lambda x, axes=axes: (F.fftshift(x, axes), F.ifftshift(x, axes)))(X)
        np.testing.assert_array_equal(shifted[0], np.fft.fftshift(X, axes))
        np.testing.assert_array_equal(shifted[1], np.fft.ifftshift(X, axes))
    sizes = pb.compile(lambda x: F.fftfreq(x.shape[0], d=0.5) * x)
    for n in (3, 8):
        np.testing.assert_allclose(sizes(np.ones(n)), np.fft.fftfreq(n, 0.5))


def test_one_compilation_serves_every_size():
    f = pb.compile(lambda x: F.irfft(F.rfft(x) * 2, x.shape[-1]))
    for n in (2, 7, 64, 101):
        x = R.normal(size=n)
        np.testing.assert_allclose(f(x), 2 * x, atol=1e-13)
    assert len(f.log) == 1


def test_layouts_batches_and_no_arrays():
    f = pb.compile(lambda z: F.fft(z))
    for z in (Z[:, ::2], Z.T, Z[:0], Z[0, 0], Z.astype(">c16")):
        np.testing.assert_allclose(f(z), np.fft.fft(z), atol=1e-13)
    np.testing.assert_allclose(pb.vmap(F.rfft2)(X), np.fft.rfft2(X), atol=1e-13)
    np.testing.assert_allclose(pb.vmap(F.fft, in_axes=1)(Z), np.fft.fft(np.moveaxis(Z, 1, 0)), atol=1e-13)


def test_numpys_functions_on_expressions():
    x = pb.Var("x")
    y = np.fft.irfft(np.fft.rfft(x) * 2)
    assert repr(y) == "irfft(rfft(x)*2)"
    np.testing.assert_allclose(pb.compile(y)(x=X[0, 0]), 2 * X[0, 0], atol=1e-13)


def test_derivatives_of_higher_order():
    pb.check_grads(lambda x: pb.sum(abs(F.rfft(pb.sin(x))) ** 2), (X[0, 0],), order=2)
    pb.check_grads(lambda z: F.ifft(pb.exp(F.fft(z) * 0.1)), (Z[0, 0],), order=2)


def test_variables_may_be_called_like_routines():
    fft, put = pb.Var("fft"), pb.Var("put")
    f = pb.compile(F.ifft(F.fft(fft) * put))
    wanted = np.fft.ifft(np.fft.fft(Z[0, 0]) * X[0, 0])
    np.testing.assert_allclose(f(fft=Z[0, 0], put=X[0, 0]), wanted, atol=1e-13)
    names = {}
    exec(f.source("cpu"), names)
    np.testing.assert_allclose(names["program"](Z[0, 0], X[0, 0]), wanted, atol=1e-13)


# ---- programs ---------------------------------------------------------------------------------------------------
def test_spectral_derivative():
    n = 64
    t = 2 * np.pi * np.arange(n) / n

    def derivative(u):
        k = F.rfftfreq(u.shape[0], 1 / u.shape[0])
        return F.irfft(1j * k * F.rfft(u), u.shape[0])

    np.testing.assert_allclose(pb.compile(derivative)(np.exp(np.sin(t))), np.cos(t) * np.exp(np.sin(t)), atol=1e-12)


def test_poisson_equation():
    n = 32
    x, y = np.meshgrid(*(2 * np.pi * np.arange(n) / n,) * 2, indexing="ij")
    exact = np.sin(x) * np.cos(3 * y)

    def solve(f):
        k = F.fftfreq(n, 1 / n)
        square = k[:, None] ** 2 + k ** 2
        return pb.real(F.ifft2(pb.where(square == 0, 0, F.fft2(f) / pb.where(square == 0, 1, -square))))

    np.testing.assert_allclose(pb.compile(solve)(-10 * exact), exact, atol=1e-13)
    check_transposes(solve, exact)


def split_step(psi, potential, k, dt, steps):
    """Strang splitting of i dpsi/dt = -psi''/2 + V psi."""
    kick, drift = pb.exp(-0.5j * dt * potential), pb.exp(-0.5j * dt * k ** 2)

    def step(state, _):
        state = F.ifft(drift * F.fft(kick * state)) * kick
        return state, pb.sum(abs(state) ** 2)

    return pb.scan(step, psi, None, length=steps)


def test_schroedinger_equation_and_its_gradient():
    """The norm is kept, a coherent state swings as it must, and the gradient with respect to V is right."""
    n, width, steps = 128, 20.0, 200
    x = (np.arange(n) - n // 2) * width / n
    k = 2 * np.pi * np.fft.fftfreq(n, width / n)
    start = (np.exp(-((x - 1.5) ** 2) / 2) / np.pi ** 0.25).astype(complex)
    dt = np.pi / steps
    run = pb.compile(lambda psi, v: split_step(psi, v, k, dt, steps))
    last, norms = run(start, x ** 2 / 2)
    np.testing.assert_allclose(norms, norms[0], rtol=1e-12)
    position = np.sum(x * abs(last) ** 2) / np.sum(abs(last) ** 2)
    assert position == pytest.approx(-1.5, abs=1e-3)

    def mean_position(v):
        last, _ = split_step(pb.asarray(start), v, k, dt * 10, 20)
        return pb.sum(pb.asarray(x) * abs(last) ** 2)

    v = x ** 2 / 2
    slope, direction = pb.grad(mean_position)(v), np.exp(-((x - 0.3) ** 2))
    value = pb.compile(mean_position)
    numeric = (value(v + 1e-5 * direction) - value(v - 1e-5 * direction)) / 2e-5
    assert slope @ direction == pytest.approx(numeric, rel=1e-7)


def test_power_spectrum_loss():
    """The gradient of a spectral loss against NumPy: 4 n irfft(weights * (p - target) * spectrum) by hand."""
    n = 9
    x, target = R.normal(size=n), R.uniform(size=n // 2 + 1)
    slope = pb.grad(lambda x: pb.sum((abs(F.rfft(x)) ** 2 - target) ** 2))(x)
    spectrum = np.fft.rfft(x)
    residual = 2 * (abs(spectrum) ** 2 - target)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(n // 2 + 1), np.arange(n)) / n)
    np.testing.assert_allclose(slope, (residual[:, None] * 2 * (spectrum.conj()[:, None] * wave).real).sum(axis=0))


# ---- refusals ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("function, error, words", [
    (lambda x: F.fft(x, 0), pb.ShapeError, "at least 1 element"),
    (lambda x: F.fft(x, -3), pb.ShapeError, "negative"),
    (lambda x: F.fft(x[:, :, :0]), pb.ShapeError, "at least 1 element"),
    (lambda x: F.rfft(x * 1j), pb.DTypeError, "use fft"),
    (lambda x: F.rfft2(x * 1j), pb.DTypeError, "use fft2"),
    (lambda x: F.irfft(x[..., :1]), pb.ShapeError, "at least 1 element"),
    (lambda x: F.fft(x, axis=3), pb.ShapeError, "does not exist"),
    (lambda x: F.fft2(x, axes=(0, 0)), pb.ShapeError, "twice"),
    (lambda x: F.fftn(x, s=(2, 2), axes=(0,)), pb.ShapeError, "one length for each axis"),
    (lambda x: F.fft(x, norm="unitary"), pb.ShapeError, "'ortho'"),
    (lambda x: F.fft(x[0, 0, 0]), pb.ShapeError, "does not exist|no axes"),
    (lambda x: F.fftfreq(0), pb.ShapeError, "at least 1 element"),
])
def test_refused(function, error, words):
    with pytest.raises(error, match=words):
        pb.compile(function)(X)


def test_cuda_calls_take_and_give_complex_arrays(monkeypatch):
    """The calls of the CUDA target on a stand-in for CuPy that runs the emulator."""
    stand_in.install(monkeypatch)
    f = pb.compile(lambda z: (F.fft(z * 2), z, z.real, Z[0, 0] * z), device="cuda")
    for found, wanted in zip(f(Z[0, 0]), (np.fft.fft(Z[0, 0] * 2), Z[0, 0], X[0, 0], Z[0, 0] ** 2), strict=True):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(np.asarray(found), wanted, atol=1e-13)


# ---- targets ----------------------------------------------------------------------------------------------------
def turned(z):
    return pb.fori_loop(0, 3, lambda i, s: F.ifft(F.fft(s) * pb.exp(-0.1j * i)) + z, z)


CASES = {
    "there and back": (lambda z: F.ifft(F.fft(z) * 2j), [Z]),
    "real": (lambda x: (F.rfft(x, axis=0), F.irfft(F.rfft2(x), 7)), [X]),
    "single": (lambda z: F.fft2(z * 2) + 1, [Z.astype(np.complex64)]),
    "input and output": (lambda z: (F.fftn(z), z), [Z]),
    "loop": (turned, [Z[0]]),
    "gradient": (lambda x: pb.grad(lambda x: pb.sum(abs(F.rfft(x)) ** 2))(x), [X[0]]),
}


class TestCpu(CpuContract):
    cases = CASES


class TestCpuText(CpuTextContract):
    cases = {name: CASES[name] for name in ("there and back", "real")}


class TestCudaText(CudaTextContract):
    cases = CASES
