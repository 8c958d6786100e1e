"""The sections of the report, in its order: a heading and what to know about the programs in it."""

SECTIONS = {
    "elementwise": ("Elementwise", "One operation after the other on every element. `copy` moves as many bytes as the "
                                   "program must read and write, by all threads."),
    "geophysics": ("Geophysical models", "What an ocean model computes at every step, for up to 4,194,304 points."),
    "arrays": ("Array programs", "Whole-array programs as they stand in many scripts."),
    "loops": ("Loops", "Programs that step in time, or go through an array element by element."),
    "options": ("Options", "Prices with their sensitivities."),
    "pairs": ("Pair reductions", "Sums and minima over all pairs of two sets of points."),
    "adbench": ("ADBench", "The objectives by which tools for automatic differentiation are compared."),
    "ensembles": ("Ensembles", "Many trajectories of one small system, and their adjoints."),
}
