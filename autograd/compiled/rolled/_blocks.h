/* From groups to a stream of blocks: what runs, as one array of numbers.

   A block does one, two or four vectors of a group, eight lanes each. It says where each of
   its operands is, and that has one of three shapes:

   ONE   the same number for all lanes of a vector     a slot for each vector
   ROW   lane after lane, as they lie in memory        a slot for each vector
   ANY   anywhere                                      a slot for each lane

   A sum is cut into runs: terms one behind the other that have the same flags, and slots
   that differ from those of the term before by one distance for all lanes. A run is a loop
   over the terms with one table of distances, and two numbers or three for each term. Its
   lanes are added up in registers; between two runs they are in the slots of the sum.

   ANY is dear, so eight slots that are needed like that more than once are packed: copied
   into a row of their own, before the first block that needs them. Lanes of padding are of
   no interest to anyone, so a last vector is what its true lanes are, and may read up to
   seven slots too many.

   Groups of fewer lanes than FEW are written lane by lane, in codes of their own: see
   `_scalars.h`, and `_run.h` for what each step does.

   step    what is done next: the first number of a block
   table   the slots of an operand, or their distances from the first one
   first   the first of these, where a table is of distances
   count   of operands, of a kind that takes any number; `scratch` has room for them */

enum { MOST_VECTORS = 4, SIZES = 3 }; /* one, two or four vectors: SIZE 0, 1, 2 */
#define SIZE(vectors) ((vectors) / 2)

enum { ONE, ROW, ANY, SHAPES };

/* Steps: kinds of rows, and these. Those of sums are many: for each shape of the operands,
   added or taken off, for each number of vectors; x·y is y·x, so its first shape is never
   above the second.

   kind             kind out vectors lanes [count scratch] (shape table)×count
   PACK             PACK count (to slot×8)×count
   SCALARS          SCALARS code … END
   SINGLES …        step out begins terms table first×terms
   PRODUCTS …       step out begins terms table table (first first)×terms
   MASKED_SUMS …    step out begins terms negative vectors table×n (first×n)×terms, with
                    n operands of a term: x [y] mask
   PAUSE            PAUSE: before a callback
   FINISH           FINISH: the end */
enum {
    PACK = KINDS,
    SCALARS,
    SINGLES,
    PRODUCTS = SINGLES + SHAPES * 2 * SIZES,
    MASKED_SUMS = PRODUCTS + SHAPES * (SHAPES + 1) / 2 * 2 * SIZES,
    STEPS = MASKED_SUMS + SHAPES * (SHAPES + 3) / 2 * SHAPES,
    PAUSE = STEPS,
    FINISH
};

#define MASKED_STEP(x, y, mask) (MASKED_SUMS + PAIR(x, y) * SHAPES + (mask))
#define SINGLES_STEP(shape, negative, vectors) \
    (SINGLES + ((shape) * 2 + (negative)) * SIZES + SIZE(vectors))
#define PAIR(x, y) ((y) * ((y) + 1) / 2 + (x)) /* of shapes, x <= y */
#define PRODUCTS_STEP(x, y, negative, vectors) \
    (PRODUCTS + (PAIR(x, y) * 2 + (negative)) * SIZES + SIZE(vectors))

/* Codes of single lanes: kinds, and sums of two to four terms without a mask, one code for
   each choice of NEGATIVE and PRODUCT in each term: two bits a term, the first one lowest.

   kind of a row              kind out x [y [w]]
   any number of operands     kind out count scratch x×count
   SUM                        SUM out terms (flags x [y] [m])×terms
   SHORT_SUM …                code out x [y] … */
enum {
    END = KINDS,
    SHORT_SUM_2,
    SHORT_SUM_3 = SHORT_SUM_2 + 16,
    SHORT_SUM_4 = SHORT_SUM_3 + 64,
    CODES = SHORT_SUM_4 + 256
};

typedef struct {
    int32_t *stream;
    size_t count, room;
    int32_t slots; /* that a run needs, LANES more for what is read too much included */
} Blocks;

