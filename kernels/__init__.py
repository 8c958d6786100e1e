"""Running a Program: one file per target, caches, threads and calls."""
