"""Object code in a process whose address space is crowded."""

from __future__ import annotations

import subprocess
import sys

CROWDED = """
import mmap
import numpy as np
import pullback as pb
from pullback.codegen.llvm import write_llvm
from pullback.kernels.cpu import CpuProgram
from pullback.kernels.native import compile_ir

f = pb.compile(lambda x: pb.sum(pb.exp(x) * pb.sin(x)))
f(np.ones(10))
executable = f.last[1]
code = compile_ir(write_llvm(executable.program))
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
pages = []
for _ in range(400):                                  # holes of a page, 2 GiB apart
    pages.append(mmap.mmap(-1, mmap.PAGESIZE))
    pages.append(mmap.mmap(-1, 1 << 31, flags=flags))
for page in pages[::2]:
    page.close()
x, out = np.ones(10), np.zeros(())
for _ in range(100):
    native = CpuProgram(code, executable.native.facts)
    native.run([x.ctypes.data, out.ctypes.data], (10,))
    assert abs(float(out) - 10 * np.e * np.sin(1.0)) < 1e-10, out
print("ran")
"""


def test_code_is_loaded_where_free_memory_lies_in_small_pieces_far_apart() -> None:
    """LLVM's older loader puts the sections of an object where there is room, and may then be unable to link them."""
    done = subprocess.run([sys.executable, "-c", CROWDED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "ran\n"


def test_a_product_of_a_matrix_with_itself_needs_no_import_of_linear_algebra() -> None:
    """Rows of the routines that a plan chooses are loaded when they are missed."""
    code = ("import numpy as np\nimport pullback as pb\na = np.arange(600.0).reshape(20, 30)\n"
            "f = pb.compile(lambda a: a @ a.T)\nassert np.array_equal(f(a), a @ a.T)\nprint('ran')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "ran\n", done.stderr[-2000:]
