"""Runs a program on expressions in every form they can have, by the reference target, and holds it against NumPy."""

import numpy as np

from pullback.dsl import namespace, size
from pullback.dsl.node import make
from pullback.dsl.surface import Var, specialize
from pullback.kernels.reference import evaluate


class Namespace:
    """`pb.NAME` of the public list."""

    def __getattr__(self, name):
        return namespace.PUBLIC[name]


pb = Namespace()
NAMES = "abcdefgh"


def typed(name, array, symbolic=False):
    """A typed variable for `array`; symbolic sizes for its axes other than those of size 1."""
    dims = tuple(size.symbol(f"{name}{i}") if symbolic and d != 1 else d for i, d in enumerate(array.shape))
    return make("var", (), (name,), array.dtype, dims)


def flat(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def run_static(program, arrays):
    variables = [typed(n, a) for n, a in zip(NAMES, arrays, strict=False)]
    return evaluate(flat(program(pb, *variables)), dict(zip(variables, arrays, strict=True)))


def run_symbolic(program, arrays):
    """Sizes are symbols that have values only through guards."""
    variables = [typed(n, a, symbolic=True) for n, a in zip(NAMES, arrays, strict=False)]
    values = {d.terms[0][0][0][0]: n for v, a in zip(variables, arrays, strict=True)
              for d, n in zip(v.shape, a.shape, strict=True) if isinstance(d, size.Size)}
    with size.tracing(size.Guards(values)) as guards:
        results = flat(program(pb, *variables))
    assert guards.hold(values)
    return evaluate(results, dict(zip(variables, arrays, strict=True)), values)


def run_untyped(program, arrays):
    """Nothing is declared; types come with the arrays."""
    names = NAMES[:len(arrays)]
    results = flat(program(pb, *map(Var, names)))
    variables = [typed(n, a) for n, a in zip(names, arrays, strict=True)]
    known = dict(zip(map(Var, names), variables, strict=True))
    return evaluate(specialize(results, known), dict(zip(variables, arrays, strict=True)))


def run_declared(program, arrays):
    """Ranks are declared, so shapes are known while the program is written; types and sizes come with the call."""
    names = NAMES[:len(arrays)]
    declared = [Var(n, tuple(1 if d == 1 else None for d in a.shape)) for n, a in zip(names, arrays, strict=True)]
    results = flat(program(pb, *declared))
    return run_symbolic(lambda pb, *typed: specialize(results, dict(zip(declared, typed, strict=True))), arrays)


FORMS = {"static": run_static, "symbolic": run_symbolic, "untyped": run_untyped, "declared": run_declared}


def check(program, *arrays, expected=None, forms=tuple(FORMS), rtol=1e-12):
    """`program(pb, *expressions)` gives dtype, shape and values of `expected(np, *arrays)` (default: of itself)."""
    arrays = [np.asarray(a) for a in arrays]
    with np.errstate(all="ignore"):
        wanted = [np.asarray(w) for w in flat((expected or program)(np, *arrays))]
    for form in forms:
        found = FORMS[form](program, arrays)
        assert len(found) == len(wanted), form
        for f, w in zip(found, wanted, strict=True):
            assert f.dtype == w.dtype, (form, f.dtype, w.dtype)
            assert f.shape == w.shape, (form, f.shape, w.shape)
            np.testing.assert_allclose(f, w, rtol=rtol if w.dtype != np.float32 else 2e-6, atol=1e-12, err_msg=form)
