/* Lanes one by one: the groups of few lanes, and rows that only libm or a formula gives.

   Few lanes are written as codes, one after the other: see `_blocks.h`. Serial programs
   consist of little else, so sums of two to four terms have a code for each choice of
   signs and products: what a code does is written once, for numbers that are known when it
   is compiled. */

/* A product is rounded before it is added; GCC hears so on its command line. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

/* Does what stands at p, on the slots S; gives where the next block is. */
typedef const int32_t *Step(double *S, const int32_t *p);

/* ---- sums --------------------------------------------------------------------------- */

/* Add a term with these flags to a sum: its operands are at *p. */
INLINE double with_term(double sum, const double *S, const int32_t *p, int flags)
{
    double q = flags & PRODUCT ? S[p[0]] * S[p[1]] : S[p[0]];
    return flags & NEGATIVE ? sum - q : sum + q;
}

INLINE int is_left_out(const double *S, const int32_t *p, int flags)
{
    return flags & MASKED && S[p[term_width(flags) - 1]] != 0.0;
}

static const int32_t *scalar_sum(double *S, const int32_t *p)
{
    double sum = -0.0;
    double *out = S + p[0];
    int32_t terms = p[1];
    for (p += 2; terms--; p += 1 + term_width(p[0]))
        if (!is_left_out(S, p + 1, p[0]))
            sum = with_term(sum, S, p + 1, p[0]);
    *out = sum;
    return p;
}

/* The terms of a short sum, one after the other: two bits of `flags` for each. */
INLINE const int32_t *short_sum(double *S, const int32_t *p, int terms, int flags)
{
    const int32_t *x = p + 2;
    double sum = with_term(-0.0, S, x, flags & 3);
    x += term_width(flags & 3);
    sum = with_term(sum, S, x, flags >> 2 & 3);
    x += term_width(flags >> 2 & 3);
    if (terms > 2) {
        sum = with_term(sum, S, x, flags >> 4 & 3);
        x += term_width(flags >> 4 & 3);
    }
    if (terms > 3) {
        sum = with_term(sum, S, x, flags >> 6 & 3);
        x += term_width(flags >> 6 & 3);
    }
    S[p[1]] = sum;
    return x;
}

/* ---- codes -------------------------------------------------------------------------- */

#define CASE_2(flags) case SHORT_SUM_2 + (flags): p = short_sum(S, p, 2, flags); break;
#define CASE_3(flags) case SHORT_SUM_3 + (flags): p = short_sum(S, p, 3, flags); break;
#define CASE_4(flags) case SHORT_SUM_4 + (flags): p = short_sum(S, p, 4, flags); break;
#define FOR_4(CASE, at) CASE(at) CASE((at) + 1) CASE((at) + 2) CASE((at) + 3)
#define FOR_16(CASE, at) \
    FOR_4(CASE, at) FOR_4(CASE, (at) + 4) FOR_4(CASE, (at) + 8) FOR_4(CASE, (at) + 12)
#define FOR_64(CASE, at) \
    FOR_16(CASE, at) FOR_16(CASE, (at) + 16) FOR_16(CASE, (at) + 32) FOR_16(CASE, (at) + 48)
#define FOR_256(CASE, at) \
    FOR_64(CASE, at) FOR_64(CASE, (at) + 64) FOR_64(CASE, (at) + 128) \
    FOR_64(CASE, (at) + 192)

#define CASE_OF_ONE(name) \
    case KIND_##name: \
        S[p[1]] = compute_##name(S + p[2]); \
        p += 3; \
        break;
#define CASE_OF_TWO(name) \
    case KIND_##name: \
        S[p[1]] = compute_##name((double[]){S[p[2]], S[p[3]]}); \
        p += 4; \
        break;
#define CASE_OF_THREE(name) \
    case KIND_##name: \
        S[p[1]] = compute_##name((double[]){S[p[2]], S[p[3]], S[p[4]]}); \
        p += 5; \
        break;

static const int32_t *scalar_fold(double *S, const int32_t *p)
{
    double *xs = S + p[3];
    for (int32_t i = 0; i < p[2]; i++)
        xs[i] = S[p[4 + i]];
    S[p[1]] = value_of(p[0], xs, p[2]);
    return p + 4 + p[2];
}

static const int32_t *scalars(double *S, const int32_t *p)
{
    for (p++;;)
        switch (*p) {
            KINDS_OF_ONE(CASE_OF_ONE)
            KINDS_OF_TWO(CASE_OF_TWO)
            KINDS_OF_THREE(CASE_OF_THREE)
            FOR_16(CASE_2, 0)
            FOR_64(CASE_3, 0)
            FOR_256(CASE_4, 0)
        case SUM:
            p = scalar_sum(S, p + 1);
            break;
        case END:
            return p + 1;
        default:
            p = scalar_fold(S, p);
        }
}

/* ---- blocks, lane by lane ----------------------------------------------------------- */

/* The number of a lane, of an operand whose shape and table are at p. */
INLINE double lane_of(const double *S, const int32_t *p, int lane)
{
    int shape = p[0];
    if (shape == ANY)
        return S[p[1 + lane]];
    return S[p[1 + lane / LANES] + (shape == ROW ? lane % LANES : 0)];
}

INLINE const int32_t *next_operand(const int32_t *p, int vectors)
{
    return p + 1 + table_size(p[0], vectors);
}

/* A row of the table, of up to three operands. */
static const int32_t *lanes_of_row(double *S, const int32_t *p)
{
    const Kind *kind = kinds + p[0];
    const int32_t *x[3];
    double *out = S + p[1];
    int vectors = p[2], lanes = p[3];
    p += 4;
    for (int i = 0; i < kind->operands; i++, p = next_operand(p, vectors))
        x[i] = p;
    for (int j = 0; j < lanes; j++) {
        double args[3];
        for (int i = 0; i < kind->operands; i++)
            args[i] = lane_of(S, x[i], j);
        out[j] = kind->compute(args);
    }
    return p;
}

static const int32_t *lanes_of_fold(double *S, const int32_t *p)
{
    int kind = p[0], vectors = p[2], lanes = p[3], count = p[4];
    double *out = S + p[1], *xs = S + p[5];
    const int32_t *first = p + 6;
    for (int j = 0; j < lanes; j++) {
        p = first;
        for (int i = 0; i < count; i++, p = next_operand(p, vectors))
            xs[i] = lane_of(S, p, j);
        out[j] = value_of(kind, xs, count);
    }
    return p;
}
