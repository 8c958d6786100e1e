"""The machine operations of codegen/machine.py as LLVM instructions, on scalars and on lanes alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .llvm_function import Function, register_type, scalar_type

Printer = Callable[["Op"], str]


class Op:
    """One operation about to be printed: result `dtype`, argument texts and dtypes, `width` lanes, at loop `depth`."""

    def __init__(
        self, f: Function, name: str, dtype: str, args: Sequence[str], kinds: Sequence[str], width: int, depth: int
    ) -> None:
        self.f, self.name, self.dtype, self.args, self.kinds, self.width, self.depth = (
            f,
            name,
            dtype,
            list(args),
            kinds,
            width,
            depth,
        )

    @property
    def type(self) -> str:
        return register_type(self.dtype, self.width)

    @property
    def floating(self) -> bool:
        return self.kinds[-1].startswith("float")

    @property
    def signed(self) -> bool:
        return self.kinds[-1].startswith("int")

    @property
    def source(self) -> str:
        """The register type of the last argument."""
        return register_type(self.kinds[-1], self.width)

    def __call__(self, text: str) -> str:
        return self.f.pure(text, self.depth)

    def constant(self, value: int | str, dtype: str | None = None) -> str:
        """An integer (or 'true') of `dtype`, the result's by default, in all lanes."""
        kind = scalar_type(dtype or self.dtype)
        return f"splat ({kind} {value})" if self.width else str(value)

    def intrinsic(self, name: str, args: Sequence[str], dtype: str | None = None, flag: str = "") -> str:
        """Call `llvm.name` on arguments that share one type; `flag` is a last i1 argument."""
        kind = dtype or self.dtype
        plain = scalar_type(kind).replace("double", "f64").replace("float", "f32")
        suffix = f"v{self.width}{plain}" if self.width else plain
        t = register_type(kind, self.width)
        given = ", ".join([f"{t} {a}" for a in args] + ([f"i1 {flag}"] if flag else []))
        types = ", ".join([t] * len(args) + (["i1"] if flag else []))
        return self(self.f.call(t, f"llvm.{name}.{suffix}", given, types))


def binary(name_float: str | None, name_int: str, name_bool: str) -> Printer:
    def print_it(o: Op) -> str:
        name = name_bool if o.dtype == "bool" else name_float if o.floating and name_float else name_int
        return o(f"{name} {o.type} {o.args[0]}, {o.args[1]}")

    return print_it


def compare(name_float: str, name_int: str, ordered: bool = True) -> Printer:
    def print_it(o: Op) -> str:
        if o.floating:
            return o(f"fcmp {name_float} {o.source} {o.args[0]}, {o.args[1]}")
        sign = ("s" if o.signed else "u") if ordered else ""
        return o(f"icmp {sign}{name_int} {o.source} {o.args[0]}, {o.args[1]}")

    return print_it


def extreme(name: str, logic: str) -> Printer:
    def print_it(o: Op) -> str:
        if o.dtype == "bool":
            return o(f"{logic} {o.type} {o.args[0]}, {o.args[1]}")
        short = name[:3]
        return o.intrinsic(name if o.floating else ("s" if o.signed else "u") + short, o.args)

    return print_it


def rounding(name: str) -> Printer:
    return lambda o: o.intrinsic(name, o.args) if o.floating else o.args[0]


def truth(o: Op, k: int) -> str:
    """Argument `k` as a bool: whether it differs from zero."""
    kind = o.kinds[k]
    if kind == "bool":
        return o.args[k]
    t = register_type(kind, o.width)
    return (
        o(f"fcmp une {t} {o.args[k]}, zeroinitializer" if o.width else f"fcmp une {t} {o.args[k]}, 0.0")
        if kind.startswith("float")
        else o(f"icmp ne {t} {o.args[k]}, {o.constant(0, kind)}")
    )


def logic(name: str) -> Printer:
    return lambda o: o(f"{name} {o.type} {truth(o, 0)}, {truth(o, 1)}")


