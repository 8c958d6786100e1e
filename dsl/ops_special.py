"""The special functions of the table of scalar operations; `ops` says what a row is."""

from __future__ import annotations

from math import inf

from . import ops_numpy
from .row import entry as _row

_TAILS = ((-30.0, 8.0),)
_POSITIVE = ((0.05, 40.0), (0.05, 40.0))

SPECIAL = (
    _row("erf", "x", "erf(x)", "float", ops_numpy.special("erf"), domain=((-5, 5),),
         edges=((1e-300,), (1e-8,), (-9.0,)),
         special=(((inf,), 1.0, (0.0,)),)),
    _row("erfc", "x", "erfc(x)", "float", ops_numpy.special("erfc"), domain=((-4, 8),), edges=((25.0,), (-9.0,)),
         tolerance=32.0),
    _row("erfinv", "x", "erfinv(x)", "float", ops_numpy.special("erfinv"), domain=((-0.99, 0.99),),
         edges=((1e-300,), (1.0 - 1e-12,)), tolerance=16.0,
         special=(((1.0,), inf, (inf,)), ((-1.0,), -inf, (inf,)))),
    _row("gammaln", "x", "log(Abs(gamma(x)))", "float", ops_numpy.special("gammaln"), aliases=("lgamma",),
         latex=r"\log\Gamma\left(#1\right)",
         domain=((0.05, 40),), edges=((1e-300,), (1e6,), (-0.5,), (-2.7,)), tolerance=16.0, absolute=1.0),
    _row("digamma", "x", "digamma(x)", "float", ops_numpy.special("psi"), aliases=("psi",),
         latex=r"\psi\left(#1\right)",
         domain=((0.05, 40),), edges=((1e-150,), (1e6,), (-0.5,)), tolerance=16.0, absolute=1.0),
    *(_row(f"polygamma{n}", "x", f"polygamma({n}, x)", "float", ops_numpy.special("polygamma", n),
           latex=rf"\psi^{{({n})}}\left(#1\right)", domain=((0.05, 40),), edges=((1e-30,), (1e5,)), tolerance=64.0)
      for n in (1, 2, 3)),
    _row("zeta", "s q", "zeta(s, q)", "float", ops_numpy.special("zeta"), latex=r"\zeta\left(#1, #2\right)",
         domain=((1.5, 9), (0.05, 40)), edges=((5.0, 1e-30), (3.0, 1e5)), tolerance=64.0,
         kinks="of its derivatives only that in q is in the table"),
    _row("gamma", "x", "gamma(x)", "float", ops_numpy.special("gamma"), latex=r"\Gamma\left(#1\right)",
         domain=((0.05, 20),), edges=((1e-100,), (150.0,), (-0.5,), (-2.7,)), tolerance=16.0),
    _row("beta", "x y", "beta(x, y)", "float", ops_numpy.beta, latex=r"B\left(#1, #2\right)",
         domain=_POSITIVE, edges=((1e-3, 2.0), (3.0, 60.0)), tolerance=128.0),
    _row("betaln", "x y", "log(gamma(x)*gamma(y)/gamma(x + y))", "float", ops_numpy.betaln,
         latex=r"\log B\left(#1, #2\right)", domain=_POSITIVE, edges=((1e-10, 2.0), (3.0, 1e5), (1e4, 2e4)),
         tolerance=64.0, absolute=1.0),
    _row("exp_product", "x y", "exp(x*y)", "float", latex=r"e^{#1 \, #2}", domain=((-9, 9), (-9, 9)),
         edges=((26.0, -26.1), (1e-300, 2.0))),
    _row("erfcx", "x", "exp(x**2)*erfc(x)", "float", ops_numpy.special("erfcx"), domain=((-5, 20),),
         edges=((1e-300,), (25.0,), (6.99,), (7.01,), (1e5,), (-20.0,)), tolerance=32.0,
         special=(((inf,), 0.0, (0.0,)),)),
    _row("erfcinv", "x", "erfinv(1 - x)", "float", ops_numpy.special("erfcinv"), domain=((1e-3, 1.99),),
         edges=((1e-20,), (1.0 + 1e-9,)), tolerance=16.0,
         special=(((0.0,), inf, (-inf,)), ((2.0,), -inf, (-inf,)))),
    _row("ndtr", "x", "erfc(-x/sqrt(2))/2", "float", ops_numpy.ndtr, latex=r"\Phi\left(#1\right)",
         domain=_TAILS, edges=((1e-300,), (-37.0,)), tolerance=16.0, special=(((-inf,), 0.0, (0.0,)),)),
    _row("log_ndtr", "x", "log(erfc(-x/sqrt(2))/2)", "float", ops_numpy.log_ndtr,
         latex=r"\log\Phi\left(#1\right)", domain=_TAILS, edges=((1e-300,), (-37.0,), (25.0,)),
         tolerance=16.0, special=(((-inf,), -inf, (inf,)),)),
    _row("ndtri", "x", "sqrt(2)*erfinv(2*x - 1)", "float", ops_numpy.special("ndtri"),
         latex=r"\Phi^{-1}\left(#1\right)", domain=((1e-3, 0.999),), edges=((1e-20,), (0.5 + 1e-9,)), tolerance=16.0,
         special=(((0.0,), -inf, (inf,)), ((1.0,), inf, (inf,)))),
    _row("i0", "x", "besseli(0, x)", "float", ops_numpy.special("i0"), latex=r"I_0\left(#1\right)",
         domain=((-50, 50),), edges=((0.0,), (1e-100,), (600.0,)), tolerance=16.0),
    _row("i1", "x", "besseli(1, x)", "float", ops_numpy.special("i1"), latex=r"I_1\left(#1\right)",
         domain=((-50, 50),), edges=((1e-100,), (600.0,)), tolerance=16.0, special=(((0.0,), 0.0, (0.5,)),)),
    _row("i0e", "x", "exp(-Abs(x))*besseli(0, x)", "float", ops_numpy.special("i0e"), domain=((-50, 50),),
         edges=((1e-100,), (700.0,), (29.9,), (-30.1,)), tolerance=16.0, kinks="derivative 0 at 0",
         special=(((0.0,), 1.0, (0.0,)), ((inf,), 0.0, (None,)))),
    _row("i1e", "x", "exp(-Abs(x))*besseli(1, x)", "float", ops_numpy.special("i1e"), domain=((-50, 50),),
         edges=((1e-100,), (700.0,), (29.9,), (-30.1,)), tolerance=16.0, special=(((0.0,), 0.0, (0.5,)),)),
)
