"""Computes a Routine on NumPy arrays, statement by statement; fused multiply-adds by LLVM, everything else by NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np

from pullback.codegen.machine import Routine
from pullback.codegen.program import Literal


@cache
def fma():
    import numba
    from llvmlite import ir
    from numba import extending

    @extending.intrinsic
    def fused(context, a, b, c):
        def emit(context, builder, signature, args):
            kind = args[0].type
            function = builder.module.declare_intrinsic("llvm.fma", [kind], ir.FunctionType(kind, [kind] * 3))
            return builder.call(function, args)

        return a(a, b, c), emit

    kinds = [f"{k}({k},{k},{k})" for k in ("float32", "float64")]
    return numba.vectorize(kinds)(lambda a, b, c: fused(a, b, c))


OPS = {
    "where": np.where, "mask": lambda c, g: np.where(c, g, 0),
    "round": np.rint,
}


def evaluate(routine: Routine, *arrays: np.ndarray) -> np.ndarray:
    """The result of `routine` for each element; `arrays` have its dtype."""
    values = dict(zip(routine.params, arrays, strict=True))
    with np.errstate(all="ignore"):
        for let in routine.body:
            args = [np.frombuffer(a.bits, a.dtype)[0] if isinstance(a, Literal) else values[a] for a in let.args]
            if let.op == "fma":
                result = fma()(*args)
            elif let.op == "bitcast":
                result = np.asarray(args[0]).view(let.dtype)
            elif let.op == "cast":
                result = np.asarray(args[0]).astype(let.dtype)
            else:
                result = OPS.get(let.op, getattr(np, let.op, None))(*args)
            values[let.name] = np.asarray(result)
            assert values[let.name].dtype == let.dtype, (let, values[let.name].dtype)
    return values[routine.result]
