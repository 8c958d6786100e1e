"""Loss of a recurrent network with two layers of long short-term memory, one step for each letter."""

from __future__ import annotations

SECTION = "adbench"
SIZES, TINY = (1024,), 6
WRT = (0, 1)
LETTERS, LAYERS = 14, 2


def inputs(size, draw):
    """Weights and offsets of the gates of each layer, of the ends, the states, and the text as rows of indicators."""
    return [draw.standard_normal((LAYERS, 2, 4, LETTERS)), draw.standard_normal((3, LETTERS)),
            draw.standard_normal((LAYERS, 2, LETTERS)), (draw.uniform(size=(size, LETTERS)) < 0.3).astype(float)]


def program(xp, control, layers, ends, states, text):
    """Gates see their letter alone, as in the objective of F. Srajer, Z. Kukelova and A. Fitzgibbon (see gmm)."""

    def sigmoid(x):
        return 1.0 / (1.0 + xp.exp(-x))

    def step(carry, letters):
        states, total = carry
        now, following = letters
        x, moved = now * ends[0], []
        for layer in range(LAYERS):
            (hidden, cell), weight, offset = states[layer], layers[layer, 0], layers[layer, 1]
            forget = sigmoid(x * weight[0] + offset[0])
            enter = sigmoid(hidden * weight[1] + offset[1])
            leave = sigmoid(x * weight[2] + offset[2])
            cell = cell * forget + enter * xp.tanh(hidden * weight[3] + offset[3])
            x = leave * xp.tanh(cell)
            moved.append((x, cell))
        guess = x * ends[1] + ends[2]
        guess = guess - xp.log(xp.sum(xp.exp(guess)) + 2.0)
        return (tuple(moved), total + xp.sum(following * guess)), None

    start = tuple((states[layer, 0], states[layer, 1]) for layer in range(LAYERS))
    (_, total), _ = control.scan(step, (start, 0.0 * xp.sum(ends)), (text[:-1], text[1:]))
    return -total / ((text.shape[0] - 1) * LETTERS)
