"""The cases as a careful person writes them in Numba: one pass each, parallel over rows, gradients derived by hand."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

parallel = njit(parallel=True, error_model="numpy", fastmath={"contract", "reassoc"})
CHUNKS = 64


@parallel
def triad(x, y):
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = 1.5 * x[i] + y[i]
    return out


@parallel
def gelu(x):
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = 0.5 * x[i] * (1 + math.erf(x[i] * math.sqrt(0.5)))
    return out


@parallel
def fused_loss(x, y):
    slope_x, slope_y, partial = np.empty_like(x), np.empty_like(y), np.zeros(CHUNKS)
    size = -(-x.size // CHUNKS)
    for chunk in prange(CHUNKS):
        total = 0.0
        for i in range(chunk * size, min(x.size, (chunk + 1) * size)):
            bell, sine = math.exp(-x[i] * x[i]), math.sin(y[i])
            curve, slope = math.log(1 + y[i] * y[i]), math.tanh(x[i])
            total += bell * sine + curve * slope
            slope_x[i] = -2 * x[i] * bell * sine + curve * (1 - slope * slope)
            slope_y[i] = bell * math.cos(y[i]) + 2 * y[i] / (1 + y[i] * y[i]) * slope
        partial[chunk] = total
    return partial.sum(), slope_x, slope_y


@parallel
def softmax_loss(x, t):
    """Mean over rows of logsumexp(x) - sum(t x), and its gradient in x."""
    rows, columns = x.shape
    slope, losses = np.empty_like(x), np.empty(rows)
    for i in prange(rows):
        largest = -np.inf
        for j in range(columns):
            largest = max(largest, x[i, j])
        total, chosen = 0.0, 0.0
        for j in range(columns):
            slope[i, j] = math.exp(x[i, j] - largest)
            total += slope[i, j]
            chosen += t[i, j] * x[i, j]
        losses[i] = math.log(total) + largest - chosen
        for j in range(columns):
            slope[i, j] = (slope[i, j] / total - t[i, j]) / rows
    return losses.mean(), slope


@parallel
def logistic_regression(w, x, t):
    """Mean over rows of log(1 + exp(-t x.w)), and its gradient in w: x is read once."""
    rows, columns = x.shape
    losses, slopes = np.zeros(CHUNKS), np.zeros((CHUNKS, columns))
    size = -(-rows // CHUNKS)
    for chunk in prange(CHUNKS):
        for i in range(chunk * size, min(rows, (chunk + 1) * size)):
            margin = 0.0
            for j in range(columns):
                margin += x[i, j] * w[j]
            margin *= t[i]
            tail = math.exp(-abs(margin))
            losses[chunk] += math.log1p(tail) + max(-margin, 0.0)
            weight = -t[i] * (tail if margin >= 0 else 1.0) / (1 + tail)
            for j in range(columns):
                slopes[chunk, j] += weight * x[i, j]
    return losses.sum() / rows, slopes.sum(axis=0) / rows


@parallel
def layer_norm(x, gain, offset):
    rows, columns = x.shape
    out = np.empty_like(x)
    for i in prange(rows):
        total = 0.0
        for j in range(columns):
            total += x[i, j]
        mean, spread = total / columns, 0.0
        for j in range(columns):
            spread += (x[i, j] - mean) ** 2
        scale = 1 / math.sqrt(spread / columns + 1e-5)
        for j in range(columns):
            out[i, j] = (x[i, j] - mean) * scale * gain[j] + offset[j]
    return out


@parallel
def column_sums(x):
    rows, columns = x.shape
    partial = np.zeros((CHUNKS, columns))
    size = -(-rows // CHUNKS)
    for chunk in prange(CHUNKS):
        for i in range(chunk * size, min(rows, (chunk + 1) * size)):
            for j in range(columns):
                partial[chunk, j] += x[i, j]
    return partial.sum(axis=0)


@parallel
def dense_layer(w, x, b):
    out = np.dot(w, x)
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = max(out[i, j] + b[i, 0], 0.0)
    return out


@njit
def gauss_seidel(a):
    """Five sweeps in place; their adjoint reads no value."""
    a, n = a.copy(), len(a)
    for _ in range(5):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                total = a[i - 1, j - 1] + a[i - 1, j] + a[i - 1, j + 1] + a[i, j - 1] + a[i, j] + a[i, j + 1]
                a[i, j] = (total + a[i + 1, j - 1] + a[i + 1, j] + a[i + 1, j + 1]) / 9.0
    slope = np.cos(a)
    for _ in range(5):
        for i in range(n - 2, 0, -1):
            for j in range(n - 2, 0, -1):
                share = slope[i, j] / 9.0
                slope[i, j] = 0.0
                for p in range(i - 1, i + 2):
                    for q in range(j - 1, j + 2):
                        slope[p, q] += share
    return np.sum(np.sin(a)), slope


@njit
def tiny(a, b, c):
    return a * b + np.sin(c)
