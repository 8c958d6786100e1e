"""The doctor says what is there and what to install, and survives what it finds."""

import builtins
import subprocess
import sys

import numpy as np
import pytest

from pullback.kernels import cache, doctor


def test_report_names_what_a_person_asks_for():
    text = doctor.report()
    names = [line.split("  ")[0] for line in text.splitlines()]
    for name in ("pullback", "Python", "numpy", "numba", "llvmlite", "LLVM", "processor", "processors", "threads",
                 "BLAS", "CUDA driver", "CuPy", "NVRTC", "cache folder", "cache"):
        assert name in names, text
    assert np.__version__ in text
    assert str(cache.folder()) in text
    assert "failed" not in text


def test_cache_size_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(tmp_path))
    cache.store("object", cache.key("a"), bytes(3 << 20))
    assert "1 entries, 3.0 MiB" in doctor.report()


def test_command_prints_the_report(tmp_path):
    done = subprocess.run([sys.executable, "-m", "pullback", "doctor"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "LLVM" in done.stdout
    assert done.stderr == ""


def test_unknown_command_is_refused_with_the_known_ones(tmp_path):
    done = subprocess.run([sys.executable, "-m", "pullback", "cure"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "doctor" in done.stderr


def test_nothing_that_cannot_be_imported_stops_it(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] in {"llvmlite", "scipy", "platformdirs"}:
            raise ImportError(f"no {name}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    text = doctor.report()
    assert "failed: ImportError: no llvmlite" in text
    assert "cache folder" in text


def test_missing_packages_come_with_their_command(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    text = doctor.report()
    assert "pip install numba" in text
    assert "pip install 'pullback[cuda-check]'" in text


@pytest.mark.skipif(doctor._load_driver() is not None, reason="there is a CUDA driver here")
def test_no_driver_is_not_an_error():
    facts = {fact.name: fact for fact in doctor.examine()}
    assert facts["CUDA driver"].found.startswith("none")
    assert facts["CuPy"].advice == ""
