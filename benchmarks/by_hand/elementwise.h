/* Mathematics in either precision; gcc takes vectors of it from libmvec where it may (-ffast-math). */
#include <math.h>
#include <tgmath.h>
#define HALF ((real)0.5)
#define ROOT_HALF ((real)0.70710678118654752440)
