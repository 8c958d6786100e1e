"""What native code is called with; the order that its writer and its caller agree on."""

from __future__ import annotations

# The words before the addresses of buffers in the array that the entry reads.
ARGUMENTS = ("sizes", "workspace", "error", "blas", "team", "threads", "progress")
# Of each loop whose turns are shown: turns done, turns in all (-1: unknown), how often it began.
PROGRESS = 3
# The routines in the table of addresses.
BLAS = ("dgemm", "sgemm", "dgemv", "sgemv", "dtrsm", "strsm", "dtrmm", "strmm", "dsyrk", "ssyrk",
        "ztrsm", "ctrsm", "ztrmm", "ctrmm")
_LAPACK = {"dszc": ("potrf", "getrf", "getrs", "getri", "gelqf", "gesdd"), "ds": ("orglq", "syevd"),
           "zc": ("unglq", "heevd", "geev")}
LAPACK = tuple(letter + name for letters, names in _LAPACK.items() for name in names for letter in letters)
# The last entry of the table, which runs a routine of `library_meaning` from native code.
HOST = "host"
ROUTINES = (*BLAS, *LAPACK, HOST)
