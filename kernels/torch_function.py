"""`torch_function`: a program as an operation of PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dsl import nest
from ..dsl.errors import PullbackError
from ..dsl.functional import vjp
from .compiled import Compiled, compile


def torch_function(f: Any) -> Callable[..., Any]:
    """`f` as a function of torch tensors that torch differentiates: forward and backward are compiled programs.

    Arguments and results are nests whose tensors are floats, integers or bools; what is no tensor stays as it is.
    Tensors are read where they lie (DLPack), on the CPU or a CUDA device, and results are tensors there. The backward
    pass is such a function again, so that derivatives of derivatives work (`create_graph=True`).

    Raises PullbackError where torch is not installed.
    """
    torch = _torch()
    program = compile(f)
    derivatives: dict[Any, Callable[..., Any]] = {}

    class Program(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, structure: Any, box: list[Any], *leaves: Any) -> Any:
            args, kwargs = nest.unflatten(structure, [_array(torch, x) for x in leaves])
            results, box[0] = nest.flatten(program(*args, **kwargs))
            outputs = tuple(_tensor(torch, r) for r in results)
            ctx.structure = structure
            ctx.static = [None if isinstance(x, torch.Tensor) else x for x in leaves]
            ctx.save_for_backward(*(x for x in leaves if isinstance(x, torch.Tensor)))
            ctx.mark_non_differentiable(*(o for o in outputs if not o.is_floating_point() and not o.is_complex()))
            return outputs

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            saved = iter(ctx.saved_tensors)
            leaves = [next(saved) if x is None else x for x in ctx.static]
            places = tuple(k for k, needed in enumerate(ctx.needs_input_grad[2:]) if needed)
            key = (ctx.structure, places)
            if key not in derivatives:
                derivatives[key] = torch_function(_pullback(program, ctx.structure, places))
            # torch's gradient of a complex number is the conjugate of that of JAX's convention, which programs follow.
            shares = derivatives[key](leaves, [g.conj() for g in cotangents])
            found = dict(zip(places, (g.conj() for g in shares), strict=True))
            return None, None, *(found.get(k) for k in range(len(leaves)))

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = nest.flatten((args, kwargs))
        box: list[Any] = [None]
        results = Program.apply(structure, box, *leaves)
        return nest.unflatten(box[0], results)

    call.__name__ = program.__name__
    return call


def _pullback(program: Compiled, structure: Any, places: tuple[int, ...]) -> Callable[..., Any]:
    """The cotangents of the leaves `places`, of all leaves and the cotangents of the results."""
    def pull(leaves: list[Any], cotangents: list[Any]) -> list[Any]:
        kinds: list[bool] = []

        def results(*chosen: Any) -> list[Any]:
            given = dict(zip(places, chosen, strict=True))
            args, kwargs = nest.unflatten(structure, [given.get(k, x) for k, x in enumerate(leaves)])
            found = nest.leaves(program(*args, **kwargs))
            kinds[:] = [x.dtype.kind in "fc" for x in found]
            return [x for x, smooth in zip(found, kinds, strict=True) if smooth]

        _, back = vjp(results, *(leaves[k] for k in places))
        return list(back([g for g, smooth in zip(cotangents, kinds, strict=True) if smooth]))

    return pull


def _array(torch: Any, x: Any) -> Any:
    """A tensor as an array over the same memory; anything else as it is."""
    if not isinstance(x, torch.Tensor):
        return x
    x = x.detach().resolve_conj().resolve_neg()
    if x.is_cuda:
        import cupy  # type: ignore[import-not-found]

        return cupy.from_dlpack(x)
    return x.numpy()


def _tensor(torch: Any, result: Any) -> Any:
    return torch.from_dlpack(result) if hasattr(result, "__cuda_array_interface__") else torch.from_numpy(result)


def _torch() -> Any:
    try:
        import torch  # type: ignore[import-not-found]
    except ImportError:
        raise PullbackError("torch_function needs PyTorch: pip install torch") from None
    return torch
