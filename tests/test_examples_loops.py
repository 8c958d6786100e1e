"""The examples of time stepping, run as a newcomer runs them, held against what is known."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
pytest.importorskip("matplotlib")


def run(name: str, folder: Path, *options: str) -> str:
    done = subprocess.run([sys.executable, str(EXAMPLES / f"{name}.py"), *options], cwd=folder, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return done.stdout


def test_lynx_and_hare_have_the_published_rates(tmp_path):
    text = run("lynx_hare", tmp_path)
    found = [float(v) for v in re.findall(r"^(?:birth|hunting|death|feeding|hares|lynxes).*? ([\d.]+)$", text, re.M)]
    np.testing.assert_allclose(found, [0.55, 0.028, 0.80, 0.024, 34.0, 5.9], rtol=0.05)


def test_the_wave_is_found_and_its_mass_and_energy_are_kept(tmp_path):
    text = run("shallow_water", tmp_path)
    lost, energy = re.search(r"mass lost: (\S+), energy now/then: (\S+)", text).groups()
    assert float(lost) < 1e-12 and abs(float(energy) - 1) < 0.01
    (error,) = re.findall(r"error of the initial height: ([\d.]+)%", text)
    assert float(error) < 8


def test_heston_sensitivities_lie_within_their_standard_errors(tmp_path):
    text = run("heston", tmp_path, "--paths", "40000", "--steps", "100")
    rows = np.array([[float(v) for v in re.findall(r"-?\d+\.\d+", line)] for line in text.splitlines()[1:8]])
    simulated, error, exact = rows.T
    assert (np.abs(simulated - exact) < 4 * error + 1e-3).all()
    assert (error < 0.02 * np.abs(exact) + 0.15).all()
