/* The power that all parts in C share. */

/* pow is dear, and the slope of x ** 2 asks for x to the power of 1. */
INLINE double power(double x, double y) { return y == 1.0 ? x : pow(x, y); }
