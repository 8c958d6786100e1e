/* exp(-x x). */
#include "elementwise.h"

void value(const long *sizes, real **in, real **out) {
    const real *x = in[0];
    real *z = out[0];
#pragma omp parallel for simd
    for (long i = 0; i < sizes[0]; i++)
        z[i] = exp(-x[i] * x[i]);
}

void gradient(const long *sizes, real **in, real **out) {
    const real *w = in[0], *x = in[1];
    real *slope = out[1];
    double total = 0;
#pragma omp parallel for simd reduction(+ : total)
    for (long i = 0; i < sizes[0]; i++) {
        real z = w[i] * exp(-x[i] * x[i]);
        total += z;
        slope[i] = -2 * x[i] * z;
    }
    out[0][0] = total;
}
