"""A linear model learns handwritten digits: softmax regression through one compiled step.

    python examples/digits.py [--device cpu|cuda|auto] [--steps 500] [--picture digits.png]

The model is `w @ x + b`; loss, gradient and update are one program of fused kernels. Prints the loss, its adjoint as
mathematics and the kernels, then trains on two thirds of the 1,797 digits that scikit-learn ships and scores the rest.
"""

import argparse
import sys

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import pullback as pb

RATE = 1.0
DECAY = 1e-3

w = pb.Var("w", ("classes", "pixels"))
b = pb.Var("b", ("classes", 1))
x = pb.Var("x", ("pixels", "samples"))
t = pb.Var("t", ("classes", "samples"))


def build_loss() -> pb.Expr:
    """Mean cross-entropy of the softmax of `w @ x + b` against the one-hot classes `t`, with weight decay."""
    scores = w @ x + b
    entropy = pb.logsumexp(scores, axis=0) - pb.sum(t * scores, axis=0)
    return pb.mean(entropy) + DECAY * pb.sum(w * w)


def compile_step(loss: pb.Expr, device: str):
    """Return one step of gradient descent, (w, b, x, t) -> (loss, w, b), as one compiled program."""
    slope_w, slope_b = pb.grad(loss, [w, b])
    return pb.compile((loss, w - RATE * slope_w, b - RATE * slope_b), device=device, args=[w, b, x, t])


def load_split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels in [0, 1] and classes: two thirds to train on, a stratified third held back."""
    digits = load_digits()
    return train_test_split(digits.data / 16, digits.target, test_size=1 / 3, stratify=digits.target, random_state=0)


def train(step, weights, offsets, columns, one_hot, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Run `steps` steps and return w (10, 64) and b (10, 1)."""
    progress = trange(steps, desc="training", unit="step")
    for count in progress:
        loss, weights, offsets = step(weights, offsets, columns, one_hot)
        if count % 50 == 0 or count == steps - 1:
            progress.set_postfix(loss=f"{float(loss):.4f}")
    return to_numpy(weights), to_numpy(offsets)


def to_numpy(array) -> np.ndarray:
    """Bring a result to the host (CuPy's arrays have `get`)."""
    return array.get() if hasattr(array, "get") else array


def move_beside(result, *arrays: np.ndarray) -> tuple:
    """Put arrays where a result lives, so that a step on a GPU does not copy them again."""
    if not hasattr(result, "get"):
        return arrays
    import cupy

    return tuple(cupy.asarray(array) for array in arrays)


def draw(weights: np.ndarray, path: str) -> None:
    """Write the ten rows of `weights` as 8 x 8 images: red speaks for the digit, blue against it."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 5, figsize=(8, 3.6), layout="constrained")
    limit = np.abs(weights).max()
    for digit, panel in enumerate(axes.flat):
        panel.imshow(weights[digit].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
        panel.set_title(str(digit))
        panel.set_axis_off()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Softmax regression on handwritten digits.")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="auto")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--picture", default="digits.png")
    options = parser.parse_args()

    loss = build_loss()
    print("loss:    ", loss)
    for name, slope in zip("wb", pb.grad(loss, [w, b]), strict=True):
        print(f"dloss/d{name}:", slope)
    pixels, held_pixels, classes, held_classes = load_split()
    columns, one_hot = np.ascontiguousarray(pixels.T), np.eye(10)[:, classes]
    step = compile_step(loss, options.device)
    try:
        _, weights, offsets = step(np.zeros((10, 64)), np.zeros((10, 1)), columns, one_hot)
    except pb.DeviceError as error:
        sys.exit(f"digits: {error}")
    print(step.explain())
    columns, one_hot = move_beside(weights, columns, one_hot)
    weights, offsets = train(step, weights, offsets, columns, one_hot, options.steps - 1)
    predicted = np.argmax(weights @ held_pixels.T + offsets, axis=0)
    print(f"accuracy on {len(held_classes)} held-back digits: {np.mean(predicted == held_classes):.1%}")
    draw(weights, options.picture)
    print(f"weight images: {options.picture}")


if __name__ == "__main__":
    main()
