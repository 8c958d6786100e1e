"""NumPy as a system that runs the programs as they are written: loops of control flow, and updates by `.at`."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


class Updatable(np.ndarray):
    """An array with `x.at[i].set(v)` and its kin, each of which returns a changed copy."""

    @property
    def at(self) -> _At:
        return _At(self)


class _At:
    def __init__(self, array: np.ndarray, index: object = None) -> None:
        self.array, self.index = array, index

    def __getitem__(self, index: object) -> _At:
        return _At(self.array, index)

    def _changed(self, update, value) -> np.ndarray:
        array = self.array.copy()
        update(array, self.index, value)
        return array

    def set(self, value) -> np.ndarray:
        return self._changed(lambda array, index, v: array.__setitem__(index, v), value)

    def add(self, value) -> np.ndarray:
        return self._changed(np.add.at, value)

    def multiply(self, value) -> np.ndarray:
        return self._changed(np.multiply.at, value)


def as_updatable(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).view(Updatable)


def _as_nest(value):
    return tuple(map(_as_nest, value)) if isinstance(value, tuple | list) else as_updatable(value)


def fori_loop(low, high, body, carry):
    carry = _as_nest(carry)
    for i in range(low, high):
        carry = body(i, carry)
    return carry


def while_loop(condition, body, carry):
    carry = _as_nest(carry)
    while condition(carry):
        carry = body(carry)
    return carry


def scan(body, carry, xs, length=None):
    carry, rows = _as_nest(carry), []
    if xs is not None:
        length = len(xs[0] if isinstance(xs, tuple) else xs)
    for i in range(length):
        x = None if xs is None else tuple(a[i] for a in xs) if isinstance(xs, tuple) else xs[i]
        carry, row = body(carry, x)
        rows.append(row)
    if rows[0] is None:
        return carry, None
    if isinstance(rows[0], tuple):
        return carry, tuple(np.stack(column) for column in zip(*rows, strict=True))
    return carry, np.stack(rows)


def cond(chosen, if_true, if_false, *operands):
    return (if_true if chosen else if_false)(*operands)


def tridiagonal_solve(dl, d, du, b):
    """x of (.., n, k) for diagonals (.., n), by elimination along n without pivots."""
    n, factors, right = d.shape[-1], [d[..., 0]], [b[..., 0, :]]
    for i in range(1, n):
        ratio = dl[..., i] / factors[-1]
        factors.append(d[..., i] - ratio * du[..., i - 1])
        right.append(b[..., i, :] - ratio[..., None] * right[-1])
    x = [right[-1] / factors[-1][..., None]]
    for i in range(n - 2, -1, -1):
        x.append((right[i] - du[..., i, None] * x[-1]) / factors[i][..., None])
    return np.stack(x[::-1], axis=-2)


CONTROL = SimpleNamespace(fori_loop=fori_loop, while_loop=while_loop, scan=scan, cond=cond,
                          linalg=SimpleNamespace(tridiagonal_solve=tridiagonal_solve))
