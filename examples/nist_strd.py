"""Certified curve fits: eight nonlinear regressions of the NIST Statistical Reference Datasets.

    python examples/nist_strd.py [--picture nist_strd.png]

NIST certifies parameters and residual sums of squares to eleven digits, and gives two starting values for each problem;
those of higher difficulty defeat many programs from the far one. Levenberg and Marquardt's method is written here with
what the language gives: the residuals, their Jacobian and their second derivative along a step are one compiled
function each. The second derivative bends the step into a parabola ("geodesic acceleration", Transtrum and Sethna,
2012), which follows the narrow valleys of these sums of squares.

The records are in the public domain: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import pullback as pb


@dataclass(frozen=True, eq=False)
class Problem:
    """A model of x and parameters b, the observations, both starting values, and what NIST certifies."""

    name: str
    model: Callable
    x: np.ndarray
    y: np.ndarray
    starts: tuple[tuple[float, ...], ...]
    certified: tuple[float, ...]
    sum_of_squares: float


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), float)


def rational_cubic(x, b):
    top = b[0] + x * (b[1] + x * (b[2] + x * b[3]))
    return top / (1 + x * (b[4] + x * (b[5] + x * b[6])))


PROBLEMS = (
    Problem("MGH17", lambda x, b: b[0] + b[1] * pb.exp(-x * b[3]) + b[2] * pb.exp(-x * b[4]),
            np.arange(0.0, 330.0, 10.0),
            numbers("0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 0.628 0.603 "
                    "0.580 0.558 0.538 0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 0.424 0.420 0.414 0.411 "
                    "0.406"),
            ((50, 150, -100, 1, 2), (0.5, 1.5, -1, 0.01, 0.02)),
            (3.7541005211e-01, 1.9358469127e00, -1.4646871366e00, 1.2867534640e-02, 2.2122699662e-02),
            5.4648946975e-05),
    Problem("MGH09", lambda x, b: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
            numbers("4 2 1 0.5 0.25 0.167 0.125 0.1 0.0833 0.0714 0.0625"),
            numbers("0.1957 0.1947 0.1735 0.1600 0.0844 0.0627 0.0456 0.0342 0.0323 0.0235 0.0246"),
            ((25, 39, 41.5, 39), (0.25, 0.39, 0.415, 0.39)),
            (1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01), 3.0750560385e-04),
    Problem("MGH10", lambda x, b: b[0] * pb.exp(b[1] / (x + b[2])),
            np.arange(50.0, 130.0, 5.0),
            numbers("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872"),
            ((2, 400000, 25000), (0.02, 4000, 250)),
            (5.6096364710e-03, 6.1813463463e03, 3.4522363462e02), 8.7945855171e01),
    Problem("Thurber", rational_cubic,
            numbers("-3.067 -2.981 -2.921 -2.912 -2.840 -2.797 -2.702 -2.699 -2.633 -2.481 -2.363 -2.322 -1.501 -1.460 "
                    "-1.274 -1.212 -1.100 -1.046 -0.915 -0.714 -0.566 -0.545 -0.400 -0.309 -0.109 -0.103 0.010 0.119 "
                    "0.377 0.790 0.963 1.006 1.115 1.572 1.841 2.047 2.200"),
            numbers("80.574 84.248 87.264 87.195 89.076 89.608 89.868 90.101 92.405 95.854 100.696 101.060 401.672 "
                    "390.724 567.534 635.316 733.054 759.087 894.206 990.785 1090.109 1080.914 1122.643 1178.351 "
                    "1260.531 1273.514 1288.339 1327.543 1353.863 1414.509 1425.208 1421.384 1442.962 1464.350 "
                    "1468.705 1447.894 1457.628"),
            ((1000, 1000, 400, 40, 0.7, 0.3, 0.03), (1300, 1500, 500, 75, 1, 0.4, 0.05)),
            (1.2881396800e03, 1.4910792535e03, 5.8323836877e02, 7.5416644291e01, 9.6629502864e-01, 3.9797285797e-01,
             4.9727297349e-02), 5.6427082397e03),
    Problem("BoxBOD", lambda x, b: b[0] * (1 - pb.exp(-b[1] * x)),
            numbers("1 2 3 5 7 10"), numbers("109 149 149 191 213 224"),
            ((1, 1), (100, 0.75)), (2.1380940889e02, 5.4723748542e-01), 1.1680088766e03),
    Problem("Rat42", lambda x, b: b[0] / (1 + pb.exp(b[1] - b[2] * x)),
            numbers("9 14 21 28 42 57 63 70 79"),
            numbers("8.930 10.800 18.590 22.330 39.350 56.110 61.730 64.620 67.080"),
            ((100, 1, 0.1), (75, 2.5, 0.07)),
            (7.2462237576e01, 2.6180768402e00, 6.7359200066e-02), 8.0565229338e00),
    Problem("Rat43", lambda x, b: b[0] / (1 + pb.exp(b[1] - b[2] * x)) ** (1 / b[3]),
            np.arange(1.0, 16.0),
            numbers("16.08 33.83 65.80 97.20 191.55 326.20 386.87 520.53 590.03 651.92 724.93 699.56 689.96 637.56 "
                    "717.41"),
            ((100, 10, 1, 1), (700, 5, 0.75, 1.3)),
            (6.9964151270e02, 5.2771253025e00, 7.5962938329e-01, 1.2792483859e00), 8.7864049080e03),
    Problem("Eckerle4", lambda x, b: b[0] / b[1] * pb.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
            numbers("400 405 410 415 420 425 430 435 436.5 438 439.5 441 442.5 444 445.5 447 448.5 450 451.5 453 454.5 "
                    "456 457.5 459 460.5 462 463.5 465 470 475 480 485 490 495 500"),
            numbers("0.0001575 0.0001699 0.0002350 0.0003102 0.0004917 0.0008710 0.0017418 0.0046400 0.0065895 "
                    "0.0097302 0.0149002 0.0237310 0.0401683 0.0712559 0.1264458 0.2073413 0.2902366 0.3445623 "
                    "0.3698049 0.3668534 0.3106727 0.2078154 0.1164354 0.0616764 0.0337200 0.0194023 0.0117831 "
                    "0.0074357 0.0022732 0.0008800 0.0004579 0.0002345 0.0001586 0.0001143 0.0000710"),
            ((1, 10, 500), (1.5, 5, 450)),
            (1.5543827178e00, 4.0888321754e00, 4.5154121844e02), 1.4635887487e-03),
)


def functions(problem):
    """Residuals with their Jacobian, and their second derivative along a direction, each one compiled program."""
    def residuals(b):
        return problem.model(problem.x, b) - problem.y

    def along(b, v):
        return pb.jvp(residuals, (b,), (v,))[1]

    first = pb.compile(lambda b: (residuals(b), pb.jacobian(residuals)(b)))
    second = pb.compile(lambda b, v: pb.jvp(lambda b: along(b, v), (b,), (v,))[1])
    return first, second


def least_squares(matrix, right):
    return np.linalg.lstsq(matrix, np.append(right, np.zeros(len(matrix) - len(right))), rcond=None)[0]


def fit(problem, start, most=5000):
    """Parameters, sum of squares and steps of the fit from `start`.

    A step solves the damped linear problem by least squares, which keeps the digits that normal equations lose. Columns
    are scaled by their lengths, and by longer ones of a while ago, so that no parameter runs away where the model has
    ceased to depend on it. It ends where a step no longer changes the parameters.
    """
    first, second = functions(problem)
    b, damping, lengths = np.array(start, float), 1.0, np.finfo(float).tiny
    r, jacobian = first(b)
    steps = 0
    while steps < most and damping < 1e16:
        steps += 1
        lengths = np.maximum(np.linalg.norm(jacobian, axis=0), 0.8 * lengths)
        matrix = np.vstack([jacobian / lengths, np.sqrt(damping) * np.eye(len(b))])

        velocity = least_squares(matrix, -r) / lengths
        bend = second(b, velocity)
        acceleration = least_squares(matrix, -0.5 * bend) / lengths if np.isfinite(bend).all() else 0 * b
        gentle = np.linalg.norm(acceleration * lengths) <= 0.4 * np.linalg.norm(velocity * lengths)
        trial = b + velocity + acceleration
        there = first(trial)
        with np.errstate(over="ignore"):
            lower = np.linalg.norm(there[0]) <= np.linalg.norm(r)          # not so for NaN
        if gentle and lower:
            still = np.allclose(trial, b, rtol=1e-12, atol=0)
            b, (r, jacobian), damping = trial, there, damping / 5
            if still:
                break
        else:
            damping *= 3
    return b, float(r @ r), steps


def digits(found, certified):
    """How many digits of all parameters are as certified."""
    error = np.max(np.abs(np.asarray(found) / certified - 1))
    return 11.0 if error < 1e-11 else -np.log10(error)


def draw(fits, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(13, 5.5), layout="constrained")
    for axis, (problem, b) in zip(axes.flat, fits, strict=True):
        x = np.linspace(problem.x.min(), problem.x.max(), 400)
        far = pb.compile(problem.model)(x, np.array(problem.starts[0], float))
        low, high = problem.y.min(), problem.y.max()
        axis.plot(x, np.clip(far, low - 0.1 * (high - low), high + 0.1 * (high - low)), ":", color="grey")
        axis.plot(x, pb.compile(problem.model)(x, b), color="tab:blue")
        axis.plot(problem.x, problem.y, "k.", markersize=4)
        axis.set_title(problem.name)
    figure.supxlabel("fits (blue) to the observations; dotted: the model at the far starting values, cut off")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Nonlinear regressions with certified results.")
    parser.add_argument("--picture", default="nist_strd.png")
    options = parser.parse_args()

    print("problem   start  steps  digits  sum of squares    certified")
    fits = []
    for problem in PROBLEMS:
        for number, start in enumerate(problem.starts, 1):
            b, total, steps = fit(problem, start)
            print(f"{problem.name:9} {number:5} {steps:6} {digits(b, problem.certified):7.1f}  {total:<16.10e}  "
                  f"{problem.sum_of_squares:.10e}")
        fits.append((problem, b))
    draw(fits, options.picture)
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
