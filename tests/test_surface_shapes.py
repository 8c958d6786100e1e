"""Functions that renumber, join, repeat and move elements, and those that create arrays, against NumPy."""

import itertools

import numpy as np
import pytest
from against_numpy import check, pb, typed

from pullback.dsl import size
from pullback.dsl.errors import DTypeError, ShapeError
from pullback.dsl.node import Expr
from pullback.dsl.surface import Var
from pullback.kernels.reference import evaluate

X = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(12.0).reshape(3, 4)
V = np.array([3.0, 1.0, 4.0, 1.5])


def test_reshape():
    for shape in ((4, 6), (-1,), -1, 24, (3, -1, 2), (2, -1), [24], (1, 24, 1), np.array([6, 4])):
        check(lambda xp, x, s=shape: (xp.reshape(x, s), x.reshape(s)), X)
    check(lambda xp, x: (x.reshape(4, 6), x.reshape(6, -1, order="F"), xp.ravel(x), x.flatten(), x.ravel()), X)
    check(lambda xp,
          x: (x.reshape(x.shape[0], -1), x.reshape(-1, x.shape[2]), x.reshape(x.shape[0] * x.shape[1], x.shape[2])), X,
          forms=("static", "symbolic", "declared"))
    check(lambda xp, x: x.reshape(-1), np.zeros((0, 3)))
    for wrong in ((5, 5), (-1, 5), (-1, -1), (-2, 12), (2.5,)):
        with pytest.raises(ShapeError):
            typed("x", X).reshape(wrong)


def test_symbolic_reshape_cancels():
    x = typed("x", X, symbolic=True)
    assert str(x.reshape(x.shape[0], -1).shape) == "(x0, x1*x2)"
    assert str(x.reshape(-1, x.shape[1]).shape) == "(x0*x2, x1)"
    assert x.reshape(-1, 1).reshape(x.shape) is x


def test_order_of_axes():
    for axes in (None, (1, 0, 2), (2, 0, 1), (-1, 0, 1)):
        check(lambda xp, x, a=axes: xp.transpose(x, a), X)
    check(lambda xp, x: (x.T, x.mT, x.transpose(), x.transpose(1, 2, 0), x.transpose((1, 2, 0)), x.swapaxes(0, -1)), X)
    check(lambda xp, x: (xp.moveaxis(x, 0, -1), xp.moveaxis(x, (0, 1), (-1, 0)), xp.swapaxes(x, 1, 2),
                         xp.permute_dims(x, (2, 1, 0))), X)
    check(lambda xp, x: (xp.flip(x), xp.flip(x, 1), xp.flip(x, (0, -1)), xp.flipud(x), xp.fliplr(x)), X)
    with pytest.raises(ShapeError, match="each of its 3 axes once"):
        typed("x", X).transpose(0, 0, 1)


def test_axes_of_size_one():
    one = X[:, :1, :, None]
    check(lambda xp, x: (xp.squeeze(x), xp.squeeze(x, 1), x.squeeze((1, -1)), xp.squeeze(x[:1])), one,
          forms=("static", "symbolic", "untyped"))
    check(lambda xp, x: (xp.expand_dims(x, 0), xp.expand_dims(x, (0, -1)), xp.expand_dims(x, 2)), X)
    for data in (np.array(2.0), V, M, X):
        check(lambda xp, x: (xp.atleast_1d(x), xp.atleast_2d(x), xp.atleast_3d(x)), data)
    with pytest.raises(ShapeError, match="cannot squeeze axis 1"):
        typed("x", X).squeeze(1)


def test_repeating():
    check(lambda xp, x: (xp.broadcast_to(x, (2, 3, 4)), xp.broadcast_to(x, (3, 4))), M)
    check(lambda xp, x, y: (*xp.broadcast_arrays(x, y), xp.broadcast_to(y, (5, 3, 1))), M, M[:, :1])
    assert pb.broadcast_shapes((3, 1), (4,)) == (3, 4)
    for reps in (2, (2, 3), (2, 1, 3, 1), (0, 1), ()):
        check(lambda xp, x, r=reps: xp.tile(x, r), M)
    for axis in (None, 0, -1):
        check(lambda xp, x, a=axis: (xp.repeat(x, 3, axis=a), xp.repeat(x, 0, axis=a), x.repeat(2, a)), M)
    check(lambda xp, x: (xp.repeat(x, [1, 0, 2], axis=0), xp.repeat(x, np.array([2]), axis=1)), M)
    with pytest.raises(ShapeError, match=r"cannot broadcast \(3, 4\) to \(3,\)"):
        pb.broadcast_to(typed("x", M), (3,))


