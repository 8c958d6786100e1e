"""What a Hessian-vector product costs beside the gradient: at most four times its operations and its memory traffic."""

import numpy as np
import pytest

import pullback as pb

rng = np.random.default_rng(4)


def rosenbrock(x):
    return pb.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


POINTS, K, D = rng.normal(size=(60, 3)), 4, 3
LOWER = np.tril(np.ones((D, D)), -1)


def mixture(weights, means, factors):
    """The log-likelihood of a mixture of K Gaussians with inverse covariances Q.T @ Q, Q lower triangular."""
    diagonal, below = factors[:, :D], factors[:, D:].reshape(K, D, D) * LOWER
    apart = POINTS[:, None, :] - means
    moved = pb.exp(diagonal) * apart + pb.einsum("kij,nkj->nki", below, apart)
    each = weights + pb.sum(diagonal, axis=1) - 0.5 * pb.sum(moved**2, axis=-1)
    return pb.sum(pb.logsumexp(each, axis=1)) - len(POINTS) * pb.logsumexp(weights)


CASES = {
    "rosenbrock": (rosenbrock, (rng.normal(size=300),)),
    "mixture": (mixture, (rng.normal(size=K), rng.normal(size=(K, D)), 0.1 * rng.normal(size=(K, D + D * D)))),
}


@pytest.mark.parametrize("name", CASES)
def test_at_most_four_gradients(name):
    f, args = CASES[name]
    places = tuple(range(len(args)))
    gradient = pb.compile(lambda *a: pb.grad(f, argnums=places)(*a)).lower(*args).cost()
    product = pb.compile(lambda a, v: pb.hvp(f, a, v)).lower(args, args).cost()
    assert product["flops"] <= 4 * gradient["flops"]
    assert product["bytes"] <= 4 * gradient["bytes"]


@pytest.mark.parametrize("name", CASES)
def test_against_differences_of_the_gradient(name):
    f, args = CASES[name]
    along = tuple(rng.normal(size=a.shape) for a in args)
    gradient = pb.grad(f, argnums=tuple(range(len(args))))
    h = 1e-5
    ahead, behind = (gradient(*(a + s * h * v for a, v in zip(args, along, strict=True))) for s in (1, -1))
    found = pb.hvp(f, args, along)
    for product, up, down in zip(found if len(args) > 1 else [found], ahead, behind, strict=True):
        np.testing.assert_allclose(product, (up - down) / (2 * h), rtol=2e-6, atol=1e-5)
