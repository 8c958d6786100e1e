"""What every test shares: a compile cache of its own, and random data that repeat exactly, whatever ran before."""

import os
import shutil
import sys
import tempfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("pullback", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("pullback")


def pytest_configure(config: pytest.Config) -> None:
    """Start from an empty cache; the workers of a parallel run inherit it."""
    if not hasattr(config, "workerinput"):
        os.environ["PULLBACK_CACHE_DIR"] = tempfile.mkdtemp(prefix="pullback-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["PULLBACK_CACHE_DIR"], ignore_errors=True)


@cache
def _generators(modules: int) -> list[np.random.Generator]:
    """Those that test modules share between their tests; `modules` counts the imported ones, so a new one is seen."""
    here = str(Path(__file__).parent)
    own = [m for m in list(sys.modules.values()) if str(getattr(m, "__file__", None) or "").startswith(here)]
    return [v for m in own for v in vars(m).values() if isinstance(v, np.random.Generator)]


@pytest.fixture(autouse=True)
def data_of_its_own(request: pytest.FixtureRequest) -> None:
    """Seed the modules' generators from the test's name: workers of a parallel run take the tests in any order."""
    start = np.random.PCG64(zlib.crc32(request.node.nodeid.encode())).state
    for generator in _generators(len(sys.modules)):
        generator.bit_generator.state = start
