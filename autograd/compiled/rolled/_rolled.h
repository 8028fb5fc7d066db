/* Rolled code: what the part that finds it and the part that runs it agree on.

   A straight line of scalar operations becomes few groups: operations of one kind on one
   level, as lanes. A group is one loop; its operands lie in a row, or are the same for all
   lanes, as far as an order of lanes could be found that makes them so.

   slot    a number's place: inputs come first, constants behind them, then, from the next
           multiple of 8 on, the groups in the order in which they run
   lane    one operation of a group; lane j writes slot + j
   place   of an operand: which of a lane's operands it is
   level   of an operation: one more than the largest of its operands
   term    of a sum: x or x·y, added or taken off, or left out where a mask says so */

/* ---- kinds -------------------------------------------------------------------------- */

/* The rows that C computes: those whose rules it has as well, and two of libm. */
static double compute_atan2(const double *args) { return atan2(args[0], args[1]); }
static double compute_asinh(const double *args) { return asinh(args[0]); }

#define KINDS_OF_ONE(KIND) ROWS_OF_ONE(KIND) KIND(asinh)
#define KINDS_OF_TWO(KIND) ROWS_OF_TWO(KIND) KIND(atan2)
#define KINDS_OF_THREE(KIND) ROWS_OF_THREE(KIND)

#define KIND_NUMBER(name) KIND_##name,
enum {
    KINDS_OF_ONE(KIND_NUMBER) KINDS_OF_TWO(KIND_NUMBER) KINDS_OF_THREE(KIND_NUMBER)
    ROW_KINDS, /* as many as there are rows above */

    /* Any number of operands, in order: a row of two on what came out so far and the next */
    PRODUCT_OF = ROW_KINDS,
    MAXIMUM_OF,
    MINIMUM_OF,

    SUM,       /* of terms, see below */
    LOGSUMEXP, /* of any number of operands, as the table's row: logsumexp(xs, count) */
    DOT,       /* among what is given, never in a group: it becomes a sum */
    CALLBACK,  /* a row that only Python computes; never in what is run as blocks */
    KINDS
};

typedef struct {
    const char *name;
    int operands; /* 0: any number */
    double (*compute)(const double *args); /* NULL: any number of operands */
} Kind;

#define KIND_ONE(name) {#name, 1, compute_##name},
#define KIND_TWO(name) {#name, 2, compute_##name},
#define KIND_THREE(name) {#name, 3, compute_##name},
static const Kind kinds[KINDS] = {
    KINDS_OF_ONE(KIND_ONE) KINDS_OF_TWO(KIND_TWO) KINDS_OF_THREE(KIND_THREE)
    {"prod", 0, NULL}, {"_maximum", 0, NULL}, {"_minimum", 0, NULL}, {"sum", 0, NULL},
    {"logsumexp", 0, NULL}, {"dot", 0, NULL}, {"callback", 0, NULL}};

/* ---- groups ------------------------------------------------------------------------- */

/* A sum begins with -0.0, since -0.0 + t is t to the last bit, and goes through its terms
   in order. A term is x, or x·y, rounded, if it is a PRODUCT. It is added, or subtracted if
   it is NEGATIVE. One that is MASKED has one more operand m behind x and y, and is left out
   where m != 0.0, which holds for NaN. */
enum { NEGATIVE = 1, PRODUCT = 2, MASKED = 4 };

/* Groups of fewer lanes are not padded. */
enum { LANES = 8, FEW = 4 };

typedef struct {
    int32_t kind;
    int32_t lanes, padded; /* lanes up to a multiple of LANES, or as they are if FEW */
    int32_t width;         /* operands of a lane; of a sum: of all of its terms */
    int32_t slot;          /* of lane 0; a multiple of LANES unless there are fewer than FEW */
    int32_t terms;         /* of a sum */
    int32_t level;
    int32_t which;         /* of a callback: the place of its function */
    const uint8_t *flags;  /* of each term of a sum, else NULL */
    int32_t *operand;      /* slots by place, then lane: operand[place * padded + lane];
                              lanes of padding repeat the last one */
} Group;

/* Operands of a term with these flags. */
INLINE int term_width(int flags) { return 1 + !!(flags & PRODUCT) + !!(flags & MASKED); }
