"""The certified curve fits, and what NIST certifies against the data as typed in."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pullback as pb

FILE = Path(__file__).resolve().parents[1] / "examples" / "nist_strd.py"
pytest.importorskip("matplotlib")
specification = importlib.util.spec_from_file_location("nist_strd", FILE)
nist = importlib.util.module_from_spec(specification)
sys.modules["nist_strd"] = nist
specification.loader.exec_module(nist)
BY_NAME = {problem.name: problem for problem in nist.PROBLEMS}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_data_have_the_certified_sum_of_squares(name):
    """At the certified parameters, where it is stationary."""
    problem = BY_NAME[name]
    residuals, jacobian = nist.functions(problem)[0](np.array(problem.certified))
    np.testing.assert_allclose(residuals @ residuals, problem.sum_of_squares, rtol=1e-7)
    cosines = residuals @ jacobian / np.linalg.norm(jacobian, axis=0) / np.linalg.norm(residuals)
    assert np.abs(cosines).max() < 1e-5


@pytest.mark.parametrize("name", ["BoxBOD", "Rat42", "Rat43", "MGH09", "Eckerle4"])
@pytest.mark.parametrize("start", [0, 1])
def test_certified_to_six_digits_from_both_starts(name, start):
    problem = BY_NAME[name]
    parameters, total, _ = nist.fit(problem, problem.starts[start])
    np.testing.assert_allclose(parameters, problem.certified, rtol=1e-6)
    np.testing.assert_allclose(total, problem.sum_of_squares, rtol=1e-9)


def test_the_second_derivative_along_a_step():
    problem = BY_NAME["Rat42"]
    b, v = np.array(problem.certified), np.array([1.0, 0.1, 0.01])
    bend = nist.functions(problem)[1](b, v)
    h = 1e-4
    first = [pb.compile(problem.model)(problem.x, b + s * v) for s in (-h, 0, h)]
    np.testing.assert_allclose(bend, (first[0] - 2 * first[1] + first[2]) / h**2, rtol=1e-4, atol=1e-5)


def test_all_eight_as_a_newcomer_runs_it(tmp_path):
    done = subprocess.run([sys.executable, str(FILE)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    digits = [float(d) for d in re.findall(r"^\w+ +[12] +\d+ +([\d.]+) ", done.stdout, re.MULTILINE)]
    assert len(digits) == 16 and min(digits) > 6
    assert (tmp_path / "nist_strd.png").read_bytes().startswith(b"\x89PNG")
