"""The errors that users see. Each text says what was expected, what came, where, and what to write instead."""

from __future__ import annotations


class PullbackError(Exception):
    """Base of every error that pullback raises on purpose."""


class ShapeError(PullbackError, ValueError):
    """Shapes, ranks or indices do not fit."""


class DTypeError(PullbackError, TypeError):
    """An element type that the operation does not take."""


class NotDifferentiable(PullbackError, TypeError):
    """A derivative was asked for along a path that has none."""


class DeviceError(PullbackError, RuntimeError):
    """The device that was asked for cannot run here."""


class CompileError(PullbackError, RuntimeError):
    """Generated code was refused by the compiler of its target: a defect of pullback."""
