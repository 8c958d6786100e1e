"""A layer of a convolutional network: 3 x 3 windows, 8 channels in and 16 out, and what is negative cut off."""

from __future__ import annotations

SECTION = "arrays"
SIZES, TINY = (128,), 6
WRT = (0, 1, 2)
PEERS = ("jax", "numpy")


def inputs(size, draw):
    batch, channels, filters = (8, 8, 16) if size > TINY else (2, 3, 2)
    return [draw.standard_normal((batch, size, size, channels)), draw.standard_normal((3, 3, channels, filters)),
            draw.standard_normal(filters)]


def weights(arrays, draw):
    batch, height, width, _ = arrays[0].shape
    return [draw.standard_normal((batch, height - 2, width - 2, arrays[1].shape[3]))]


def program(xp, control, images, filters, offsets):
    height, width = images.shape[1] - 2, images.shape[2] - 2
    total = offsets
    for i in range(3):
        for j in range(3):
            total = total + xp.einsum("bhwc,cf->bhwf", images[:, i:i + height, j:j + width], filters[i, j])
    return xp.maximum(total, 0.0)
