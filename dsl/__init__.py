"""What an expression means, equals and differentiates to. Imports numpy, and sympy only inside `derive`."""