def test_joining():
    check(lambda xp, x,
          y: (xp.concatenate([x, y]), xp.concatenate((x, y), axis=-1), xp.concatenate([x, y], axis=None)), M, M * 2)
    check(lambda xp, x, y: (xp.concat([x, y[:1]]), xp.stack([x, y]), xp.stack([x, y], axis=-1), xp.stack([x, y], 1)),
          M, M.astype("f4"))
    check(lambda xp, x, y: (xp.hstack([x, y]), xp.vstack([x, y]), xp.column_stack([x, y]), xp.dstack([x, y])), M, M + 1)
    check(lambda xp, x, y: (xp.hstack([x, y]), xp.vstack([x, y]), xp.column_stack([x, y]), xp.dstack([x, y])), V, V + 1)
    check(lambda xp, x: xp.concatenate([x, np.zeros((2, 4))]), M)
    check(lambda xp, x: xp.concatenate(x) if xp is np else xp.concatenate(list(x)), X, forms=("static", "symbolic"))
    with pytest.raises(ShapeError, match="other axes must agree"):
        pb.concatenate([typed("x", M), typed("y", V[None, :2])])
    with pytest.raises(ShapeError, match="cannot stack"):
        pb.stack([typed("x", M), typed("y", V)])
    with pytest.raises(ShapeError, match="nothing to join"):
        pb.concatenate([])


def test_splitting():
    check(lambda xp, x: xp.split(x, 2, axis=1), M)
    check(lambda xp, x: xp.split(x, [1, 3], axis=1), M, forms=("static", "symbolic"))
    check(lambda xp, x: xp.unstack(x, axis=0), M, forms=("static", "symbolic"))
    with pytest.raises(ShapeError, match="equal sections"):
        pb.split(typed("x", M), 2)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_pad(mode):
    for width in (1, (2, 1), ((1, 0), (0, 2)), ((0, 0), (2, 3)), ((2,), (1,)), 0):
        check(lambda xp, x, w=width: xp.pad(x, w, mode=mode), M)
    for width in (5, (9, 7)):
        check(lambda xp, x, w=width: xp.pad(x, w, mode=mode), M, forms=("static", "symbolic", "untyped"))
    check(lambda xp, x: xp.pad(x, (3, 4), mode=mode), np.array([7.0]))


def test_pad_values_and_errors():
    check(lambda xp, x: (xp.pad(x, 1, constant_values=9), xp.pad(x, 2, constant_values=(1, 2)),
                         xp.pad(x, 1, constant_values=((1, 2), (3, 4)))), M)
    for wrong, words in (({"mode": "linear_ramp"}, "modes"), ({"pad_width": -1}, "negative"),
                         ({"pad_width": ((1, 1),) * 3}, "pair")):
        with pytest.raises(ShapeError, match=words):
            pb.pad(typed("x", M), **{"pad_width": 1, **wrong})
    with pytest.raises(ShapeError, match="no elements to pad with"):
        pb.pad(typed("x", M[:0]), 1, mode="edge")


def test_roll_and_diff():
    for shift, axis in itertools.product((0, 1, -2, 7, -9), (None, 0, -1)):
        check(lambda xp, x, s=shift, a=axis: xp.roll(x, s, axis=a), M)
    check(lambda xp, x: (xp.roll(x, (1, -1), axis=(0, 1)), xp.roll(x, 2, axis=(0, 1))), M)
    check(lambda xp, x, s: xp.roll(x, s, axis=1), M, np.array(-6), expected=lambda xp, x, s: np.roll(x, int(s), axis=1))
    check(lambda xp, x: xp.roll(x, 3), np.zeros((0, 2)))
    check(lambda xp, x: (xp.diff(x), xp.diff(x, 2), xp.diff(x, axis=0), xp.diff(x > 3), xp.diff(x, 0)), M * M)
    check(lambda xp, x: (xp.diff(x, prepend=0.0), xp.diff(x, append=x[:, :1])), M * M)
    check(lambda xp, x: (xp.trapezoid(x), xp.trapezoid(x, dx=0.5, axis=0), xp.trapezoid(x, V)), M)


