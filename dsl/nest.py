"""Nests of values: tuples, lists, dicts, named tuples and dataclasses, taken apart into leaves and put together again.

A thin layer over optree. Any dataclass is a nest of its fields; a field with `metadata={'static': True}` belongs to the
structure, as its value, and is no leaf.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import optree

_NAMESPACE = "pullback"
_dataclasses: set[type] = set()


def flatten(nest: Any) -> tuple[list[Any], optree.PyTreeSpec]:
    """The leaves of `nest` in order, and its structure. None has no leaves.

    >>> leaves, structure = flatten({"w": 1.0, "b": (2.0, None)})
    >>> leaves, unflatten(structure, "xy")
    ([2.0, 1.0], {'w': 'y', 'b': ('x', None)})
    """
    return optree.tree_flatten(nest, is_leaf=_no_leaf, namespace=_NAMESPACE)  # type: ignore[return-value]


def flatten_known(nest: Any) -> tuple[list[Any], optree.PyTreeSpec]:
    """`flatten` where dataclasses that were never met before are leaves: all of it in native code."""
    return optree.tree_flatten(nest, namespace=_NAMESPACE)  # type: ignore[return-value]


def unflatten(structure: optree.PyTreeSpec, leaves: Iterable[Any]) -> Any:
    """The nest of this structure with these leaves."""
    return optree.tree_unflatten(structure, leaves)


def leaves(nest: Any) -> list[Any]:
    """The leaves of `nest` in order."""
    return flatten(nest)[0]


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    """`nest` with `function` applied to every leaf."""
    values, structure = flatten(nest)
    return unflatten(structure, map(function, values))


def leaf_names(nest: Any, root: str) -> list[str]:
    """How each leaf is reached from a variable called `root`, as Python text.

    >>> leaf_names({"w": (1.0, 2.0)}, "params")
    ["params['w'][0]", "params['w'][1]"]
    """
    accessors = optree.tree_accessors(nest, is_leaf=_no_leaf, namespace=_NAMESPACE)
    return [accessor.codify(root) for accessor in accessors]


def same_structure(a: optree.PyTreeSpec, b: optree.PyTreeSpec) -> bool:
    """Whether two nests are built alike."""
    return a == b


def shown(structure: optree.PyTreeSpec) -> str:
    """A structure for people, * for every leaf.

    >>> shown(flatten((1.0, {"a": 2.0}))[1])
    "(*, {'a': *})"
    """
    text = str(structure).removeprefix("PyTreeSpec(")
    return text[: text.rindex(", namespace")] if ", namespace" in text else text[:-1]


def _no_leaf(value: Any) -> bool:
    """Make the class of a dataclass instance known before optree looks at it; nothing is a leaf on this account."""
    kind = type(value)
    if kind not in _dataclasses and dataclasses.is_dataclass(kind) and kind.__module__ != "optree":
        _register(kind)
    return False


def _register(kind: type) -> None:
    fields = [f for f in dataclasses.fields(kind) if f.init]
    children = [f.name for f in fields if not f.metadata.get("static")]
    static = [f.name for f in fields if f.metadata.get("static")]

    def take_apart(value: Any) -> tuple[list[Any], Any, list[str]]:
        return [getattr(value, n) for n in children], tuple(getattr(value, n) for n in static), children

    def put_together(kept: Any, parts: Any) -> Any:
        return kind(**dict(zip(children, parts, strict=True)), **dict(zip(static, kept, strict=True)))

    optree.register_pytree_node(kind, take_apart, put_together, path_entry_type=optree.GetAttrEntry,
                                namespace=_NAMESPACE)
    _dataclasses.add(kind)
