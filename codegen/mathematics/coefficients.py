"""The generator of `tables.py`: near-minimax polynomials and split constants, computed to 60 digits.

    python -m pullback.codegen.mathematics.coefficients

Every polynomial interpolates its function at Chebyshev nodes, which is within a small factor of the minimax error; its
degree is chosen so that this error is well below the rounding of the format. Needs mpmath, which the package does not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMATS = ("float64", "float32")


def rounded(value: Any, dtype: str) -> float:
    """The nearest number of `dtype`."""
    return float(value) if dtype == "float64" else struct.unpack("<f", struct.pack("<f", float(value)))[0]


def fit(f: Callable[[Any], Any], lo: Any, hi: Any, degree: int) -> list[Any]:
    """Coefficients, lowest first, of the polynomial that equals `f` at the Chebyshev nodes of [lo, hi]."""
    from mpmath import cos, mpf, pi

    n = degree + 1
    middle, half = (mpf(lo) + hi) / 2, (mpf(hi) - lo) / 2
    # Shifted a little, because the middle of an interval is often 0, where formulas are 0/0.
    nodes = [cos(pi * (2 * k + 1) / (2 * n)) + mpf(2) ** -150 for k in range(n)]
    values = [f(middle + half * t) for t in nodes]
    chebyshev = []
    for j in range(n):
        total = sum(v * cos(j * pi * (2 * k + 1) / (2 * n)) for k, v in enumerate(values))
        chebyshev.append(total * (2 if j else 1) / n)
    rows = [[mpf(1)], [mpf(0), mpf(1)]]
    while len(rows) < n:
        shifted, before = [mpf(0), *rows[-1]], rows[-2]
        rows.append([2 * a - (before[i] if i < len(before) else 0) for i, a in enumerate(shifted)])
    in_t = [sum(chebyshev[j] * rows[j][i] for j in range(i, n)) for i in range(n)]
    return _substitute(in_t, -middle / half, 1 / half)


def _substitute(coefficients: list[Any], a: Any, b: Any) -> list[Any]:
    """Coefficients of p(a + b*x)."""
    result = [coefficients[-1]]
    for c in reversed(coefficients[:-1]):
        moved = [a * r for r in result] + [0 * a]
        for i, r in enumerate(result):
            moved[i + 1] += b * r
        moved[0] += c
        result = moved
    return result


def split(value: Any, dtype: str, *bits: int) -> list[float]:
    """`value` as a sum of numbers of `dtype`: one of each count of significant bits, then a full one."""
    from mpmath import floor, frexp, ldexp

    parts = []
    for count in bits:
        exponent = frexp(value)[1]
        part = ldexp(floor(ldexp(value, count - exponent)), exponent - count)
        parts.append(float(part))
        value = value - part
    return [*parts, rounded(value, dtype)]


def tables() -> dict[str, dict[str, list[float]]]:
    """Every table: name -> dtype -> numbers."""
    import mpmath

    with mpmath.workdps(60):
        families = (_exponential, _logarithm, _circular, _powers, _error, _gamma, _bessel)
        return {name: formats for family in families for name, formats in family(mpmath).items()}


def _each(f: Callable[[Any], Any], ranges: list[tuple[Any, Any]], degrees: tuple[int, int]) -> dict[str, list[float]]:
    """`f` fitted for each format over its range."""
    return {d: [rounded(c, d) for c in fit(f, *r, n)] for d, r, n in zip(FORMATS, ranges, degrees, strict=True)}


def _both(f: Callable[[Any], Any], lo: Any, hi: Any, degrees: tuple[int, int]) -> dict[str, list[float]]:
    return _each(f, [(lo, hi)] * 2, degrees)


def _in_square(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f as a function of t = s^2."""
    from mpmath import sqrt

    return lambda t: f(sqrt(t))


def _exponential(mp: Any) -> dict[str, dict[str, list[float]]]:
    half = mp.log(2) / 2 * mp.mpf("1.0001")
    return {
        "EXP": _both(lambda r: (mp.expm1(r) - r) / r**2, -half, half, (10, 5)),            # (e^r - 1 - r) / r^2
        "EXP2": _both(lambda r: mp.expm1(r * mp.log(2)) / r, -0.5001, 0.5001, (12, 6)),    # (2^r - 1) / r
        "LN2": {d: split(mp.log(2), d, n) for d, n in zip(FORMATS, (42, 15), strict=True)},
        "SINH": _both(_in_square(lambda s: (mp.sinh(s) - s) / s**3), 0, 1, (7, 3)),
    }


