"""Hand tracking, simple: distances of the vertices of a hand that 26 parameters move from measured points."""

from __future__ import annotations

SECTION = "adbench"
SIZES, TINY = (544, 10_000), 5
WRT = (0,)
FINGERS, JOINTS = 5, 3
BONES = 1 + FINGERS * JOINTS


def inputs(size, draw):
    """Parameters: rotation and place of the wrist, and for each finger two angles of its root and one for each other
    joint. A vertex follows its bones by weights; every bone has a place in the hand at rest.
    """
    share = draw.uniform(0, 1, (BONES, size)) ** 8
    return [0.3 * draw.standard_normal(6 + FINGERS * (JOINTS + 1)), draw.standard_normal((BONES, 3)),
            share / share.sum(axis=0), draw.standard_normal((3, size)), draw.standard_normal((3, size))]


def weights(arrays, draw):
    return [draw.standard_normal(arrays[3].shape)]


def about(xp, axis: int, angle):
    """The matrix of a rotation about an axis of coordinates."""
    c, s, one, zero = xp.cos(angle), xp.sin(angle), xp.ones_like(angle), xp.zeros_like(angle)
    rows = {0: (one, zero, zero, zero, c, -s, zero, s, c), 1: (c, zero, s, zero, one, zero, -s, zero, c),
            2: (c, -s, zero, s, c, zero, zero, zero, one)}[axis]
    return xp.reshape(xp.stack(rows), (3, 3))


def program(xp, control, parameters, places, shares, vertices, measured):
    wrist = about(xp, 0, parameters[0]) @ about(xp, 1, parameters[1]) @ about(xp, 2, parameters[2])
    turns, shifts = [wrist], [parameters[3:6]]
    for finger in range(FINGERS):
        at, above = 6 + finger * (JOINTS + 1), 0
        for joint in range(JOINTS):
            bone = 1 + finger * JOINTS + joint
            turn = about(xp, 0, parameters[at + joint + (joint > 0)])
            if joint == 0:
                turn = turn @ about(xp, 2, parameters[at + 1])
            # turns about the place of the joint at rest, then moves as the bone above
            turns.append(turns[above] @ turn)
            shifts.append(turns[above] @ (places[bone] - turn @ places[bone]) + shifts[above])
            above = bone
    moved = xp.einsum("bij,jv->biv", xp.stack(turns), vertices) + xp.stack(shifts)[:, :, None]
    return xp.sum(moved * shares[:, None, :], axis=0) - measured