/* Whether a kind has any number of operands, and is no sum. */
INLINE int takes_any_number(int kind)
{
    return kind >= ROW_KINDS && kind < CALLBACK && kind != SUM;
}

INLINE int table_size(int shape, int vectors)
{
    return shape == ANY ? vectors * LANES : vectors;
}

#include "_sites.h"

/* ---- sums --------------------------------------------------------------------------- */

/* A product has its simpler operand first. */
static void order_factors(Site *x)
{
    if (x[0].shape > x[1].shape) {
        Site kept = x[0];
        x[0] = x[1];
        x[1] = kept;
    }
}

/* Whether two places differ by one distance. */
static int is_shifted(const Site *x, const Site *y, int vectors)
{
    int count = table_size(x->shape, vectors);
    if (x->shape != y->shape)
        return 0;
    for (int i = 1; i < count; i++)
        if (x->at[i] - x->at[0] != y->at[i] - y->at[0])
            return 0;
    return 1;
}

static int are_shifted(const Site *x, const Site *y, int width, int vectors)
{
    for (int i = 0; i < width; i++)
        if (!is_shifted(x + i, y + i, vectors))
            return 0;
    return 1;
}

static int32_t step_of(int flags, const Site *x, int vectors)
{
    if (flags & MASKED)
        return flags & PRODUCT ? MASKED_STEP(x[0].shape, x[1].shape, x[2].shape)
                               : MASKED_STEP(x[0].shape, SHAPES, x[1].shape);
    if (flags & PRODUCT)
        return PRODUCTS_STEP(x[0].shape, x[1].shape, flags & NEGATIVE, vectors);
    return SINGLES_STEP(x[0].shape, flags & NEGATIVE, vectors);
}

static void put_distances(Builder *b, const Site *x, int vectors)
{
    int count = table_size(x->shape, vectors);
    for (int i = 0; i < count; i++)
        put(b, x->at[i] - x->at[0]);
}

/* A run of terms: the tables of its first, and where each begins. */
static void put_run(Builder *b, const Part *part, int flags, const Site *x, int terms,
                    int32_t out, int begins)
{
    int width = term_width(flags);
    put(b, step_of(flags, x, part->vectors));
    put(b, out);
    put(b, begins);
    put(b, terms);
    if (flags & MASKED) {
        put(b, flags & NEGATIVE);
        put(b, part->vectors);
    }
    for (int i = 0; i < width; i++)
        put_distances(b, x + i, part->vectors);
    for (int i = 0; i < terms * width; i++)
        put(b, x[i].at[0]);
}

/* How many terms from t on, whose operands are at x, are one run. */
static int run_length(const Group *group, int t, const Site *x, int vectors)
{
    const uint8_t *flags = group->flags;
    int width = term_width(flags[t]), length = 1;
    while (t + length < group->terms && flags[t + length] == flags[t]
           && are_shifted(x, x + length * width, width, vectors))
        length++;
    return length;
}

static void put_sum(Builder *b, const Part *part, int32_t out)
{
    const Group *group = part->group;
    Site *x = b->sites;
    for (int t = 0; t < group->terms; t++) {
        if (group->flags[t] & PRODUCT)
            order_factors(x);
        x += term_width(group->flags[t]);
    }
    x = b->sites;
    for (int t = 0, length; t < group->terms; t += length) {
        length = run_length(group, t, x, part->vectors);
        put_run(b, part, group->flags[t], x, length, out, t == 0);
        x += length * term_width(group->flags[t]);
    }
}

/* ---- groups ------------------------------------------------------------------------- */

/* How many operands a lane has, if it may have any number, and where to put them. */
static void put_count(Builder *b, const Group *group)
{
    put(b, group->width);
    put(b, b->scratch);
}

static void put_row(Builder *b, const Part *part, int32_t out)
{
    int32_t head[] = {part->group->kind, out, part->vectors, part->lanes};
    put_all(b, head, 4);
    if (takes_any_number(part->group->kind))
        put_count(b, part->group);
    for (int i = 0; i < part->group->width; i++) {
        put(b, b->sites[i].shape);
        put_all(b, b->sites[i].at, table_size(b->sites[i].shape, part->vectors));
    }
}