def _logarithm(mp: Any) -> dict[str, dict[str, list[float]]]:
    # log((1 + s) / (1 - s)) = 2 s + s t P(t) with t = s^2
    top = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0001")
    result = {"LOG": _both(_in_square(lambda s: (2 * mp.atanh(s) / s - 2) / s**2), 0, top, (6, 3))}
    for base in (2, 10):
        scale, two = 1 / mp.log(base), mp.log(2) / mp.log(base)
        result[f"LOG_BASE_{base}"] = {d: [*split(scale, d, p), *split(two, d, n)]
                                      for d, p, n in zip(FORMATS, (53, 24), (42, 15), strict=True)}
    return result


def _circular(mp: Any) -> dict[str, dict[str, list[float]]]:
    eighth = (mp.pi / 4 * mp.mpf("1.001")) ** 2
    return {
        "HALF_PI": {d: split(mp.pi / 2, d, n - 2, n) for d, n in zip(FORMATS, (53, 24), strict=True)},
        "PI_BY_2": {d: split(mp.pi / 2, d, n) for d, n in zip(FORMATS, (53, 24), strict=True)},
        "SIN": _both(_in_square(lambda s: (mp.sin(s) - s) / s**3), 0, eighth, (5, 3)),
        "COS": _both(_in_square(lambda s: (mp.cos(s) - 1 + s**2 / 2) / s**4), 0, eighth, (5, 2)),
        "ASIN": _both(_in_square(lambda s: (mp.asin(s) / s - 1) / s**2), 0, 0.25, (13, 5)),
        "ATAN": _both(_in_square(lambda s: (mp.atan(s) / s - 1) / s**2), 0, 0.172, (11, 4)),
    }


def _powers(mp: Any) -> dict[str, dict[str, list[float]]]:
    # 2 atanh(s) = 2 s + s t R(t) to 70 bits: the first coefficient is kept in two parts
    top = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0001")
    series = fit(_in_square(lambda s: (2 * mp.atanh(s) / s - 2) / s**2), 0, top, 8)
    return {
        "LONG_LOG": {"float64": [*split(series[0], "float64", 53), *map(float, series[1:])]},
        "CBRT": _both(lambda m: m ** (-mp.mpf(1) / 3), 1, 2, (4, 3)),
    }


def _error(mp: Any) -> dict[str, dict[str, list[float]]]:
    def scaled_complement(q: Any) -> Any:
        a = 4 * (1 + q) / (1 - q)
        return (1 + 2 * a) * mp.exp(a**2) * mp.erfc(a)

    def inverse(w: Any) -> Any:
        """erfinv(x) / x as a function of w = -log(1 - x^2)."""
        x = mp.sqrt(-mp.expm1(-w))
        rest, y = mp.exp(-w) / (1 + x), mp.sqrt(w)                      # rest = 1 - x
        if w < 1:
            return mp.erfinv(x) / x
        return mp.findroot(lambda y: mp.log(mp.erfc(y) / rest), y - mp.log(1 + y) / (2 * y), tol=mp.mpf(10) ** -80) / x

    def far(v: Any) -> Any:
        return inverse((v + mp.mpf("0.28125")) ** -2) * (v + mp.mpf("0.28125"))

    ranges = [(1 / mp.sqrt(w) - mp.mpf("0.28125"), mp.mpf("0.11875")) for w in (38, 17)]
    near = [(mp.mpf(-1), mp.mpf(a - 4) / (a + 4)) for a in (28, 11)]
    tail = (1 / mp.sqrt(mp.mpf(746)) - mp.mpf("0.1"), 1 / mp.sqrt(mp.mpf(36)) - mp.mpf("0.1"))

    def in_tail(v: Any) -> Any:
        return inverse((v + mp.mpf("0.1")) ** -2) * (v + mp.mpf("0.1"))

    def asymptotic(t: Any) -> Any:
        """a erfcx(a) as a function of t = 1/a^2."""
        a = 1 / mp.sqrt(abs(t))
        return a * mp.exp(a**2) * mp.erfc(a) if a < 40 else mp.hyp2f0(1, 0.5, -abs(t)) / mp.sqrt(mp.pi)

    return {
        "ERFINV_TAIL": {"float64": [float(c) for c in fit(in_tail, *tail, 24)]},     # towards 1 - 1e-308
        "ERFCX_FAR": _both(asymptotic, mp.mpf(10) ** -12, mp.mpf("0.0101"), (9, 4)),
        # about the middle of their ranges, w = 3.125 and 1/sqrt(w) = 0.28125, where powers are small
        "ERFINV": _both(lambda v: inverse(abs(v + mp.mpf("3.125"))), mp.mpf("-3.125"), mp.mpf("3.125"), (24, 9)),
        "ERFINV_FAR": _each(far, ranges, (27, 10)),
        "ERF": _both(_in_square(lambda s: mp.erf(s) / s - 1), 0, mp.mpf("0.5626"), (10, 5)),
        "ERFC": _each(scaled_complement, near, (24, 11)),
    }