def select(o: Op, condition: str, yes: str, no: str, dtype: str | None = None) -> str:
    t = register_type(dtype or o.dtype, o.width)
    return o(f"select {register_type('bool', o.width)} {condition}, {t} {yes}, {t} {no}")


def _negative(o: Op) -> str:
    return o(f"fneg {o.type} {o.args[0]}") if o.floating else o(f"sub {o.type} {o.constant(0)}, {o.args[0]}")


def _abs(o: Op) -> str:
    if o.floating:
        return o.intrinsic("fabs", o.args)
    return o.intrinsic("abs", o.args, flag="false") if o.signed else o.args[0]


def _invert(o: Op) -> str:
    return o(f"xor {o.type} {o.args[0]}, {o.constant('true' if o.dtype == 'bool' else -1)}")


def _shift(left: bool) -> Printer:
    def print_it(o: Op) -> str:
        bits = int(scalar_type(o.dtype)[1:])
        count, inside = o.args[1], o(f"icmp ult {o.type} {o.args[1]}, {o.constant(bits)}")
        if not left and o.signed:
            count = select(o, inside, count, o.constant(bits - 1))
            return o(f"ashr {o.type} {o.args[0]}, {count}")
        shifted = o(f"{'shl' if left else 'lshr'} {o.type} {o.args[0]}, {count}")
        return select(o, inside, shifted, o.constant(0))

    return print_it


def _division(want_remainder: bool) -> Printer:
    def print_it(o: Op) -> str:
        if o.floating:
            return _float_division(o, want_remainder)
        (a, b), t, flag = o.args, o.type, register_type("bool", o.width)
        if o.dtype == "bool":
            raise AssertionError("integer division of bools is cast by the expression floor")
        zero = o(f"icmp eq {t} {b}, {o.constant(0)}")
        if not o.signed:
            safe = select(o, zero, o.constant(1), b)
            return select(o, zero, o.constant(0), o(f"{'urem' if want_remainder else 'udiv'} {t} {a}, {safe}"))
        lowest = -(1 << (int(scalar_type(o.dtype)[1:]) - 1))
        edge = o(f"and {flag} {o(f'icmp eq {t} {a}, {o.constant(lowest)}')}, {o(f'icmp eq {t} {b}, {o.constant(-1)}')}")
        safe = select(o, o(f"or {flag} {zero}, {edge}"), o.constant(1), b)
        rest = o(f"srem {t} {a}, {safe}")
        opposite = o(f"icmp slt {t} {o(f'xor {t} {rest}, {safe}')}, {o.constant(0)}")
        adjust = o(f"and {flag} {opposite}, {o(f'icmp ne {t} {rest}, {o.constant(0)}')}")
        if want_remainder:
            return select(o, zero, o.constant(0), select(o, adjust, o(f"add {t} {rest}, {safe}"), rest))
        quotient = o(f"sdiv {t} {a}, {safe}")
        return select(o, zero, o.constant(0), select(o, adjust, o(f"sub {t} {quotient}, {o.constant(1)}"), quotient))

    return print_it


def _float_division(o: Op, want_remainder: bool) -> str:
    """Python's // and % on floats: the sign of the divisor, exact remainder, quotient rounded to a whole number."""
    (a, b), t, flag = o.args, o.type, register_type("bool", o.width)
    zero, half, one = (f"splat ({scalar_type(o.dtype)} {c})" if o.width else c for c in ("0.0", "0.5", "1.0"))
    ratio, rest = o(f"fdiv {t} {a}, {b}"), o(f"frem {t} {a}, {b}")
    none = o(f"fcmp oeq {t} {b}, {zero}")
    inexact = o(f"fcmp une {t} {rest}, {zero}")
    signs = o(f"xor {flag} {o(f'fcmp olt {t} {b}, {zero}')}, {o(f'fcmp olt {t} {rest}, {zero}')}")
    adjust = o(f"and {flag} {signs}, {inexact}")
    if want_remainder:
        moved = select(o, adjust, o(f"fadd {t} {rest}, {b}"), rest)
        return select(o, inexact, moved, o.intrinsic("copysign", [zero, b]))
    whole = o(f"fdiv {t} {o(f'fsub {t} {a}, {rest}')}, {b}")
    whole = select(o, adjust, o(f"fsub {t} {whole}, {one}"), whole)
    floor = o.intrinsic("floor", [whole])
    up = o(f"fcmp ogt {t} {o(f'fsub {t} {whole}, {floor}')}, {half}")
    floor = select(o, up, o(f"fadd {t} {floor}, {one}"), floor)
    nonzero = o(f"fcmp une {t} {whole}, {zero}")
    return select(o, none, ratio, select(o, nonzero, floor, o.intrinsic("copysign", [zero, ratio])))


