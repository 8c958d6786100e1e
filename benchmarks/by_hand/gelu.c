/* x/2 (1 + erf(x/sqrt 2)). */
#include "elementwise.h"

void value(const long *sizes, real **in, real **out) {
    const real *x = in[0];
    real *z = out[0];
#pragma omp parallel for simd
    for (long i = 0; i < sizes[0]; i++)
        z[i] = HALF * x[i] * (1 + erf(x[i] * ROOT_HALF));
}

void gradient(const long *sizes, real **in, real **out) {
    const real *w = in[0], *x = in[1];
    real *slope = out[1];
    const real density = 0.39894228040143267794;
    double total = 0;
#pragma omp parallel for simd reduction(+ : total)
    for (long i = 0; i < sizes[0]; i++) {
        real share = HALF * (1 + erf(x[i] * ROOT_HALF));
        total += w[i] * x[i] * share;
        slope[i] = w[i] * (share + x[i] * density * exp(-HALF * x[i] * x[i]));
    }
    out[0][0] = total;
}
