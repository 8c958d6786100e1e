"""Programs that walk over arrays element by element, or column by column, and the same in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import pullback as pb

rng = np.random.default_rng(3)


def cholesky_by_columns(a: Any) -> Any:
    """Right-looking: the rest is updated by the outer product of a column."""
    rows = pb.arange(a.shape[0])

    def column(j: Any, x: Any) -> Any:
        found = pb.where(rows >= j, x[:, j] / pb.sqrt(x[j, j]), 0.0)
        tail = pb.where(rows > j, found, 0.0)
        return (x - tail[:, None] * tail[None, :]).at[:, j].set(found)

    return pb.tril(pb.fori_loop(0, a.shape[0], column, a))


def cholesky_left_looking(a: Any) -> Any:
    rows = pb.arange(a.shape[0])

    def column(j: Any, x: Any) -> Any:
        rest = a[:, j] - x @ x[j]
        return x.at[:, j].set(pb.where(rows >= j, rest / pb.sqrt(rest[j]), 0.0))

    return pb.fori_loop(0, a.shape[0], column, pb.zeros_like(a))


def cholesky_by_elements(a: Any) -> Any:
    def row(i: Any, x: Any) -> Any:
        def column(j: Any, x: Any) -> Any:
            rest = pb.fori_loop(0, j, lambda k, s: s - x[i, k] * x[j, k], x[i, j])
            return x.at[i, j].set(rest / x[j, j])

        x = pb.fori_loop(0, i, column, x)
        rest = pb.fori_loop(0, i, lambda k, s: s - x[i, k] ** 2, x[i, i])
        return x.at[i, i].set(pb.sqrt(rest))

    return pb.tril(pb.fori_loop(0, a.shape[0], row, a))


def cholesky_all_in_the_array(a: Any) -> Any:
    """The triple loop of textbooks: every term is subtracted in the array itself."""
    def row(i: Any, x: Any) -> Any:
        def column(j: Any, x: Any) -> Any:
            x = pb.fori_loop(0, j, lambda k, x: x.at[i, j].add(-x[i, k] * x[j, k]), x)
            return x.at[i, j].set(x[i, j] / x[j, j])

        x = pb.fori_loop(0, i, column, x)
        x = pb.fori_loop(0, i, lambda k, x: x.at[i, i].subtract(x[i, k] ** 2), x)
        return x.at[i, i].set(pb.sqrt(x[i, i]))

    return pb.tril(pb.fori_loop(0, a.shape[0], row, a))


def lu_by_outer_products(a: Any) -> Any:
    rows = pb.arange(a.shape[0])

    def step(k: Any, x: Any) -> Any:
        factor = pb.where(rows > k, x[:, k] / x[k, k], 0.0)
        rest = x - factor[:, None] * pb.where(rows > k, x[k], 0.0)[None, :]
        return rest.at[:, k].set(pb.where(rows > k, factor, x[:, k]))

    return pb.fori_loop(0, a.shape[0], step, a)


def lu_by_elements(a: Any) -> Any:
    n = a.shape[0]

    def row(i: Any, x: Any) -> Any:
        def lower(j: Any, x: Any) -> Any:
            rest = pb.fori_loop(0, j, lambda k, s: s - x[i, k] * x[k, j], x[i, j])
            return x.at[i, j].set(rest / x[j, j])

        def upper(j: Any, x: Any) -> Any:
            return x.at[i, j].set(pb.fori_loop(0, i, lambda k, s: s - x[i, k] * x[k, j], x[i, j]))

        return pb.fori_loop(i, n, upper, pb.fori_loop(0, i, lower, x))

    return pb.fori_loop(0, n, row, a)


def lu_in_numpy(a: np.ndarray) -> np.ndarray:
    x = a.copy()
    for k in range(len(x)):
        x[k + 1:, k] /= x[k, k]
        x[k + 1:, k + 1:] -= np.outer(x[k + 1:, k], x[k, k + 1:])
    return x


def seidel(a: Any) -> Any:
    """Three Gauss-Seidel sweeps with a stencil of nine points, each element from those that are new already."""
    n = a.shape[0]

    def element(i: Any, j: Any, a: Any) -> Any:
        return (a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1] + a[i, j - 1] + a[i, j] + a[i, j + 1]
                + a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]) / 9.0

    def row(i: Any, a: Any) -> Any:
        return pb.fori_loop(1, n - 1, lambda j, a: a.at[i, j].set(element(i, j, a)), a)

    return pb.fori_loop(0, 3, lambda t, a: pb.fori_loop(1, n - 1, row, a), a)


def seidel_in_numpy(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    for _ in range(3):
        for i in range(1, len(a) - 1):
            for j in range(1, len(a) - 1):
                a[i, j] = np.sum(a[i - 1: i + 2, j - 1: j + 2]) / 9
    return a


def forward_substitution(l: Any) -> Any:  # noqa: E741
    def row(i: Any, x: Any) -> Any:
        return x.at[i].set((l[i, 0] + 1.0 - l[i] @ x) / l[i, i])

    return pb.fori_loop(0, l.shape[0], row, pb.zeros(l.shape[0]))


def forward_substitution_in_numpy(l: np.ndarray) -> np.ndarray:  # noqa: E741
    x = np.zeros(len(l))
    for i in range(len(l)):
        x[i] = (l[i, 0] + 1 - l[i] @ x) / l[i, i]
    return x


def shortest_paths(d: Any) -> Any:
    """Floyd and Warshall, element by element."""
    n = d.shape[0]

    def step(k: Any, d: Any) -> Any:
        def row(i: Any, d: Any) -> Any:
            return pb.fori_loop(0, n, lambda j, d: d.at[i, j].min(d[i, k] + d[k, j]), d)

        return pb.fori_loop(0, n, row, d)

    return pb.fori_loop(0, n, step, d)


def shortest_paths_in_numpy(d: np.ndarray) -> np.ndarray:
    for k in range(len(d)):
        d = np.minimum(d, d[:, [k]] + d[[k], :])
    return d


def recurrence(a: Any) -> Any:
    """x[i] = f(x[i-1]), on all elements as one row."""
    x = a.reshape(-1)
    return pb.fori_loop(1, x.shape[0], lambda i, x: x.at[i].set(x[i] + pb.sin(x[i - 1])), x)


def recurrence_in_numpy(a: np.ndarray) -> np.ndarray:
    x = a.ravel().copy()
    for i in range(1, len(x)):
        x[i] += np.sin(x[i - 1])
    return x


def tridiagonal(a: Any) -> Any:
    """Thomas: two rows of intermediate results forwards, the solution backwards."""
    low, mid, up, right = 0.3 * a[0], 2.0 + a[1], 0.3 * a[2], a[3]
    n = mid.shape[0]

    def eliminate(i: Any, rows: Any) -> Any:
        c, d = rows
        m = mid[i] - low[i] * c[i - 1]
        return c.at[i].set(up[i] / m), d.at[i].set((right[i] - low[i] * d[i - 1]) / m)

    start = pb.zeros(n)
    c, d = pb.fori_loop(1, n, eliminate, (start.at[0].set(up[0] / mid[0]), start.at[0].set(right[0] / mid[0])))

    def substitute(k: Any, x: Any) -> Any:
        i = n - 2 - k
        return x.at[i].set(d[i] - c[i] * x[i + 1])

    return pb.fori_loop(0, n - 1, substitute, start.at[n - 1].set(d[n - 1]))


def tridiagonal_in_numpy(a: np.ndarray) -> np.ndarray:
    matrix = np.diag(2 + a[1]) + np.diag(0.3 * a[0, 1:], -1) + np.diag(0.3 * a[2, :-1], 1)
    return np.linalg.solve(matrix, a[3])


def levinson_durbin(a: Any) -> Any:
    r = 0.1 * a.reshape(-1)[:6]
    n = 6
    places = np.arange(n)

    def step(k: Any, state: Any) -> Any:
        y, alpha, beta = state
        beta = beta * (1 - alpha * alpha)
        mirrored = (k - 1 - places) % n
        alpha = -(r[k] + pb.sum(pb.where(places < k, r[mirrored], 0.0) * y)) / beta
        y = pb.where(places < k, y + alpha * y[mirrored], y)
        return y.at[k].set(alpha), alpha, beta

    return pb.fori_loop(1, n, step, (pb.zeros(n).at[0].set(-r[0]), -r[0], 1.0))[0]


def levinson_durbin_in_numpy(a: np.ndarray) -> np.ndarray:
    from scipy.linalg import solve_toeplitz

    r = 0.1 * a.ravel()[:6]
    return solve_toeplitz(np.concatenate([[1], r[:-1]]), -r)


def gram_schmidt(a: Any) -> Any:
    columns = pb.arange(a.shape[1])

    def step(k: Any, state: Any) -> Any:
        a, q = state
        unit = a[:, k] / pb.sqrt(pb.sum(a[:, k] ** 2))
        part = pb.where(columns > k, unit @ a, 0.0)
        return a - unit[:, None] * part[None, :], q.at[:, k].set(unit)

    return pb.fori_loop(0, a.shape[1], step, (a, pb.zeros_like(a)))[1]


def gram_schmidt_in_numpy(a: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(a)
    return q * np.sign(np.diag(r))


PLACES = rng.integers(0, 5, 49)


def histogram(a: Any) -> Any:
    weights = a.reshape(-1)
    places = pb.asarray(PLACES)
    return pb.fori_loop(0, weights.shape[0], lambda i, h: h.at[places[i]].add(weights[i] ** 2), pb.zeros(5))


def soft_time_warping(d: Any) -> Any:
    n, m = d.shape
    table = pb.full((n + 1, m + 1), 1e10).at[0, 0].set(0.0)

    def row(i: Any, r: Any) -> Any:
        def column(j: Any, r: Any) -> Any:
            a, b, c = r[i - 1, j - 1], r[i - 1, j], r[i, j - 1]
            least = pb.minimum(a, pb.minimum(b, c))
            total = pb.exp(least - a) + pb.exp(least - b) + pb.exp(least - c)
            return r.at[i, j].set(d[i - 1, j - 1] + least - pb.log(total))

        return pb.fori_loop(1, m + 1, column, r)

    return pb.fori_loop(1, n + 1, row, table)[1:, 1:]


def soft_time_warping_in_numpy(d: np.ndarray) -> np.ndarray:
    r = np.full((len(d) + 1, len(d) + 1), 1e10)
    r[0, 0] = 0
    for i in range(1, len(r)):
        for j in range(1, len(r)):
            before = np.array([r[i - 1, j - 1], r[i - 1, j], r[i, j - 1]])
            r[i, j] = d[i - 1, j - 1] - np.log(np.sum(np.exp(np.min(before) - before))) + np.min(before)
    return r[1:, 1:]


def folding(s: Any) -> Any:
    """Nussinov: the best pairing of each stretch, from shorter ones."""
    n = s.shape[0]

    def start(p: Any, t: Any) -> Any:
        i = n - 1 - p

        def end(j: Any, t: Any) -> Any:
            best = pb.maximum(pb.maximum(t[i, j - 1], t[i + 1, j]), t[i + 1, j - 1] + s[i, j])
            best = pb.fori_loop(i + 1, j, lambda k, v: pb.maximum(v, t[i, k] + t[k + 1, j]), best)
            return t.at[i, j].set(best)

        return pb.fori_loop(i + 1, n, end, t)

    return pb.fori_loop(1, n, start, pb.zeros((n, n)))


def folding_in_numpy(s: np.ndarray) -> np.ndarray:
    n = len(s)
    t = np.zeros((n, n))
    for i in range(n - 2, -1, -1):
        for j in range(i + 1, n):
            t[i, j] = max([t[i, j - 1], t[i + 1, j], t[i + 1, j - 1] + s[i, j], *(t[i, k] + t[k + 1, j]
                                                                                for k in range(i + 1, j))])
    return t


def histogram_in_numpy(a: np.ndarray) -> np.ndarray:
    return np.bincount(PLACES[: a.size], a.ravel() ** 2, 5)


def any_matrix(n: int) -> np.ndarray:
    return rng.random((n, n))


def definite(n: int) -> np.ndarray:
    m = rng.normal(size=(n, n))
    return m @ m.T / n + np.eye(n)


def dominant(n: int) -> np.ndarray:
    return rng.normal(size=(n, n)) / n + 2 * np.eye(n)


class Written(NamedTuple):
    """A program, what it computes in NumPy, its input, and whether its innermost loops touch single elements only."""

    program: Callable[[Any], Any]
    numpy: Callable[[np.ndarray], np.ndarray]
    matrix: Callable[[int], np.ndarray]
    in_place: bool = True


PROGRAMS = [
    Written(cholesky_by_columns, np.linalg.cholesky, definite, False),
    Written(cholesky_left_looking, np.linalg.cholesky, definite, False),
    Written(cholesky_by_elements, np.linalg.cholesky, definite),
    Written(cholesky_all_in_the_array, np.linalg.cholesky, definite),
    Written(lu_by_outer_products, lu_in_numpy, dominant, False),
    Written(lu_by_elements, lu_in_numpy, dominant),
    Written(seidel, seidel_in_numpy, any_matrix),
    Written(forward_substitution, forward_substitution_in_numpy, dominant, False),
    Written(shortest_paths, shortest_paths_in_numpy, any_matrix),
    Written(recurrence, recurrence_in_numpy, any_matrix),
    Written(tridiagonal, tridiagonal_in_numpy, any_matrix),
    Written(levinson_durbin, levinson_durbin_in_numpy, any_matrix, False),
    Written(gram_schmidt, gram_schmidt_in_numpy, dominant, False),
    Written(histogram, histogram_in_numpy, any_matrix),
    Written(soft_time_warping, soft_time_warping_in_numpy, any_matrix),
    Written(folding, folding_in_numpy, any_matrix),
]
