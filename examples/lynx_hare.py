"""Predator and prey: the Lotka-Volterra equations fitted to the pelts that the Hudson's Bay Company bought.

    python examples/lynx_hare.py [--picture lynx_hare.png]

Twenty-one years of lynx and hare, six unknowns: four rates and the two numbers of 1900. The residual is that of the
logarithms; its gradient is the adjoint of the Runge-Kutta loop, compiled with it, and L-BFGS does the rest.

The record is as tabulated in B. Carpenter's case study of this model in Stan (2018), whose Bayesian fit has the rates
0.55, 0.028, 0.80 and 0.024.
"""

import argparse

import matplotlib
import numpy as np
from scipy.optimize import minimize

import pullback as pb

YEARS = np.arange(1900.0, 1921.0)
HARES = np.array([30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1, 40.3, 57.0, 76.6, 52.3, 19.5, 11.2,
                  7.6, 14.6, 16.2, 24.7])       # thousands of pelts
LYNXES = np.array([4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4, 8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8,
                   9.7, 10.1, 8.6])
NAMES = ("birth of hares", "hunting", "death of lynxes", "feeding", "hares in 1900", "lynxes in 1900")
STEPS = 20                                      # Runge-Kutta steps in a year


def field(t, y, rates):
    """The equations of Lotka and Volterra."""
    hares, lynxes = y
    birth, hunting, death, feeding = rates
    return birth * hares - hunting * hares * lynxes, feeding * hares * lynxes - death * lynxes


def simulate(x, years):
    """Hares and lynxes in `years`, from the logarithms of the six unknowns."""
    birth, hunting, death, feeding, hares, lynxes = pb.unstack(pb.exp(x))
    return pb.ode.solve(field, (hares, lynxes), years, "rk4", ((birth, hunting, death, feeding),), steps=STEPS)


def misfit(x, years, hares, lynxes):
    """The mean squared error of the logarithms."""
    h, y = simulate(x, years)
    return pb.mean((pb.log(h) - np.log(hares)) ** 2 + (pb.log(y) - np.log(lynxes)) ** 2)


def fit(step, guess):
    """The unknowns at the minimum, and the misfits on the way."""
    path = []

    def objective(x):
        value, slope = step(x, YEARS, HARES, LYNXES)
        path.append(float(value))
        return float(value), slope

    found = minimize(objective, np.log(guess), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.exp(found.x), path


def first_guess():
    """Small cycles of ten years about the means: birth * death = (2 pi / 10)**2, and both derivatives vanish there."""
    rate = 2 * np.pi / 10
    return np.array([rate, rate / LYNXES.mean(), rate, rate / HARES.mean(), HARES[0], LYNXES[0]])


def draw(unknowns, path):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    years = np.linspace(1900, 1925, 501)
    hares, lynxes = pb.compile(simulate)(np.log(unknowns), years)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), width_ratios=(2, 1), layout="constrained")
    for name, curve, pelts, colour in (("hare", hares, HARES, "tab:blue"), ("lynx", lynxes, LYNXES, "tab:red")):
        left.plot(years, curve, color=colour, label=name)
        left.plot(YEARS, pelts, "o", color=colour, markersize=4)
    left.set(xlabel="year", ylabel="thousands of pelts")
    left.legend()
    right.plot(hares, lynxes, color="grey")
    right.plot(HARES, LYNXES, "k.", markersize=4)
    right.set(xlabel="hares", ylabel="lynxes")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lotka-Volterra fitted to lynx and hare pelts.")
    parser.add_argument("--picture", default="lynx_hare.png")
    options = parser.parse_args()

    step = pb.compile(pb.value_and_grad(misfit))
    unknowns, path = fit(step, first_guess())
    print(step.explain())
    print(f"misfit {path[0]:.3f} to {path[-1]:.4f} in {len(path)} evaluations of value and gradient")
    for name, value in zip(NAMES, unknowns, strict=True):
        print(f"{name:16} {value:8.4f}")
    draw(unknowns, options.picture)
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
