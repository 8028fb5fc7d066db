/* What an operation of each kind gives, but for sums and callbacks. */

/* ---- sums that are rounded once ------------------------------------------------------ */

/* The exact sum of what was added is that of its parts, which do not overlap: there are
   never more of them than binary digits between 2^31 and the smallest float64. */
enum { MOST_PARTS = 1120 };

typedef struct {
    int count;
    double part[MOST_PARTS]; /* the largest one last */
} Exact;

/* x + y is *high, rounded, and what was lost. */
static double lost(double x, double y, double *high)
{
    double larger = fabs(x) < fabs(y) ? y : x, smaller = fabs(x) < fabs(y) ? x : y;
    *high = larger + smaller;
    return smaller - (*high - larger);
}

static void add_exactly(Exact *exact, double x)
{
    int count = 0;
    for (int i = 0; i < exact->count; i++) {
        double low = lost(x, exact->part[i], &x);
        if (low != 0.0)
            exact->part[count++] = low;
    }
    exact->part[count++] = x;
    exact->count = count;
}

/* The sum, rounded once: what is left of a tie says which way. */
static double rounded(const Exact *exact)
{
    int i = exact->count - 1;
    double high = exact->part[i], low = 0.0;
    while (i > 0 && low == 0.0)
        low = lost(high, exact->part[--i], &high);
    if (i > 0 && low != 0.0 && (low < 0.0) == (exact->part[i - 1] < 0.0)) {
        double doubled = low * 2.0, next = high + doubled;
        if (next - high == doubled)
            return next;
    }
    return high;
}

/* ---- rows of any number of operands -------------------------------------------------- */

/* As the table's row: the largest, and the logarithm of what the others add to it. */
static double logsumexp(const double *xs, int32_t count)
{
    double top = -INFINITY, both[2];
    Exact exact;
    for (int32_t i = 0; i < count; i++) {
        both[0] = top;
        both[1] = xs[i];
        top = compute_maximum(both);
    }
    if (!(-INFINITY < top && top < INFINITY))
        return top;
    exact.count = 0;
    add_exactly(&exact, -1.0);
    for (int32_t i = 0; i < count; i++)
        add_exactly(&exact, exp(xs[i] - top));
    return top + log1p(rounded(&exact));
}

/* A row of two operands from its first on: `prod` begins with 1, and the largest of all
   with -inf, which gives the first operand to the last bit. */
static double value_of_chain(int kind, const double *xs, int32_t count)
{
    double z = kind == PRODUCT_OF ? 1.0 : kind == MAXIMUM_OF ? -INFINITY : INFINITY;
    for (int32_t i = 0; i < count; i++) {
        double both[2];
        both[0] = z;
        both[1] = xs[i];
        z = kind == PRODUCT_OF   ? z * xs[i]
            : kind == MAXIMUM_OF ? compute_maximum(both)
                                 : compute_minimum(both);
    }
    return z;
}

static double value_of(int kind, const double *xs, int32_t count)
{
    if (kinds[kind].compute)
        return kinds[kind].compute(xs);
    return kind == LOGSUMEXP ? logsumexp(xs, count) : value_of_chain(kind, xs, count);
}
