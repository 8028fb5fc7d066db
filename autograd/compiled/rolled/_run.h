/* The steps of vectors, for one instruction set: included once for each, see `_sets.h`.

   V         a register of WIDTH numbers; a vector of 8 lanes is REGISTERS of them
   LOOSE     the same, anywhere in memory
   NAME      a name with that of the set behind it
   TARGET    what a function of the set is declared with
   CHOOSE    CHOOSE(LESS(x, y), a, b) is a where x < y, else b

   A step's shapes and number of vectors are known when it is compiled: what is written
   here once as a loop over registers becomes straight code. Products are rounded before
   they are added: no set may fuse them. */

#define HERE TARGET INLINE
#define CHOOSE NAME(choose)
#define REGISTERS (LANES / WIDTH)
#define ALL_OF(vectors) ((vectors) * REGISTERS)
#define EACH_REGISTER(r, vectors) UNROLLED for (int r = 0; r < ALL_OF(vectors); r++)

/* ---- operands ----------------------------------------------------------------------- */

/* Register r of a row. */
HERE V NAME(in_row)(const double *x, int r) { return *(const LOOSE *)(x + r * WIDTH); }

/* Register r of an operand with this shape and table. */
HERE V NAME(load)(const int shape, const double *x, const int32_t *table, int r)
{
    if (shape == ONE)
        return SAME(x[table[r / REGISTERS]]);
    if (shape == ROW)
        return NAME(in_row)(x + table[r / REGISTERS], r % REGISTERS);
    return NAME(gathered)(x, table + r * WIDTH);
}

/* Likewise, of an operand whose shape and table are at p. */
HERE V NAME(load_any)(const double *x, const int32_t *p, int r)
{
    return p[0] == ROW   ? NAME(load)(ROW, x, p + 1, r)
           : p[0] == ONE ? NAME(load)(ONE, x, p + 1, r)
                         : NAME(load)(ANY, x, p + 1, r);
}

HERE void NAME(store)(double *out, int r, V x) { *(LOOSE *)(out + r * WIDTH) = x; }

/* ---- sums --------------------------------------------------------------------------- */

/* What was added up so far: nothing where a sum begins, else in its slots. */
HERE V NAME(so_far)(const double *S, const int32_t *p, int r)
{
    if (p[2])
        return SAME(-0.0);
    return NAME(in_row)(S + p[1], r);
}

HERE const int32_t *NAME(singles)(const int shape, const int negative, const int vectors,
                                  double *S, const int32_t *p)
{
    const int32_t *table = p + 4, *at = table + table_size(shape, vectors);
    const int32_t *end = at + p[3];
    V sum[ALL_OF(MOST_VECTORS)];
    EACH_REGISTER(r, vectors)
        sum[r] = NAME(so_far)(S, p, r);
    for (; at < end; at++)
        EACH_REGISTER(r, vectors) {
            V q = NAME(load)(shape, S + at[0], table, r);
            sum[r] = negative ? sum[r] - q : sum[r] + q;
        }
    EACH_REGISTER(r, vectors)
        NAME(store)(S + p[1], r, sum[r]);
    return end;
}

HERE const int32_t *NAME(products)(const int shape, const int other, const int negative,
                                   const int vectors, double *S, const int32_t *p)
{
    const int32_t *x = p + 4, *y = x + table_size(shape, vectors);
    const int32_t *at = y + table_size(other, vectors), *end = at + 2 * p[3];
    V sum[ALL_OF(MOST_VECTORS)];
    EACH_REGISTER(r, vectors)
        sum[r] = NAME(so_far)(S, p, r);
    for (; at < end; at += 2)
        EACH_REGISTER(r, vectors) {
            V q = NAME(load)(shape, S + at[0], x, r) * NAME(load)(other, S + at[1], y, r);
            sum[r] = negative ? sum[r] - q : sum[r] + q;
        }
    EACH_REGISTER(r, vectors)
        NAME(store)(S + p[1], r, sum[r]);
    return end;
}

/* Terms that are left out where their last operand is not zero: so many vectors, from
   one on. The tables are those of x, y and the mask; `at` and `end` those of the terms. */
HERE void NAME(masked_vectors)(const int shape, const int other, const int masks,
                               const int vectors, int from, double *S, const int32_t *p,
                               const int32_t *const *tables, const int32_t *at,
                               const int32_t *end)
{
    const int product = other != SHAPES, first = from * REGISTERS;
    const V sign = SAME(p[4] ? -1.0 : 1.0);
    V sum[ALL_OF(MOST_VECTORS)];
    EACH_REGISTER(r, vectors)
        sum[r] = NAME(so_far)(S, p, first + r);
    for (; at < end; at += 2 + product)
        EACH_REGISTER(r, vectors) {
            V q = NAME(load)(shape, S + at[0], tables[0], first + r);
            const V mask = NAME(load)(masks, S + at[1 + product], tables[2], first + r);
            if (product)
                q = q * NAME(load)(other, S + at[1], tables[1], first + r);
            sum[r] = CHOOSE(EQUAL(mask, SAME(0.0)), sum[r] + sign * q, sum[r]);
        }
    EACH_REGISTER(r, vectors)
        NAME(store)(S + p[1], first + r, sum[r]);
}