static void put_part(Builder *b, const Part *part)
{
    int32_t out = part->group->slot + part->vector * LANES;
    find_sites(b, part);
    if (b->failed)
        return;
    if (part->group->kind == SUM)
        put_sum(b, part, out);
    else
        put_row(b, part, out);
}

/* The code of a short sum, or SUM. */
static int32_t code_of_sum(const Group *group)
{
    static const int32_t codes[] = {SHORT_SUM_2, SHORT_SUM_3, SHORT_SUM_4};
    int32_t code = 0;
    if (group->terms < 2 || group->terms > 4)
        return SUM;
    for (int t = 0; t < group->terms; t++) {
        if (group->flags[t] & MASKED)
            return SUM;
        code += (group->flags[t] & (NEGATIVE | PRODUCT)) << 2 * t;
    }
    return codes[group->terms - 2] + code;
}

static void put_terms(Builder *b, const Group *group, int lane)
{
    const int32_t *x = group->operand + lane;
    put(b, group->terms);
    for (int t = 0; t < group->terms; t++) {
        put(b, group->flags[t]);
        for (int i = term_width(group->flags[t]); i--; x += group->padded)
            put(b, *x);
    }
}

/* A lane by itself. */
static void put_lane(Builder *b, const Group *group, int lane)
{
    int32_t code = group->kind == SUM ? code_of_sum(group) : group->kind;
    put(b, code);
    put(b, group->slot + lane);
    if (code == SUM) {
        put_terms(b, group, lane);
        return;
    }
    if (takes_any_number(code))
        put_count(b, group);
    for (int i = 0; i < group->width; i++)
        put(b, group->operand[(size_t)i * group->padded + lane]);
}

static void set_scalars(Builder *b, int on)
{
    if (on != b->scalars)
        put(b, on ? SCALARS : END);
    b->scalars = on;
}

static void put_group(Builder *b, const Group *group)
{
    int few = group->lanes < FEW && group->kind != CALLBACK;
    set_scalars(b, few);
    if (group->kind == CALLBACK)
        put(b, PAUSE);
    else if (few)
        for (int j = 0; j < group->lanes; j++)
            put_lane(b, group, j);
    else
        for (Part part = first_part(group, b->vectors); part.vectors; next_part(&part))
            put_part(b, &part);
}

static void count_group(Builder *b, const Group *group)
{
    if (group->lanes < FEW || group->kind == CALLBACK)
        return;
    for (Part part = first_part(group, b->vectors); part.vectors; next_part(&part))
        count_packs(b, &part);
}

/* The slots behind those of the groups: for the operands of a lane that are looked at
   together, and a row to read too much of. */
static int32_t slots_behind(const Group *groups, size_t count, int32_t slots)
{
    int32_t most = 0;
    for (size_t i = 0; i < count; i++)
        if (takes_any_number(groups[i].kind) && groups[i].width > most)
            most = groups[i].width;
    return (slots + most + LANES - 1) / LANES * LANES;
}

/* Blocks of up to so many vectors for these groups, which use so many slots; 0, or -1
   without memory. Where a group is a CALLBACK, running pauses. */
static int make_blocks(Blocks *blocks, const Group *groups, size_t count, int32_t slots,
                       int vectors)
{
    Builder b = {.blocks = blocks, .vectors = vectors, .scratch = slots};
    *blocks = (Blocks){.slots = slots_behind(groups, count, slots)};
    b.failed = make_table(&b.table, 64) < 0;
    for (size_t i = 0; i < count && !b.failed; i++)
        count_group(&b, groups + i);
    for (size_t i = 0; i < count && !b.failed; i++)
        put_group(&b, groups + i);
    set_scalars(&b, 0);
    put(&b, FINISH);
    blocks->slots += LANES;
    free_table(&b.table);
    PyMem_Free(b.packs);
    PyMem_Free(b.sites);
    return b.failed ? -1 : 0;
}
