"""The price of a call under Heston's stochastic volatility, and its six sensitivities with their standard errors.

    python examples/heston.py [--paths 100000] [--steps 200] [--picture heston.png]

Every path is simulated with parameters of its own, all equal, so that one reverse sweep gives the sensitivities of
every path: their means are the estimates, their spread the standard errors. The random numbers are made inside the time
step, and again in the reverse sweep. Checked against the semi-analytic price of S. L. Heston, A closed-form solution
for options with stochastic volatility, Review of Financial Studies 6 (1993), in the form of H. Albrecher, P. Mayer,
W. Schoutens and J. Tistaert, The little Heston trap, Wilmott Magazine (2007).
"""

import argparse

import matplotlib
import numpy as np
from scipy.integrate import quad

import pullback as pb

NAMES = ("spot", "variance", "reversion", "mean variance", "volatility of variance", "correlation")
MARKET = np.array([100.0, 0.04, 2.0, 0.05, 0.3, -0.7])
STRIKE, RATE, MATURITY = 100.0, 0.02, 1.0


def payoffs(parameters, key, steps):
    """The discounted payoff of every path; `parameters` are six arrays, an element for each path.

    Euler steps of the logarithm of the price and of the variance, which counts as 0 where it falls below
    (R. Lord, R. Koekkoek and D. van Dijk, A comparison of biased simulation schemes, Quantitative Finance 10, 2010).
    """
    spot, variance, reversion, mean, volatility, correlation = pb.unstack(parameters)
    h = MATURITY / steps

    def step(i, state):
        log_price, v = state
        first, second = pb.unstack(pb.random.normal(pb.random.fold_in(key, i), (2, *spot.shape)))
        positive = pb.maximum(v, 0.0)
        root = pb.where(v > 0.0, pb.sqrt(v * h), 0.0)
        other = correlation * first + pb.sqrt(1.0 - correlation**2) * second
        log_price = log_price + (RATE - 0.5 * positive) * h + root * other
        return log_price, v + reversion * (mean - positive) * h + volatility * root * first

    log_price, _ = pb.fori_loop(0, steps, step, (pb.log(spot), variance))
    return np.exp(-RATE * MATURITY) * pb.maximum(pb.exp(log_price) - STRIKE, 0.0)


def simulate(parameters, key, steps):
    """Payoffs, and the derivative of each with respect to the parameters of its path."""

    def total(parameters):
        values = payoffs(parameters, key, steps)
        return pb.sum(values), values

    (_, values), slopes = pb.value_and_grad(total, has_aux=True)(parameters)
    return values, slopes


def exact_price(parameters):
    """Heston's formula: two integrals over the characteristic function of the logarithm of the price."""
    spot, variance, reversion, mean, volatility, correlation = parameters

    def characteristic(u):
        pull = reversion - 1j * correlation * volatility * u
        d = np.sqrt(pull**2 + volatility**2 * (1j * u + u**2))
        g = (pull - d) / (pull + d)
        fade = np.exp(-d * MATURITY)
        level = (pull - d) * MATURITY - 2 * np.log((1 - g * fade) / (1 - g))
        drift = 1j * u * (np.log(spot) + RATE * MATURITY)
        return np.exp(drift + reversion * mean / volatility**2 * level
                      + variance / volatility**2 * (pull - d) * (1 - fade) / (1 - g * fade))

    def probability(shift):
        def integrand(u):
            weight = np.exp(-1j * u * np.log(STRIKE)) / (1j * u)
            return (weight * characteristic(u - 1j * shift) / characteristic(-1j * shift)).real

        return 0.5 + quad(integrand, 1e-9, 200.0, limit=500)[0] / np.pi

    return spot * probability(1) - STRIKE * np.exp(-RATE * MATURITY) * probability(0)


def exact_sensitivities():
    """Central differences of the formula."""
    bumps = 1e-4 * np.abs(MARKET) * np.eye(6)
    return np.array([(exact_price(MARKET + b) - exact_price(MARKET - b)) / (2 * b.sum()) for b in bumps])


def estimate(paths, steps, seed):
    """Price and sensitivities as (mean, standard error), and the payoffs."""
    parameters = np.repeat(MARKET[:, None], paths, axis=1)
    values, slopes = pb.compile(lambda parameters, key: simulate(parameters, key, steps))(
        parameters, np.asarray(pb.random.key(seed)))
    rows = np.vstack([values, slopes])
    return rows.mean(axis=1), rows.std(axis=1) / np.sqrt(paths), values


def draw(values, path):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = np.unique(np.geomspace(100, len(values), 200).astype(int))
    running = np.cumsum(values)[counts - 1] / counts
    error = values.std() / np.sqrt(counts)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    left.fill_between(counts, running - 2 * error, running + 2 * error, alpha=0.3)
    left.plot(counts, running)
    left.axhline(exact_price(MARKET), color="black", linewidth=0.8)
    left.set(xscale="log", xlabel="paths", ylabel="price, two standard errors")
    right.hist(values[values > 0], bins=80)
    right.set(xlabel=f"payoff ({np.mean(values == 0):.0%} of the paths: 0)", ylabel="paths")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Heston's model by Monte Carlo, with sensitivities.")
    parser.add_argument("--paths", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", default="heston.png")
    options = parser.parse_args()

    means, errors, values = estimate(options.paths, options.steps, options.seed)
    exact = np.array([exact_price(MARKET), *exact_sensitivities()])
    print(f"{'':24}{'simulated':>12}{'std error':>12}{'exact':>12}")
    for name, row in zip(("price", *NAMES), zip(means, errors, exact, strict=True), strict=True):
        print(f"{name:24}" + "".join(f"{number:12.4f}" for number in row))
    draw(values, options.picture)
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
