"""How an expression is computed: a Program of fused kernels, and its text for each target."""
