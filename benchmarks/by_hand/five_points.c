/* Five-point Laplacian of a square field. */
void value(const long *sizes, real **in, real **out) {
    long rows = sizes[0], columns = sizes[1];
#pragma omp parallel for
    for (long i = 1; i < rows - 1; i++) {
        const real *here = in[0] + i * columns, *above = here - columns, *below = here + columns;
        real *z = out[0] + (i - 1) * (columns - 2) - 1;
#pragma omp simd
        for (long j = 1; j < columns - 1; j++)
            z[j] = above[j] + below[j] + here[j - 1] + here[j + 1] - 4 * here[j];
    }
}
