"""What every test shares: a compile cache of its own, and property tests that repeat exactly."""

import os
import shutil
import tempfile

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
