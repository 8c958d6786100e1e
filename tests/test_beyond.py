"""Folds over pairs whose result has the coordinates of the points: the weight of a pair is computed once."""

import re

import numpy as np
import pytest

import pullback as pb

ROWS, OTHERS = 23, 19


def forces(x, y, m):
    apart = y[None, :, :] - x[:, None, :]
    pull = m * pb.exp(-pb.sum(apart * apart, axis=2))
    return pb.sum(pull[:, :, None] * apart, axis=1)


def by_numpy(x, y, m):
    apart = y[None, :, :] - x[:, None, :]
    return ((m * np.exp(-(apart**2).sum(axis=2)))[:, :, None] * apart).sum(axis=1)


def points(dimension):
    draw = np.random.default_rng(8)
    x, y = (draw.standard_normal((count, dimension)) for count in (ROWS, OTHERS))
    return x, y, draw.uniform(1, 2, OTHERS)


@pytest.mark.parametrize("dimension", [1, 3, 11])
def test_sums_over_pairs_and_their_gradients(dimension):
    x, y, m = points(dimension)
    w = np.random.default_rng(9).standard_normal(x.shape)
    np.testing.assert_allclose(pb.compile(forces)(x, y, m), by_numpy(x, y, m), rtol=1e-12, atol=1e-13)
    slopes = pb.compile(pb.grad(lambda x, y, m, w: pb.sum(w * forces(x, y, m)), argnums=(0, 1, 2)))(x, y, m, w)
    draw = np.random.default_rng(10)
    for k, slope in enumerate(slopes):
        arrays = [x, y, m]
        move = draw.standard_normal(arrays[k].shape)

        def loss(step, arrays=arrays, k=k, move=move):
            return np.sum(w * by_numpy(*[a + step * move if i == k else a for i, a in enumerate(arrays)]))

        h = 1e-4
        along = (8 * (loss(h) - loss(-h)) - loss(2 * h) + loss(-2 * h)) / (12 * h)
        np.testing.assert_allclose(np.sum(slope * move), along, rtol=1e-8, atol=1e-9)


def test_a_sum_over_the_first_axis_of_pairs():
    x, y, m = points(3)

    def pulled(x, y):
        apart = y[None, :, :] - x[:, None, :]
        return pb.sum(pb.exp(-pb.sum(apart * apart, axis=2))[:, :, None] * apart, axis=0)

    apart = y[None] - x[:, None]
    want = (np.exp(-(apart**2).sum(axis=2))[:, :, None] * apart).sum(axis=0)
    np.testing.assert_allclose(pb.compile(pulled)(x, y), want, rtol=1e-12, atol=1e-13)


def test_the_weight_is_kept_and_the_fold_runs_in_registers():
    arrays = points(3)
    lowered = pb.compile(forces).lower(*arrays)
    text = lowered.as_text("cpu").partition("def program(")[0]
    assert text.count("exp_float64(") == 1 and "in_row[" in text
    assert re.search(r"\] = acc\w*\n", text), text
    # no grid of pairs, only a row of weights for each chunk
    assert lowered.memory()["temporaries"] <= 64 * 8 * OTHERS + 4096


def mean_of_paths(rate, volatility, walks):
    """The mean over options and paths of the part of the mean price above 1; walks are days by paths."""
    prices = pb.exp(rate[:, None, None] + volatility[:, None, None] * walks)
    return pb.sum(pb.maximum(pb.mean(prices, axis=1) - 1.0, 0.0))


def test_a_mean_is_not_computed_again_for_every_element_that_it_is_the_mean_of():
    draw = np.random.default_rng(11)
    rate, volatility, walks = draw.standard_normal(5), draw.uniform(0.1, 1, 5), draw.standard_normal((7, 33))
    gradient = pb.compile(pb.grad(mean_of_paths, argnums=(0, 1)))
    prices = np.exp(rate[:, None, None] + volatility[:, None, None] * walks)
    above = (prices.mean(axis=1) > 1)[:, None, :] / 7
    for got, want in zip(gradient(rate, volatility, walks), (above * prices, above * prices * walks), strict=True):
        np.testing.assert_allclose(got, want.sum(axis=(1, 2)), rtol=1e-12)
    text = gradient.lower(rate, volatility, walks).as_text("cpu").partition("def program(")[0]
    deepest = max(len(line) - len(line.lstrip()) for line in text.splitlines() if "exp_float64(" in line)
    assert deepest <= 4 * 4, text                # rows, and two loops inside