def test_diagonals():
    for k in (0, 1, -1, 3, -2, 9):
        check(lambda xp, x, k=k: (xp.diagonal(x, k), xp.tril(x, k), xp.triu(x, k)), X if abs(k) < 9 else M)
        check(lambda xp, x, k=k: (xp.diag(x, k), xp.trace(x, k)), M)
        check(lambda xp, x, k=k: xp.diag(x, k), V)
    check(lambda xp, x: (xp.diagonal(x, 0, 2, 1), xp.diagonal(x, 1, -1, 0), x.trace(0, 0, 2), x.diagonal()), X)
    check(lambda xp, x: (xp.diagflat(x, 1), xp.tri(3), xp.tri(2, 4, 1)), M[:2, :2])
    check(lambda xp, x: (xp.tril(x), xp.trace(x)), (M * 3).astype(np.int32)[:, :3])
    with pytest.raises(ShapeError):
        pb.diag(typed("x", X))


# ---- creation ---------------------------------------------------------------------------------------------------
def test_creation():
    for name in ("zeros", "ones"):
        check(lambda xp, x, n=name: (getattr(xp, n)(3), getattr(xp, n)((2, 3), "f4"), getattr(xp, n)((), int),
                                     getattr(xp, n + "_like")(x),
                                     getattr(xp, n + "_like")(x, dtype=bool)), M)
    check(lambda xp, x: (xp.full((2, 2), 7), xp.full(3, 1.5, "f4"), xp.full_like(x, 2), xp.full((3, 4), x[0])), M)
    check(lambda xp, x: (xp.eye(3), xp.eye(2, 4), xp.eye(3, k=-1), xp.eye(3, dtype=int), xp.identity(2)), M)
    check(lambda xp, x: (xp.asarray([1, 2]), xp.asarray(2.5), xp.array([x[0, 0], x[1, 1]]), xp.asarray(x, dtype="f4")),
          M, forms=("static",))
    assert isinstance(pb.zeros(3), Expr) and pb.empty((2,)).shape == (2,)
    assert pb.empty_like(typed("x", M)).shape == (3, 4)
    assert pb.pi == np.pi and pb.newaxis is None and pb.float32 is np.float32
    with pytest.raises(ShapeError, match="negative"):
        pb.zeros((-1,))
    with pytest.raises(DTypeError, match="float16"):
        pb.zeros(2, dtype="float16")
    with pytest.raises(ShapeError, match="Python int"):
        pb.zeros(typed("x", np.array(3)))


def test_ranges():
    for args in ((5,), (2, 9), (2, 9, 3), (9, 2, -2), (5, 2), (0,), (2.5,), (0.1, 1.0, 0.3), (1, 0, -0.25),
                 (3, 4, 0.5)):
        check(lambda xp, x, args=args: (xp.arange(*args), xp.arange(*args, dtype="f4"), xp.arange(*args) + x),
              np.array(0.0))
    for args in ((0, 1), (0, 1, 5), (2.0, -3.0, 7, False), (0, 1, 1), (0, 1, 0), (3, 3, 4)):
        check(lambda xp, x,
              args=args: (xp.linspace(*args), xp.linspace(*args, dtype="f4"), xp.linspace(*args, dtype=int)), V)
    check(lambda xp, x: xp.linspace(x[0], x[1] + 3, 6), V)
    with pytest.raises(ShapeError, match=r"pb\.arange\(n\)"):
        pb.arange(typed("x", np.array(3)))
    assert pb.linspace(0.1, 0.7, 3).shape == (3,)


def test_ranges_of_symbolic_length():
    check(lambda xp, x: (xp.arange(x.shape[1]), xp.arange(x.shape[0], x.shape[1] + 4, 2), xp.arange(x.shape[1], 0, -1),
                         xp.zeros((x.shape[1], 2)), xp.eye(x.shape[0]), xp.linspace(0, 1, x.shape[1]),
                         xp.ones(x.shape)), M,
          forms=("static", "symbolic", "declared"))
    assert str(pb.arange(size.symbol("n")).shape) == "(n,)"
    check(lambda xp, x, y: (*xp.meshgrid(x, y), *xp.meshgrid(x, y, indexing="ij"), *xp.meshgrid(x, y, V, sparse=True)),
          V, V[:3])


def test_shapes_of_undeclared_variables_are_asked_for_by_name():
    with pytest.raises(Exception, match=r"pb\.Var\('x', shape="):
        pb.shape(Var("x"))
    assert pb.shape([[1, 2]]) == (1, 2) and pb.ndim(3) == 0 and pb.size(np.zeros((2, 3)), 1) == 3


def test_zero_copies_of_nothing():
    x = typed("x", M)
    for same in (x[:], x.reshape(3, 4), x.T.T, pb.tile(x, 1), x.copy(), x.astype("f8")):
        assert same is x
    assert evaluate([pb.zeros((2, 0))])[0].shape == (2, 0)