def _cast(o: Op) -> str:
    """C's conversions; a float becomes a small integer by way of a wider one, so that it wraps as NumPy's does."""
    have, want, a = o.kinds[0], o.dtype, o.args[0]
    if have == want:
        return a
    if want == "bool":
        return truth(o, 0)
    t, source = o.type, o.source
    if have.startswith("float"):
        if want.startswith("float"):
            return o(f"{'fpext' if want == 'float64' else 'fptrunc'} {source} {a} to {t}")
        if want in ("int32", "int64", "uint64"):
            return o(f"{'fptoui' if want == 'uint64' else 'fptosi'} {source} {a} to {t}")
        wide = register_type("int64" if want == "uint32" else "int32", o.width)
        return o(f"trunc {wide} {o(f'fptosi {source} {a} to {wide}')} to {t}")
    signed = have.startswith("int")
    if want.startswith("float"):
        return o(f"{'sitofp' if signed else 'uitofp'} {source} {a} to {t}")
    bits_have, bits_want = (int(scalar_type(d)[1:]) for d in (have, want))
    if bits_have == bits_want:
        return a
    return o(f"{'trunc' if bits_want < bits_have else 'sext' if signed else 'zext'} {source} {a} to {t}")


PRINTERS: dict[str, Printer] = {
    "add": binary("fadd", "add", "or"),
    "subtract": binary("fsub", "sub", "xor"),
    "multiply": binary("fmul", "mul", "and"),
    "divide": binary("fdiv", "fdiv", "fdiv"),
    "negative": _negative,
    "abs": _abs,
    "sqrt": lambda o: o.intrinsic("sqrt", o.args),
    "fma": lambda o: o.intrinsic("fma", o.args),
    "copysign": lambda o: o.intrinsic("copysign", o.args),
    "floor": rounding("floor"),
    "ceil": rounding("ceil"),
    "trunc": rounding("trunc"),
    "round": rounding("roundeven"),
    "minimum": extreme("minimum", "and"),
    "maximum": extreme("maximum", "or"),
    "equal": compare("oeq", "eq", False),
    "not_equal": compare("une", "ne", False),
    "less": compare("olt", "lt"),
    "less_equal": compare("ole", "le"),
    "greater": compare("ogt", "gt"),
    "greater_equal": compare("oge", "ge"),
    "logical_and": logic("and"),
    "logical_or": logic("or"),
    "logical_xor": logic("xor"),
    "logical_not": lambda o: o(f"xor {o.type} {truth(o, 0)}, {o.constant('true')}"),
    "where": lambda o: select(o, truth(o, 0), o.args[1], o.args[2]),
    "mask": lambda o: select(
        o,
        truth(o, 0),
        o.args[1],
        "zeroinitializer" if o.width else "0.0" if o.floating else "false" if o.dtype == "bool" else "0",
    ),
    "bitwise_and": binary(None, "and", "and"),
    "bitwise_or": binary(None, "or", "or"),
    "bitwise_xor": binary(None, "xor", "xor"),
    "bitwise_invert": _invert,
    "bitwise_left_shift": _shift(True),
    "bitwise_right_shift": _shift(False),
    "floor_divide": _division(False),
    "remainder": _division(True),
    "cast": _cast,
    "bitcast": lambda o: (
        o(f"bitcast {o.source} {o.args[0]} to {o.type}")
        if scalar_type(o.kinds[0]) != scalar_type(o.dtype)
        else o.args[0]
    ),
    "stop_gradient": lambda o: o.args[0],
}
