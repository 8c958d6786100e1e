/* Asian options: blocks of paths go through all days; sums of price, price * day, price * path give every slope. */
#include <math.h>
#define BLOCK 64

static void block(long paths, long days, long count, const real *normals, real drift, real scale, real sums[4][BLOCK]) {
    real path[BLOCK];
    for (long l = 0; l < BLOCK; l++)
        path[l] = sums[0][l] = sums[1][l] = sums[2][l] = 0;
    for (long t = 0; t < days; t++) {
        const real *row = normals + t * paths;
        real base = drift * (t + 1);
        for (long l = 0; l < count; l++) {
            path[l] += row[l];
            real price = exp(base + scale * path[l]);
            sums[0][l] += price;
            sums[1][l] += price * (t + 1);
            sums[2][l] += price * path[l];
        }
    }
}

void gradient(const long *sizes, real **in, real **out) {
    long options = sizes[0], days = sizes[5], paths = sizes[6];
    real total = 0, step = 1.0 / days;
    for (long i = 0; i < options; i++) {
        real weight = in[0][i], spot = in[1][i], strike = in[2][i], rate = in[3][i], sigma = in[4][i];
        real drift = (rate - 0.5 * sigma * sigma) * step, scale = sigma * sqrt(step);
        real value = 0, by_spot = 0, by_strike = 0, by_drift = 0, by_scale = 0, sums[4][BLOCK];
        for (long first = 0; first < paths; first += BLOCK) {
            long count = paths - first < BLOCK ? paths - first : BLOCK;
            if (count == BLOCK)
                block(paths, days, BLOCK, in[5] + first, drift, scale, sums);
            else
                block(paths, days, count, in[5] + first, drift, scale, sums);
            for (long l = 0; l < count; l++) {
                real mean = sums[0][l] * step, taken = spot * mean > strike;
                value += taken * (spot * mean - strike);
                by_spot += taken * mean;
                by_strike -= taken;
                by_drift += taken * spot * step * sums[1][l];
                by_scale += taken * spot * step * sums[2][l];
            }
        }
        real share = weight * exp(-rate) / paths;
        total += share * value;
        out[1][i] = share * by_spot;
        out[2][i] = share * by_strike;
        out[3][i] = share * (by_drift * step - value);
        out[4][i] = share * (by_scale * sqrt(step) - by_drift * step * sigma);
    }
    out[0][0] = total;
}
