"""A differentiable array language whose programs become fused kernels.

>>> import numpy as np, pullback as pb
>>> y = pb.Var('w') @ pb.Var('x') + pb.Var('b')
>>> f = pb.compile(y)
>>> f(w=np.eye(2), x=np.array([1.0, 2.0]), b=0.5)
array([1.5, 2.5])
"""

from __future__ import annotations

import importlib
from typing import Any

from .dsl import latex as _latex  # noqa: F401  (registers how expressions print)
from .dsl import loop_rules as _loop_rules  # noqa: F401  (registers the derivatives of loops)
from .dsl import random, special
from .dsl.errors import CompileError, DeviceError, DTypeError, NotDifferentiable, PullbackError, ShapeError
from .dsl.functional import grad, hvp, jvp, stop_gradient, value_and_grad, vjp
from .dsl.listing import show
from .dsl.namespace import LATE, PUBLIC
from .dsl.node import Expr
from .dsl.scalar_op import scalar_op
from .dsl.surface import Var
from .kernels.compiled import compile
from .kernels.distributed import distributed
from .kernels.jax_function import jax_function
from .kernels.scipy_objective import scipy_objective
from .kernels.team import get_num_threads, set_num_threads
from .kernels.torch_function import torch_function

__version__ = "0.1.0"
__all__ = [
    "CompileError", "DTypeError", "DeviceError", "Expr", "NotDifferentiable", "PullbackError", "ShapeError",
    "Var", "compile", "distributed", "doctor", "fft", "get_num_threads", "grad", "hvp", "jax_function", "jvp", "linalg",
    "load", "ode", "profile", "random", "scalar_op", "scipy_objective", "set_num_threads", "show", "special",
    "stop_gradient", "torch_function", "value_and_grad", "vjp", *LATE, *PUBLIC,
]


def load(path: Any) -> Any:
    """The compiled programs of a file that `f.save(path)` wrote, callable as `f` was. It runs code: trust the file."""
    from .kernels.artefact import load

    return load(path)


def doctor() -> None:
    """Print versions, CPU and CUDA facts, the cache folder and what to install."""
    from .kernels.doctor import doctor

    doctor()


_MODULES = ("fft", "linalg", "ode")              # imported when they are asked for


def profile() -> Any:
    """`with pb.profile() as p:` times the calls of compiled functions; `print(p)` shows the table."""
    from .kernels.profile import profile

    return profile()


def __getattr__(name: str) -> Any:
    """The array functions and constants of `dsl.namespace`, and modules that most programs do without."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.dsl.{name}")
    if name in LATE:
        return getattr(importlib.import_module(f"{__name__}.dsl.{LATE[name]}"), name)
    try:
        return PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'pullback' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted(__all__)
