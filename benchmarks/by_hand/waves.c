/* exp(-x x) sin y + log(1 + y y) tanh x. */
#include "elementwise.h"

void value(const long *sizes, real **in, real **out) {
    const real *x = in[0], *y = in[1];
    real *z = out[0];
#pragma omp parallel for simd
    for (long i = 0; i < sizes[0]; i++)
        z[i] = exp(-x[i] * x[i]) * sin(y[i]) + log(1 + y[i] * y[i]) * tanh(x[i]);
}

void gradient(const long *sizes, real **in, real **out) {
    const real *w = in[0], *x = in[1], *y = in[2];
    real *slope_x = out[1], *slope_y = out[2];
    double total = 0;
#pragma omp parallel for simd reduction(+ : total)
    for (long i = 0; i < sizes[0]; i++) {
        real bell = exp(-x[i] * x[i]), sine = sin(y[i]), bend = 1 + y[i] * y[i], curve = log(bend), step = tanh(x[i]);
        total += w[i] * (bell * sine + curve * step);
        slope_x[i] = w[i] * (-2 * x[i] * bell * sine + curve * (1 - step * step));
        slope_y[i] = w[i] * (bell * cos(y[i]) + 2 * y[i] / bend * step);
    }
    out[0][0] = total;
}