/* Without a product, `other` is SHAPES: none. */
HERE const int32_t *NAME(masked)(const int shape, const int other, const int masks,
                                 double *S, const int32_t *p)
{
    const int all = p[5];
    const int32_t *x = p + 6, *y = x + table_size(shape, all);
    const int32_t *m = other == SHAPES ? y : y + table_size(other, all);
    const int32_t *tables[] = {x, y, m}, *at = m + table_size(masks, all);
    const int32_t *end = at + (other == SHAPES ? 2 : 3) * p[3];
    int v = 0;
    for (; v + 2 <= all; v += 2)
        NAME(masked_vectors)(shape, other, masks, 2, v, S, p, tables, at, end);
    if (v < all)
        NAME(masked_vectors)(shape, other, masks, 1, v, S, p, tables, at, end);
    return end;
}

/* ---- rows --------------------------------------------------------------------------- */

/* Steps of rows whose value is the same formula on registers: x, y, w. */
#define VECTOR_ROW(name, operands, value) \
    TARGET static const int32_t *NAME(row_##name)(double *S, const int32_t *p) \
    { \
        double *out = S + p[1]; \
        const int vectors = p[2]; \
        const int32_t *at_x = p + 4, *at_y = at_x, *at_w = at_x; \
        p = next_operand(p + 4, vectors); \
        if ((operands) > 1) \
            at_y = p, p = next_operand(p, vectors); \
        if ((operands) > 2) \
            at_w = p, p = next_operand(p, vectors); \
        for (int r = 0; r < ALL_OF(vectors); r++) { \
            const V x = NAME(load_any)(S, at_x, r); \
            const V y = (operands) > 1 ? NAME(load_any)(S, at_y, r) : x; \
            const V w = (operands) > 2 ? NAME(load_any)(S, at_w, r) : x; \
            (void)y, (void)w; \
            NAME(store)(out, r, value); \
        } \
        return p; \
    }

#define TRUTH(holds) CHOOSE(holds, SAME(1.0), SAME(0.0))
#define FOR_VECTOR_ROWS(DO) \
    DO(identity, 1, x) \
    DO(stop_gradient, 1, x) \
    DO(neg, 1, -x) \
    DO(abs, 1, MAGNITUDE(x)) \
    DO(sqrt, 1, ROOT(x)) \
    DO(relu, 1, CHOOSE(LESS_EQUAL(x, SAME(0.0)), SAME(0.0), x)) \
    DO(add, 2, x + y) \
    DO(sub, 2, x - y) \
    DO(mul, 2, x * y) \
    DO(div, 2, x / y) \
    DO(less, 2, TRUTH(LESS(x, y))) \
    DO(less_equal, 2, TRUTH(LESS_EQUAL(x, y))) \
    DO(greater, 2, TRUTH(LESS(y, x))) \
    DO(greater_equal, 2, TRUTH(LESS_EQUAL(y, x))) \
    DO(equal, 2, TRUTH(EQUAL(x, y))) \
    DO(not_equal, 2, CHOOSE(EQUAL(x, y), SAME(0.0), SAME(1.0))) \
    DO(maximum, 2, CHOOSE(LESS(y, x), x, CHOOSE(EQUAL(x, x), y, x))) \
    DO(minimum, 2, CHOOSE(LESS(x, y), x, CHOOSE(EQUAL(x, x), y, x))) \
    DO(where, 3, CHOOSE(EQUAL(x, SAME(0.0)), w, y))

FOR_VECTOR_ROWS(VECTOR_ROW)

/* Any number of operands, one after the other, in the slots of the result. */
#define VECTOR_FOLD(name, start, value) \
    TARGET static const int32_t *NAME(fold_##name)(double *S, const int32_t *p) \
    { \
        double *out = S + p[1]; \
        const int vectors = p[2]; \
        const int32_t *at = p + 6; \
        for (int i = 0; i < p[4]; i++, at = next_operand(at, vectors)) \
            for (int r = 0; r < ALL_OF(vectors); r++) { \
                const V y = NAME(load_any)(S, at, r); \
                const V x = i ? NAME(in_row)(out, r) : SAME(start); \
                NAME(store)(out, r, value); \
            } \
        return at; \
    }

VECTOR_FOLD(product, 1.0, x * y)
VECTOR_FOLD(maximum, -INFINITY, CHOOSE(LESS(y, x), x, CHOOSE(EQUAL(x, x), y, x)))
VECTOR_FOLD(minimum, INFINITY, CHOOSE(LESS(x, y), x, CHOOSE(EQUAL(x, x), y, x)))

TARGET static const int32_t *NAME(pack)(double *S, const int32_t *p)
{
    int32_t count = p[1];
    for (p += 2; count--; p += 1 + LANES)
        for (int r = 0; r < REGISTERS; r++)
            NAME(store)(S + p[0], r, NAME(gathered)(S, p + 1 + r * WIDTH));
    return p;
}

/* ---- the table of steps ------------------------------------------------------------- */

#define FOR_VECTORS(DO, ...) DO(1, __VA_ARGS__) DO(2, __VA_ARGS__) DO(4, __VA_ARGS__)
#define FOR_SINGLES(DO) \
    FOR_VECTORS(DO, 0, 0) FOR_VECTORS(DO, 1, 0) FOR_VECTORS(DO, 2, 0) \
    FOR_VECTORS(DO, 0, 1) FOR_VECTORS(DO, 1, 1) FOR_VECTORS(DO, 2, 1)
#define FOR_PRODUCTS(DO) \
    FOR_VECTORS(DO, 0, 0, 0) FOR_VECTORS(DO, 0, 1, 0) FOR_VECTORS(DO, 0, 2, 0) \
    FOR_VECTORS(DO, 1, 1, 0) FOR_VECTORS(DO, 1, 2, 0) FOR_VECTORS(DO, 2, 2, 0) \
    FOR_VECTORS(DO, 0, 0, 1) FOR_VECTORS(DO, 0, 1, 1) FOR_VECTORS(DO, 0, 2, 1) \
    FOR_VECTORS(DO, 1, 1, 1) FOR_VECTORS(DO, 1, 2, 1) FOR_VECTORS(DO, 2, 2, 1)

#define FOR_MASKS(DO, ...) DO(0, __VA_ARGS__) DO(1, __VA_ARGS__) DO(2, __VA_ARGS__)
#define FOR_MASKED(DO) \
    FOR_MASKS(DO, 0, 0) FOR_MASKS(DO, 0, 1) FOR_MASKS(DO, 1, 1) FOR_MASKS(DO, 0, 2) \
    FOR_MASKS(DO, 1, 2) FOR_MASKS(DO, 2, 2) FOR_MASKS(DO, 0, 3) FOR_MASKS(DO, 1, 3) \
    FOR_MASKS(DO, 2, 3)

#define STEP_OF_SINGLES(vectors, shape, negative) \
    TARGET static const int32_t *NAME(singles_##vectors##shape##negative)( \
        double *S, const int32_t *p) \
    { \
        return NAME(singles)(shape, negative, vectors, S, p); \
    }
#define STEP_OF_PRODUCTS(vectors, x, y, negative) \
    TARGET static const int32_t *NAME(products_##vectors##x##y##negative)( \
        double *S, const int32_t *p) \
    { \
        return NAME(products)(x, y, negative, vectors, S, p); \
    }
#define STEP_OF_MASKED(mask, x, y) \
    TARGET static const int32_t *NAME(masked_##x##y##mask)(double *S, const int32_t *p) \
    { \
        return NAME(masked)(x, y, mask, S, p); \
    }

FOR_SINGLES(STEP_OF_SINGLES)
FOR_PRODUCTS(STEP_OF_PRODUCTS)
FOR_MASKED(STEP_OF_MASKED)

#define AT_ROW(name, operands, value) steps[KIND_##name] = NAME(row_##name);
#define AT_SINGLES(vectors, shape, negative) \
    steps[SINGLES_STEP(shape, negative, vectors)] = NAME(singles_##vectors##shape##negative);
#define AT_PRODUCTS(vectors, x, y, negative) \
    steps[PRODUCTS_STEP(x, y, negative, vectors)] = \
        NAME(products_##vectors##x##y##negative);
#define AT_MASKED(mask, x, y) steps[MASKED_STEP(x, y, mask)] = NAME(masked_##x##y##mask);

static void NAME(find_steps)(Step **steps)
{
    FOR_VECTOR_ROWS(AT_ROW)
    FOR_SINGLES(AT_SINGLES)
    FOR_PRODUCTS(AT_PRODUCTS)
    FOR_MASKED(AT_MASKED)
    steps[PRODUCT_OF] = NAME(fold_product);
    steps[MAXIMUM_OF] = NAME(fold_maximum);
    steps[MINIMUM_OF] = NAME(fold_minimum);
    steps[PACK] = NAME(pack);
}

#undef SET
#undef TARGET
#undef WIDTH
#undef SAME
#undef ROOT
#undef HERE
#undef CHOOSE
