/* Instruction sets: what each has for the steps of `_run.h`, and which the machine has.

   GCC and Clang have vectors, and targets of single functions: there the steps are made
   for several sets, and the best that the machine has is found when the module is loaded.
   Elsewhere steps go number by number. All sets give the same bits. */

#define JOINED(f, set) f##_##set
#define JOIN(f, set) JOINED(f, set)
#define NAME(f) JOIN(f, SET)

/* ---- number by number --------------------------------------------------------------- */

#define SET plain
#define UNROLLED
#define TARGET
#define WIDTH 1
#define V double
#define LOOSE double
#define SAME(x) (x)
#define ROOT(x) sqrt(x)
#define MAGNITUDE(x) fabs(x)
#define LESS(x, y) ((x) < (y))
#define LESS_EQUAL(x, y) ((x) <= (y))
#define EQUAL(x, y) ((x) == (y))
INLINE V choose_plain(int holds, V a, V b) { return holds ? a : b; }
INLINE V gathered_plain(const double *x, const int32_t *at) { return x[*at]; }
#include "_run.h"

#if defined(__GNUC__)

#undef V
#undef LOOSE
#undef MAGNITUDE
#undef LESS
#undef LESS_EQUAL
#undef EQUAL
#undef UNROLLED
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__)
#define UNROLLED /* Clang does so unasked; under sanitizers it would be too long */
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif
#define V NAME(V)
#define LOOSE NAME(Loose)
#define BITS NAME(Bits)
#define MAGNITUDE(x) (V)((BITS)(x) & INT64_MAX)
#define LESS(x, y) (BITS)((x) < (y))
#define LESS_EQUAL(x, y) (BITS)((x) <= (y))
#define EQUAL(x, y) (BITS)((x) == (y))
#define VECTOR_TYPES \
    typedef double V __attribute__((vector_size(8 * WIDTH))); \
    typedef int64_t BITS __attribute__((vector_size(8 * WIDTH))); \
    typedef V LOOSE __attribute__((aligned(8), may_alias));

/* ---- two numbers: any machine ------------------------------------------------------- */

#define SET baseline
#define TARGET
#define WIDTH 2
#define SAME(x) ((V){x, x})
#define ROOT(x) ((V){sqrt((x)[0]), sqrt((x)[1])})
VECTOR_TYPES
INLINE V choose_baseline(BITS holds, V a, V b)
{
    return (V)(((BITS)a & holds) | ((BITS)b & ~holds));
}
INLINE V gathered_baseline(const double *x, const int32_t *at)
{
    return (V){x[at[0]], x[at[1]]};
}
#include "_run.h"

/* Elsewhere than on Windows, where GCC puts wide vectors at odd places on the stack. */
#if defined(__x86_64__) && !defined(_WIN32)
#define WIDE_SETS
#include <immintrin.h>

/* ---- four numbers ------------------------------------------------------------------- */

#define SET avx2
#define TARGET __attribute__((target("avx2")))
#define WIDTH 4
#define SAME(x) ((V){x, x, x, x})
#define ROOT(x) _mm256_sqrt_pd(x)
VECTOR_TYPES
TARGET INLINE V choose_avx2(BITS holds, V a, V b)
{
    return _mm256_blendv_pd(b, a, (V)holds);
}
TARGET INLINE V gathered_avx2(const double *x, const int32_t *at)
{
    return (V){x[at[0]], x[at[1]], x[at[2]], x[at[3]]};
}
#include "_run.h"

/* ---- eight numbers ------------------------------------------------------------------ */

#undef LESS
#undef LESS_EQUAL
#undef EQUAL
#define LESS(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ)
#define LESS_EQUAL(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LE_OQ)
#define EQUAL(x, y) _mm512_cmp_pd_mask(x, y, _CMP_EQ_OQ)

#define SET avx512
#define TARGET __attribute__((target("avx512f")))
#define WIDTH 8
#define SAME(x) ((V){x, x, x, x, x, x, x, x})
#define ROOT(x) _mm512_sqrt_pd(x)
VECTOR_TYPES
TARGET INLINE V choose_avx512(__mmask8 holds, V a, V b)
{
    return _mm512_mask_blend_pd(holds, b, a);
}
TARGET INLINE V gathered_avx512(const double *x, const int32_t *at)
{
    return (V){x[at[0]], x[at[1]], x[at[2]], x[at[3]],
               x[at[4]], x[at[5]], x[at[6]], x[at[7]]};
}
#include "_run.h"

#endif
#endif

/* ---- which the machine has ---------------------------------------------------------- */

typedef struct {
    const char *name;
    int (*is_there)(void);
    void (*find_steps)(Step **steps);
    int vectors; /* at most, in a block: those whose sums its registers hold */
} Set;

static int always(void) { return 1; }

#if defined(WIDE_SETS)
static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }
static int has_avx512(void) { return __builtin_cpu_supports("avx512f"); }
#endif

/* The best one first. */
static const Set sets[] = {
#if defined(__GNUC__)
#if defined(WIDE_SETS)
    {"avx512", has_avx512, find_steps_avx512, 4},
    {"avx2", has_avx2, find_steps_avx2, 4},
#endif
    {"baseline", always, find_steps_baseline, 4},
#endif
    {"plain", always, find_steps_plain, 1}};

enum { SETS = sizeof sets / sizeof *sets };

static Step *steps_of[SETS][STEPS];

#define AT_LANES(name) steps[KIND_##name] = lanes_of_row;

static void find_shared_steps(Step **steps)
{
    KINDS_OF_ONE(AT_LANES)
    KINDS_OF_TWO(AT_LANES)
    KINDS_OF_THREE(AT_LANES)
    steps[LOGSUMEXP] = lanes_of_fold;
    steps[SCALARS] = scalars;
}

/* Once, when the module is loaded. */
static void find_steps(void)
{
    for (int i = 0; i < SETS; i++) {
        find_shared_steps(steps_of[i]);
        sets[i].find_steps(steps_of[i]);
    }
}

/* The set of this name, or the best one; NULL if the machine has it not. */
static const Set *find_set(const char *name)
{
    for (int i = 0; i < SETS; i++)
        if (sets[i].is_there() && (!name || !strcmp(name, sets[i].name)))
            return sets + i;
    return NULL;
}

/* Run blocks from p on, to the end or a pause: where to go on, or NULL. */
static const int32_t *run_blocks(const Set *set, double *S, const int32_t *p)
{
    Step *const *steps = steps_of[set - sets];
    while (*p < STEPS)
        p = steps[*p](S, p);
    return *p == PAUSE ? p + 1 : NULL;
}
