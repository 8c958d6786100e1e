/* 1.5 x + y. */
void value(const long *sizes, real **in, real **out) {
    const real *x = in[0], *y = in[1];
    real *z = out[0];
#pragma omp parallel for simd
    for (long i = 0; i < sizes[0]; i++)
        z[i] = (real)1.5 * x[i] + y[i];
}
