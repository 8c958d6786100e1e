"""The example as a newcomer runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pullback.kernels.doctor import _load_driver

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits.py"
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


def run_digits(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(DIGITS), *options], cwd=folder, capture_output=True, text=True)


def test_digits_are_learnt(tmp_path):
    done = run_digits(tmp_path, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (accuracy,) = re.findall(r"accuracy on 599 held-back digits: ([\d.]+)%", done.stdout)
    assert float(accuracy) >= 94
    assert re.search(r"dloss/dw: .*softmax\(w @ x .*@ x\.T", done.stdout)
    assert "kernel" in done.stdout
    assert "499/499" in done.stderr
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(_load_driver() is not None, reason="there is a CUDA driver here")
def test_a_missing_gpu_ends_in_one_line(tmp_path):
    done = run_digits(tmp_path, "--device", "cuda")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("digits: ") and "GPU" in done.stderr
