"""scipy_objective, torch_function, jax_function, distributed and profile, each against the neighbour itself."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess_prod

import pullback as pb


def rosenbrock(x):
    return pb.sum(100.0 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)


# ---- scipy ------------------------------------------------------------------------------------------------------
def test_scipy_objective_is_value_gradient_and_hessian_product():
    x, v = np.random.default_rng(0).uniform(-1, 1, (2, 6))
    objective = pb.scipy_objective(rosenbrock)
    value, gradient = objective(x)
    assert type(value) is float and gradient.dtype == np.float64
    np.testing.assert_allclose(value, rosen(x), rtol=1e-13)
    np.testing.assert_allclose(gradient, rosen_der(x), rtol=1e-12)
    np.testing.assert_allclose(objective.hessp(x, v), rosen_hess_prod(x, v), rtol=1e-11)
    for method, extra in (("L-BFGS-B", {}), ("Newton-CG", {"hessp": objective.hessp})):
        found = minimize(objective, np.zeros(6), jac=True, method=method, tol=1e-10, **extra)
        np.testing.assert_allclose(found.x, np.ones(6), atol=1e-4)


@dataclasses.dataclass
class Line:
    slope: object
    shifts: object


def test_scipy_objective_of_a_nest_with_further_arguments():
    def loss(line, t, y):
        return pb.sum((line.slope * t + line.shifts - y)**2)

    start = Line(np.float32(0.5), np.zeros((2, 1)))
    t, y = np.arange(4.0), np.array([[1.0, 3, 5, 7], [0, 2, 4, 6]])
    objective = pb.scipy_objective(loss, like=start)
    x0 = objective.flatten(start)
    found = objective.unflatten(minimize(objective, x0, args=(t, y), jac=True, tol=1e-9).x)
    assert isinstance(found, Line) and found.shifts.shape == (2, 1) and found.slope.dtype == np.float32
    np.testing.assert_allclose([float(found.slope), *found.shifts.ravel()], [2, 1, 0], atol=1e-3)
    with pytest.raises(pb.ShapeError, match="3 elements"):
        objective(np.zeros(4), t, y)
    with pytest.raises(pb.DTypeError, match="shifts"):
        pb.scipy_objective(loss, like=Line(0.5, np.arange(3)))
    with pytest.raises(pb.PullbackError, match="built as"):
        objective.flatten((1.0, 2.0))


def test_scipy_objective_of_an_expression():
    a, b = pb.Var("a"), pb.Var("b")
    expression = (a - 3)**2 + (b - a)**2
    for f in (expression, pb.compile(expression)):
        objective = pb.scipy_objective(f, like={"a": 0.0, "b": 0.0})
        np.testing.assert_allclose(minimize(objective, np.zeros(2), jac=True).x, [3, 3], atol=1e-5)


# ---- torch ------------------------------------------------------------------------------------------------------
def model(p, x, k):
    h = pb.tanh(x @ p["w"] + p["b"])
    return {"loss": pb.sum(h * h) * k, "first": h[0], "count": pb.sum(h > 0)}


def test_torch_function():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    w, b, x = (torch.tensor(rng.standard_normal(s), requires_grad=True) for s in ((3, 2), (2,), (4, 3)))
    out = pb.torch_function(model)({"w": w, "b": b}, x, 2.0)
    h = torch.tanh(x @ w + b)
    loss = (h * h).sum() * 2.0
    torch.testing.assert_close(out["loss"], loss)
    assert int(out["count"]) == int((h > 0).sum()) and not out["count"].requires_grad
    ours = torch.autograd.grad(out["loss"] + out["first"].sum(), (w, b, x), create_graph=True)
    theirs = torch.autograd.grad(loss + h[0].sum(), (w, b, x), create_graph=True)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    ours = torch.autograd.grad(sum((g**2).sum() for g in ours), (w, b, x))
    theirs = torch.autograd.grad(sum((g**2).sum() for g in theirs), (w, b, x))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_torch_function_of_complex_tensors_follows_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    z = torch.tensor(rng.standard_normal(3) + 1j * rng.standard_normal(3), requires_grad=True)
    ours = pb.torch_function(lambda z: pb.sum(pb.abs(z * z + 1.0)))(z)
    torch.testing.assert_close(torch.autograd.grad(ours, z), torch.autograd.grad((z * z + 1.0).abs().sum(), z))


def test_torch_function_keeps_dtypes_and_reads_strides():
    torch = pytest.importorskip("torch")
    x = torch.arange(12.0, dtype=torch.float32).reshape(3, 4).T.requires_grad_()
    y = pb.torch_function(lambda x: pb.sum(x * x, axis=0))(x)
    y.sum().backward()
    assert y.dtype == torch.float32 and x.grad.dtype == torch.float32
    torch.testing.assert_close(x.grad, 2 * x.detach())


# ---- jax --------------------------------------------------------------------------------------------------------
def test_jax_function():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    rng = np.random.default_rng(3)
    p = {"w": jnp.asarray(rng.standard_normal((3, 2)), "float32"), "b": jnp.zeros(2, "float32")}
    x = jnp.asarray(rng.standard_normal((4, 3)), "float32")
    ours = pb.jax_function(model)

    def theirs(p, x, k):
        h = jnp.tanh(x @ p["w"] + p["b"])
        return {"loss": jnp.sum(h * h) * k, "first": h[0]}

    def total(f):
        return lambda p, x: f(p, x, 2.0)["loss"] + f(p, x, 2.0)["first"].sum()

    np.testing.assert_allclose(jax.jit(total(ours))(p, x), total(theirs)(p, x), rtol=1e-5)
    got, want = jax.jit(jax.grad(total(ours)))(p, x), jax.grad(total(theirs))(p, x)
    for name in p:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5)
    second = [jax.grad(lambda x, f=f: jnp.sum(jax.grad(total(f), argnums=1)(p, x)**2))(x) for f in (ours, theirs)]
    np.testing.assert_allclose(*second, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(jax.vmap(pb.jax_function(lambda v: pb.sum(v * v)))(x), (x * x).sum(1), rtol=1e-5)


# ---- dask -------------------------------------------------------------------------------------------------------
def residuals(p, x, y):
    return x @ p["w"] + p["b"] - y


def loss(p, x, y):
    return pb.sum(residuals(p, x, y)**2)


def test_distributed_sums_gradients_of_shared_parameters():
    array = pytest.importorskip("dask.array")
    rng = np.random.default_rng(4)
    x, y, p = rng.random((10, 3)), rng.random(10), {"w": rng.random(3), "b": 0.5}
    cut = array.from_array(x, chunks=(4, 3)), array.from_array(y, chunks=4)
    f = pb.distributed(loss)
    value, gradient = f.value_and_grad(p, *cut)
    expected = 2 * residuals(p, x, y)
    np.testing.assert_allclose(value.compute(), loss(p, x, y), rtol=1e-13)
    np.testing.assert_allclose(gradient["w"].compute(), expected @ x, rtol=1e-12)
    np.testing.assert_allclose(f.grad(p, *cut)["b"].compute(scheduler="synchronous"), expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(f(p, *cut).compute(), loss(p, x, y), rtol=1e-13)
    along = pb.distributed(residuals)(p, *cut)
    assert along.shape == (10,) and along.chunks == ((4, 4, 2),)
    np.testing.assert_allclose(along.compute(), residuals(p, x, y), rtol=1e-13)
    with pytest.raises(pb.ShapeError, match="cut differently"):
        f(p, cut[0], array.from_array(y, chunks=5))
    with pytest.raises(pb.PullbackError, match="cut in blocks"):
        f.grad(p, *cut, argnums=1)
    with pytest.raises(pb.PullbackError, match="none of the arguments"):
        f(p, x, y)


def test_distributed_in_other_processes():
    array = pytest.importorskip("dask.array")
    x = array.from_array(np.arange(8.0).reshape(8, 1), chunks=(2, 1))
    y = array.from_array(np.zeros(8), chunks=2)
    value = pb.distributed(loss)({"w": np.array([2.0]), "b": 1.0}, x, y)
    np.testing.assert_allclose(value.compute(scheduler="processes", num_workers=2),
                               np.sum((2 * np.arange(8.0) + 1)**2))


# ---- absent -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, module", [("torch_function", "torch"), ("jax_function", "jax"),
                                          ("distributed", "dask")])
def test_what_is_not_installed_is_named_in_one_line(name, module):
    code = (f"import sys; sys.modules[{module!r}] = None\nimport pullback as pb\n"
            f"try:\n    pb.{name}(lambda x: x)\nexcept pb.PullbackError as e:\n    print(e)")
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install" in printed and printed.count("\n") == 1


# ---- profile ----------------------------------------------------------------------------------------------------
def test_profile_counts_calls_and_compilations():
    def f(x):
        return pb.sum(pb.sin(x))

    first, second = pb.compile(f), pb.compile(lambda x: x * 2)
    first(np.ones(3))
    with pb.profile() as p:
        for _ in range(4):
            first(np.ones(3))
        second(np.ones(3)), second(np.ones((3, 3))), second(np.ones(4))
        with pytest.raises(TypeError):
            second(1, 2, 3)
    first(np.ones(3))
    a, b = p.records
    assert (a.name, a.calls, a.compilations, len(a.runs)) == ("f", 4, 0, 4)
    assert (b.calls, b.compilations, len(b.runs)) == (4, 2, 2) and 0 < b.compiling <= b.seconds <= p.seconds
    assert "f " in str(p) and "in compiled programs" in str(p)
    with pb.profile() as q:
        pass
    assert q.records == []


def test_profile_tells_what_kernels_move():
    f = pb.compile(lambda x, y: (pb.cumsum(x), pb.sum(x) * y))
    with pb.profile() as p:
        f(np.ones(1000), np.ones(10))
    (record,) = p.records
    shares = record.kernels()
    assert len(shares) > 1 and sum(shares.values()) == pytest.approx(1.0) and "%" in str(p)
