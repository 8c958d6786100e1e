"""Where operations are not smooth, and the derivative that is used there: a table beside that of their meanings.

In the texts `{x}` stands for an argument of the row. A jump is one of the value, a kink one of the derivative, and at a
pole one of them grows beyond every bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from .ops import AS_DEFINED
from .row import Row

JUMP, KINK, POLE = "jump", "kink", "pole"
_NONE = "none: a gradient with no other path is refused"


@dataclass(frozen=True)
class Break:
    """A condition `when` on the arguments of a row under which it is not smooth.

    `at` is a point there, and `used` the partial derivatives at it (None: not differentiated by that argument);
    `says` puts them in words, where numbers do not. `instead`: what to write.
    """

    kind: str
    when: str
    at: tuple[float, ...] = ()
    used: tuple[float | None, ...] = ()
    says: str = ""
    instead: str = ""

    def derivative(self, texts: Mapping[str, str], names: Sequence[str], free: Sequence[str]) -> str:
        """What is used there, by those arguments `names` of the row that are `free`; they read as in `texts`."""
        known = [(n, u) for n, u in zip(names, self.used, strict=False) if u is not None and n in free]
        if self.says or known:
            each = ", ".join(f"{u:g} by {texts[n]}" if len(known) > 1 else f"{u:g}" for n, u in known)
            return self.says.format(**texts) or each
        return "that of the formula" if self.kind == POLE else _NONE


def _safe(value: str, test: str, part: str = "x", good: str = "1") -> str:
    """The argument replaced inside the branch as well, so that neither branch is evaluated where it is not defined."""
    inner = value.replace("{" + part + "}", f"pb.where({test}, {{{part}}}, {good})")
    return f"pb.where({test}, {inner}, 0)"


_STEP = "pb.sigmoid({x}/width) for a step of some width"
_POSITIVE = "{x} > 0"
_END = "pb.clip({x}, -1 + eps, 1 - eps) inside"

BREAKS: dict[str, tuple[Break, ...]] = {
    "abs": (Break(KINK, "{x} = 0", (0.0,), (0.0,), instead="pb.sqrt({x}**2 + eps**2)"),),
    "sign": (Break(JUMP, "{x} = 0", (0.0,), instead="pb.tanh({x}/width)"),),
    "heaviside": (Break(JUMP, "{x} = 0", (0.0, 0.5), (None, 1.0), instead=_STEP),),
    "copysign": (Break(KINK, "{x} = 0", (0.0, 1.0), (0.0, None)),
                 Break(JUMP, "{y} = 0", (2.0, 0.0), (1.0, None), instead="{x}*pb.tanh({y}/width)")),
    "signbit": (Break(JUMP, "{x} = 0"),),
    "floor": (Break(JUMP, "{x} is an integer", (2.0,)),),
    "ceil": (Break(JUMP, "{x} is an integer", (2.0,)),),
    "trunc": (Break(JUMP, "{x} is an integer other than 0", (2.0,)),),
    "round": (Break(JUMP, "{x} + 1/2 is an integer", (2.5,)),),
    "floor_divide": (Break(JUMP, "{x}/{y} is an integer", (6.0, 3.0)),),
    "remainder": (Break(JUMP, "{x}/{y} is an integer", (6.0, 3.0), (1.0, -2.0),
                        instead="pb.sin(2*pb.pi*{x}/{y}) and pb.cos(2*pb.pi*{x}/{y}) for what is periodic"),),
    "fmod": (Break(JUMP, "{x}/{y} is an integer other than 0", (6.0, 3.0), (1.0, -2.0)),),
    "divide": (Break(POLE, "{y} = 0", (1.0, 0.0), (inf, -inf), instead=_safe("{x}/{y}", "{y} != 0", "y")),),
    "reciprocal": (Break(POLE, "{x} = 0", (0.0,), (-inf,), instead=_safe("1/{x}", "{x} != 0")),),
    "sqrt": (Break(POLE, "{x} = 0", (0.0,), (inf,), instead=_safe("pb.sqrt({x})", _POSITIVE)),),
    "rsqrt": (Break(POLE, "{x} = 0", (0.0,), (-inf,), instead=_safe("pb.rsqrt({x})", _POSITIVE)),),
    "cbrt": (Break(POLE, "{x} = 0", (0.0,), (inf,)),),
    "power": (Break(POLE, "{x} = 0", (0.0, 0.5), (inf, 0.0), "inf for exponents below 1; by the exponent 0",
                    _safe("{x}**{y}", _POSITIVE)),),
    "log": (Break(POLE, "{x} = 0", (0.0,), (inf,), instead=_safe("pb.log({x})", _POSITIVE)),),
    "log2": (Break(POLE, "{x} = 0", (0.0,), (inf,), instead=_safe("pb.log2({x})", _POSITIVE)),),
    "log10": (Break(POLE, "{x} = 0", (0.0,), (inf,), instead=_safe("pb.log10({x})", _POSITIVE)),),
    "log1p": (Break(POLE, "{x} = -1", (-1.0,), (inf,), instead=_safe("pb.log1p({x})", "{x} > -1", good="0")),),
    "logit": (Break(POLE, "{x} = 0", (0.0,), (inf,)),
              Break(POLE, "{x} = 1", (1.0,), (inf,), instead="pb.clip({x}, eps, 1 - eps) inside")),
    "xlogy": (Break(POLE, "{y} = 0", (0.0, 0.0), (-inf, 0.0), "where {x} = 0: -inf by {x}, 0 by {y}"),),
    "xlog1py": (Break(POLE, "{y} = -1", (0.0, -1.0), (-inf, 0.0), "where {x} = 0: -inf by {x}, 0 by {y}"),),
    "tan": (Break(POLE, "cos({x}) = 0"),),
    "asin": (Break(POLE, "|{x}| = 1", (1.0,), (inf,), instead=_END),),
    "acos": (Break(POLE, "|{x}| = 1", (1.0,), (-inf,), instead=_END),),
    "acosh": (Break(POLE, "{x} = 1", (1.0,), (inf,)),),
    "atanh": (Break(POLE, "|{x}| = 1", (1.0,), (inf,), instead=_END),),
    "erfinv": (Break(POLE, "|{x}| = 1", (1.0,), (inf,), instead=_END),),
    "atan2": (Break(KINK, "{y} = {x} = 0", (0.0, 0.0), (0.0, 0.0)),
              Break(JUMP, "{y} = 0 and {x} < 0", (0.0, -1.0), (-1.0, 0.0))),
    "hypot": (Break(KINK, "{x} = {y} = 0", (0.0, 0.0), (0.0, 0.0), instead="pb.sqrt({x}**2 + {y}**2 + eps**2)"),),
    "log1mexp": (Break(POLE, "{x} = 0", (0.0,), (-inf,)),),
    "erfcinv": (Break(POLE, "{x} = 0", (0.0,), (-inf,)), Break(POLE, "{x} = 2", (2.0,), (-inf,))),
    "ndtri": (Break(POLE, "{x} = 0", (0.0,), (inf,)),
              Break(POLE, "{x} = 1", (1.0,), (inf,), instead="pb.clip({x}, eps, 1 - eps) inside")),
    "i0e": (Break(KINK, "{x} = 0", (0.0,), (0.0,)),),
    "zeta": (Break(POLE, "{s} = 1"), Break(POLE, "{q} is an integer, 0 or below")),
    **{name: (Break(POLE, "{x} or {y} is an integer, 0 or below"),) for name in ("beta", "betaln")},
    "gammaln": (Break(POLE, "{x} is an integer, 0 or below", instead="pb.gammaln(pb.maximum({x}, eps))"),),
    **{name: (Break(POLE, "{x} is an integer, 0 or below"),)
       for name in ("gamma", "digamma", "polygamma1", "polygamma2", "polygamma3")},
    **{name: (Break(KINK, "{x} = {y}", (1.0, 1.0), (0.5, 0.5), instead=instead),)
       for name, instead in (("maximum", "pb.logaddexp({x}/width, {y}/width)*width"),
                             ("minimum", "-pb.logaddexp(-{x}/width, -{y}/width)*width"), ("fmax", ""), ("fmin", ""))},
    "clip": (Break(KINK, "{x} = {low}", (0.0, 0.0, 1.0), (0.5, 0.5, 0.0)),
             Break(KINK, "{x} = {high}", (1.0, 0.0, 1.0), (0.5, 0.0, 0.5))),
}


def of_row(row: Row) -> tuple[Break, ...]:
    """The breaks of a row; what it says of itself, where it is not in the table."""
    if row.name in BREAKS or not row.kinks or row.kinks == AS_DEFINED:
        return BREAKS.get(row.name, ())
    return (Break(KINK, f"{row.name}: {row.kinks}"),)


# What is no row.
COMPARED = Break(JUMP, "{x} = {y}", says="that of the branch taken",
                 instead="with s = pb.sigmoid(({x} - {y})/width): s*a + (1 - s)*b")
BRANCHED = Break(JUMP, "{x} changes", says="that of the body taken")
TURNS = Break(JUMP, "the number of turns changes", says="that of the turns taken")
TRUNCATED = Break(JUMP, "{x} is an integer", says=_NONE)
MOVED = Break(JUMP, "the index changes", says="that of the element taken")
TIED = Break(KINK, "two elements of {x} are both the greatest", says="ties share it equally",
             instead="pb.logsumexp({x}/width)*width")
TIED_LEAST = Break(KINK, "two elements of {x} are both the least", says="ties share it equally",
                   instead="-pb.logsumexp(-{x}/width)*width")
ZERO_NORM = Break(KINK, "all of {x} are 0", (0.0,), (0.0,), says="0", instead="pb.sqrt(pb.sum({x}**2) + eps**2)")
SINGULAR = Break(POLE, "the matrix {x} is singular")
SOLVED = Break(POLE, "the derivative of the residual is singular", says="none: NaN, or an error")
EQUAL_VALUES = Break(POLE, "two eigenvalues or singular values of {x} are equal", says="that of the formula")
UNORDERED = Break(KINK, "two elements of {x} that are neighbours in order are equal", says="that of the order found")
