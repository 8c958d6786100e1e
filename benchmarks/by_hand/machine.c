/* What this machine can do: copy memory, multiply and add. */
#include <omp.h>
#include <string.h>

void copy(long n, const double *source, double *target) {
#pragma omp parallel
    {
        long parts = omp_get_num_threads(), part = omp_get_thread_num();
        long from = n * part / parts, to = n * (part + 1) / parts;
        memcpy(target + from, source + from, 8 * (to - from));
    }
}

/* Flops per second of all threads: independent chains of multiply-adds on vectors that stay in registers. */
typedef double vector __attribute__((vector_size(64)));
#define CHAINS 12

double multiply_add(long turns) {
    double start = omp_get_wtime(), kept = 0;
    long threads = 1;
#pragma omp parallel reduction(+ : kept)
    {
        vector x[CHAINS], scale, shift;
#pragma omp single
        threads = omp_get_num_threads();
        for (int k = 0; k < 8; k++)
            scale[k] = 0.999999, shift[k] = 1e-6 * (k + 1);
        for (int c = 0; c < CHAINS; c++)
            for (int k = 0; k < 8; k++)
                x[c][k] = 0.1 * (c + k);
        for (long turn = 0; turn < turns; turn++)
            for (int c = 0; c < CHAINS; c++)
                x[c] = x[c] * scale + shift;
        for (int c = 0; c < CHAINS; c++)
            for (int k = 0; k < 8; k++)
                kept += x[c][k];
    }
    double seconds = omp_get_wtime() - start + (kept == 1e300);
    return 2.0 * 8 * CHAINS * turns * threads / seconds;
}
