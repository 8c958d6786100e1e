"""Every structural operation, routine and form of control flow is closed under both modes to third order, through loops
too; in machine code for some.
"""

from __future__ import annotations

import numpy as np
import pytest
from closure import MODES, assert_closed, evaluated, third, through_fori, through_scan

import pullback as pb
from pullback.dsl.node import make

la = pb.linalg
EYE, PLACES = np.eye(3), np.array([0, 2, 2])


@pb.custom_jvp
def own_rule(x):
    return pb.sin(x) * x


own_rule.defjvp(lambda primals, tangents: (own_rule(primals[0]), (
    pb.cos(primals[0]) * primals[0] + pb.sin(primals[0])) * tangents[0]))


def of_svd(x):
    """What the signs of vectors leave as it is."""
    u, s, vh = la.svd(x + 3 * EYE * np.arange(1, 4))
    return u[:, :1] * vh[:1] * s


def of_eigh(x):
    w, v = la.eigh(x + 3 * EYE * np.arange(1, 4))
    return v * v * w


def steps(x):
    return pb.while_loop(lambda c: c[1] < 2, lambda c: (pb.sin(c[0]) * x, c[1] + 1), (x, 0), max_steps=3)[0]


def solution(x):
    """y of y = cos(y) x / 3."""
    return pb.fixed_point(lambda y, x: pb.cos(y) * x / 3, x, x, tol=1e-14)


STRUCTURE = {
    "broadcast": lambda x: x * x[0] + pb.exp(x[:, :1]) * x,
    "reshape": lambda x: x * pb.reshape(x * x, (9,))[::-1].reshape(3, 3),
    "transpose": lambda x: x.T * x * x,
    "slice": lambda x: x[::-1] * x[:, ::-1] * x,
    "place": lambda x: pb.pad(x[1:] * x[:2], ((1, 0), (0, 0))) * x + x,
    "concat": lambda x: pb.concatenate([x[1:] * x[:2], x[:1] ** 3]),
    "set": lambda x: x.at[1].set(x[0] * x[2] * x[0]),
    "add": lambda x: x.at[:, 1].add(x[0] * x[2] * x[0]),
    "multiply": lambda x: x.at[1].multiply(x[0] * x[2]),
    "gather": lambda x: x[PLACES] * x * x[PLACES, PLACES],
    "scatter": lambda x: x.at[PLACES].add(x * x * x),
    "scatter of the last": lambda x: x.at[PLACES].set(x * x * x),
    "scatter of products": lambda x: x.at[PLACES].multiply(x * x),
    "sum": lambda x: x * pb.sum(x * x, axis=0),
    "product": lambda x: x * pb.prod(x, axis=1),
    "maximum": lambda x: pb.max(x + 9 * EYE, axis=0) ** 3 * x / 999,
    "contract": lambda x: x @ x @ x,
    "einsum": lambda x: pb.einsum("ij,jk,ki->ik", x, x, x),
    "cumsum": lambda x: pb.cumsum(x * x * x, axis=0),
    "cumprod": lambda x: pb.cumprod(x, axis=1),
    "logsumexp": lambda x: pb.logsumexp(3 * x, axis=0) * x,
    "softmax": lambda x: pb.softmax(3 * x, axis=1) * x,
    "where": lambda x: pb.where(EYE > 0, x * x * x, pb.exp(x)),
    "cast": lambda x: pb.astype(pb.sin(x), "float64") * pb.astype(EYE, "int64") * x * x,
    "complex": lambda x: pb.real(pb.exp(1j * x) * pb.conj(x * (1 + 2j)) / (2 + 1j * x)),
    "modulus": lambda x: abs(x + 1j) * pb.imag(1j * x) ** 2,
    "fft": lambda x: pb.real(pb.fft.ifft(pb.fft.fft(x) ** 3)),
    "rfft": lambda x: pb.fft.irfft(pb.fft.rfft(x) ** 3, 3),
    "neighbours": lambda x: pb.shift(x, 1, 0, boundary="reflect") * x * pb.roll(x, 1, 1),
    "norm": lambda x: x * la.norm(x),
    "solve": lambda x: la.solve(x + 3 * EYE, x),
    "inv": lambda x: la.inv(x + 3 * EYE),
    "det": lambda x: x * la.det(x + EYE),
    "slogdet": lambda x: x * la.slogdet(x + 3 * EYE)[1],
    "cholesky": lambda x: la.cholesky(x @ x.T + EYE),
    "qr": lambda x: la.qr(x + 3 * EYE)[1],
    "eigh": of_eigh,
    "svd": of_svd,
    "expm": lambda x: la.expm(x / 2),
    "pinv": lambda x: EYE[:, :2] @ la.pinv(x[:, :2] + EYE[:, :2]) @ x,
    "triangular": lambda x: la.solve_triangular(x + 3 * EYE, x, lower=True),
    "tridiagonal": lambda x: la.tridiagonal_solve(x[0], x[1] + 3, x[2], x.T).T,
    "loop": lambda x: pb.fori_loop(0, 2, lambda i, c: pb.sin(c) * x, x),
    "while": steps,
    "scan": lambda x: pb.scan(lambda c, y: (c * y, c + y), x[0], x)[1] * x,
    "associative scan": lambda x: pb.associative_scan(lambda a, b: a * b + a, x),
    "branch": lambda x: pb.cond(x[0, 0] < 9, lambda y: y * y * y, pb.exp, x),
    "switch": lambda x: pb.switch(1, [pb.exp, lambda y: y**3], x),
    "lanes": lambda x: pb.vmap(lambda r: r * pb.sum(r * r))(x),
    "checkpoint": pb.checkpoint(lambda x: pb.sin(x) * x * x),
    "own rule": own_rule,
    "implicit": solution,
}
THROUGH_SCAN = {"gather", "set", "contract", "cumprod", "scan", "branch", "where", "scatter"}


@pytest.mark.parametrize("name", STRUCTURE)
def test_structure(name):
    x = np.random.default_rng(0).uniform(0.2, 0.9, size=(3, 3))
    tolerance = 1e-8 if name in ("svd", "eigh", "implicit") else 1e-10      # differences of values close to each other
    assert_closed(through_fori(STRUCTURE[name]), x, tolerance)
    if name in THROUGH_SCAN:
        assert_closed(through_scan(STRUCTURE[name]), x, tolerance)


@pytest.mark.parametrize("name", ["set", "contract", "where", "scatter"])
def test_machine_code_of_third_derivatives(name):
    x = np.random.default_rng(0).uniform(0.2, 0.9, size=(3, 3))
    direction = np.random.default_rng(3).normal(size=x.shape)
    functions = [third(through_fori(STRUCTURE[name]), modes, direction) for modes in (MODES[0], MODES[1])]
    found = [pb.compile(f)(x) for f in functions]
    v = make("var", (), ("x",), "float64", x.shape)
    np.testing.assert_allclose(found, evaluated([functions[0](v)] * 2, v, x), rtol=1e-10)
