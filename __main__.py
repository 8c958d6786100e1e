"""`python -m pullback doctor`: what this machine offers to pullback, and what to install."""

from __future__ import annotations

import argparse

from .kernels.doctor import doctor


def main() -> None:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m pullback", description=__doc__)
    parser.add_argument("command", choices=["doctor"], help="doctor: print versions, processor, CUDA and cache")
    parser.parse_args()
    doctor()


if __name__ == "__main__":
    main()