def _gamma(mp: Any) -> dict[str, dict[str, list[float]]]:
    top = mp.mpf("1.001") / 64

    def in_inverse(f: Callable[[Any], Any], degree: int) -> list[float]:
        """f(z) as a polynomial in 1/z^2, for z >= 8."""
        return [float(c) for c in fit(lambda t: f(1 / mp.sqrt(abs(t))), mp.mpf(10) ** -12, top, degree)]

    def polygamma(order: int, first: Any, second: Any) -> list[float]:
        def rest(z: Any) -> Any:
            return (abs(mp.polygamma(order, z)) - (first + second / z) / z**order) * z ** (order + 2)

        return in_inverse(rest, 8)

    def stirling(t: Any) -> Any:
        z = 1 / t
        return mp.exp(mp.loggamma(z) - (z - mp.mpf("0.5")) * mp.log(z) + z)

    root = mp.findroot(mp.digamma, mp.mpf("1.46"))
    return {
        "GAMMA_NEAR": {"float64": [float(c) for c in fit(lambda d: mp.gamma(2 + d), -0.751, 0.501, 22)]},
        "GAMMA_FAR": {"float64": [float(c) for c in fit(stirling, mp.mpf("0.0055"), top * 8, 15)]},
        "DIGAMMA_ROOT": {"float64": split(root, "float64", 53)},
        "DIGAMMA_NEAR": {"float64": [float(c) for c in fit(
            lambda d: mp.digamma(d + 1.5) / (d + 1.5 - root), mp.mpf("-0.501"), mp.mpf("0.501"), 22)]},
        "GAMMALN": {"float64": [float(c) for c in fit(lambda d: mp.loggamma(2 + d) / d, -0.751, 0.501, 23)]},
        "STIRLING": {"float64": in_inverse(
            lambda z: (mp.loggamma(z) - (z - mp.mpf("0.5")) * mp.log(z) + z - mp.log(2 * mp.pi) / 2) * z, 7)},
        "DIGAMMA": {"float64": in_inverse(lambda z: (mp.log(z) - 1 / (2 * z) - mp.digamma(z)) * z**2, 7)},
        "POLYGAMMA1": {"float64": polygamma(1, 1, mp.mpf("0.5"))},
        "POLYGAMMA2": {"float64": polygamma(2, 1, 1)},
        "POLYGAMMA3": {"float64": polygamma(3, 2, 3)},
    }


def _bessel(mp: Any) -> dict[str, dict[str, list[float]]]:
    middle = mp.mpf("0.0625")
    result = {}
    for order in (0, 1):
        def near(t: Any, order: int = order) -> Any:
            root = mp.sqrt(abs(t))
            return mp.besseli(order, 2 * root) / root**order

        def far(v: Any, order: int = order) -> Any:
            x = 1 / (v + middle)
            return mp.sqrt(x) * mp.exp(-x) * mp.besseli(order, x)

        first, second = fit(near, mp.mpf(10) ** -20, mp.mpf("16.01"), 21), fit(far, -middle, middle * 1.001, 24)
        result |= {f"I{order}": {"float64": list(map(float, first))},
                   f"I{order}_FAR": {"float64": list(map(float, second))}}
    return result


def write(path: Path) -> None:
    """Rewrite tables.py."""
    lines = [
        '"""Coefficients and constants of the mathematics.',
        "",
        "Written by `python -m pullback.codegen.mathematics.coefficients`; do not edit.",
        '"""',
        "",
    ]
    for name, formats in tables().items():
        lines.append(f"{name} = {{")
        for dtype, numbers in formats.items():
            lines.append(f'    "{dtype}": (')
            lines += ["        " + " ".join(f"{n!r}," for n in numbers[k:k + 4]) for k in range(0, len(numbers), 4)]
            lines.append("    ),")
        lines.append("}")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(__file__).with_name("tables.py"))
