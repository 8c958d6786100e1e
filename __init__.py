"""A differentiable array language whose programs become fused kernels.

>>> import numpy as np, pullback as pb
>>> y = pb.Var('w') @ pb.Var('x') + pb.Var('b')
>>> f = pb.compile(y)
>>> f(w=np.eye(2), x=np.array([1.0, 2.0]), b=0.5)
array([1.5, 2.5])
"""

from __future__ import annotations

from .dsl import elementwise, functional, grad, indexing, latex, linear, listing, operators, reductions, shapes, text  # noqa: F401
from .dsl.errors import CompileError, DeviceError, DTypeError, NotDifferentiable, PullbackError, ShapeError
from .dsl.surface import Var
from .kernels.compiled import compile

__version__ = "0.1.0"
