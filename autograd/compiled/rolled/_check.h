/* Blocks, looked at number by number before they run: for tests.

   Every number that is read must have been written before, by an input, a constant or a
   block; a lane of padding may be anything within the slots. Every lane of every group must
   be written once. */

enum { UNKNOWN, KNOWN, PADDING }; /* the state of a slot */

typedef struct {
    uint8_t *state;
    int32_t slots;
    int bad;
} Check;

static void read_slot(Check *c, int32_t slot, int padding)
{
    if (slot < 0 || slot >= c->slots || (!padding && c->state[slot] != KNOWN))
        c->bad = 1;
}

static void write_slot(Check *c, int32_t slot, int again)
{
    if (slot < 0 || slot >= c->slots || c->state[slot] == (again ? UNKNOWN : KNOWN))
        c->bad = 1;
    else if (c->state[slot] == UNKNOWN)
        c->state[slot] = KNOWN;
}

static int is_padding(const Check *c, int32_t slot)
{
    return slot < 0 || slot >= c->slots || c->state[slot] == PADDING;
}

/* The lanes of a block that writes from `out` on, and reads a table behind `first`. */
static void read_table(Check *c, int shape, const int32_t *table, int32_t first,
                       int vectors, int32_t out)
{
    for (int j = 0; j < vectors * LANES && !c->bad; j++) {
        int32_t slot = table[shape == ANY ? j : j / LANES];
        read_slot(c, first + slot + (shape == ROW ? j % LANES : 0), is_padding(c, out + j));
    }
}

static void write_lanes(Check *c, int32_t out, int lanes, int again)
{
    for (int j = 0; j < lanes && !c->bad; j++)
        write_slot(c, out + j, again);
}

static void check_scratch(Check *c, int32_t slot, int32_t count)
{
    c->bad |= slot < 0 || slot > c->slots - count;
}

/* ---- steps -------------------------------------------------------------------------- */

/* Terms whose operands have these shapes and tables, then what begins each. */
static const int32_t *check_terms(Check *c, const int32_t *head, int vectors, int width,
                                  const int *shapes, const int32_t *const *tables,
                                  const int32_t *firsts)
{
    for (int32_t i = 0; i < head[3] * width; i++)
        read_table(c, shapes[i % width], tables[i % width], firsts[i], vectors, head[1]);
    write_lanes(c, head[1], vectors * LANES, !head[2]);
    return firsts + head[3] * width;
}

/* The shapes of which this is the PAIR. */
static void unpair(int pair, int *x, int *y)
{
    *y = 0;
    while (pair > *y)
        pair -= ++*y;
    *x = pair;
}

static const int32_t *check_masked(Check *c, const int32_t *p)
{
    int number = p[0] - MASKED_SUMS, vectors = p[5], width = 3, shapes[3];
    const int32_t *tables[3], *at = p + 6;
    unpair(number / SHAPES, &shapes[0], &shapes[1]);
    shapes[2] = number % SHAPES;
    if (shapes[1] == SHAPES) {
        shapes[1] = shapes[2];
        width = 2;
    }
    for (int i = 0; i < width; i++) {
        tables[i] = at;
        at += table_size(shapes[i], vectors);
    }
    return check_terms(c, p, vectors, width, shapes, tables, at);
}

static const int32_t *check_singles(Check *c, const int32_t *p)
{
    int number = p[0] - SINGLES, vectors = 1 << number % SIZES;
    int shape = number / SIZES / 2;
    const int32_t *table = p + 4;
    return check_terms(c, p, vectors, 1, &shape, &table, table + table_size(shape, vectors));
}

static const int32_t *check_products(Check *c, const int32_t *p)
{
    int number = p[0] - PRODUCTS, vectors = 1 << number % SIZES;
    int shapes[2];
    const int32_t *tables[2] = {p + 4, NULL};
    unpair(number / SIZES / 2, &shapes[0], &shapes[1]);
    tables[1] = tables[0] + table_size(shapes[0], vectors);
    return check_terms(c, p, vectors, 2, shapes, tables,
                       tables[1] + table_size(shapes[1], vectors));
}

static const int32_t *check_row(Check *c, const int32_t *p)
{
    int32_t out = p[1], vectors = p[2], lanes = p[3], count = kinds[p[0]].operands;
    const int32_t *at = p + 4;
    if (takes_any_number(p[0])) {
        count = p[4];
        check_scratch(c, p[5], count);
        at += 2;
    }
    for (int32_t i = 0; i < count; i++, at = next_operand(at, vectors))
        read_table(c, at[0], at + 1, 0, vectors, out);
    write_lanes(c, out, lanes, 0);
    return at;
}

static const int32_t *check_pack(Check *c, const int32_t *p)
{
    int32_t count = p[1];
    for (p += 2; count-- && !c->bad; p += 1 + LANES) {
        for (int j = 0; j < LANES; j++)
            read_slot(c, p[1 + j], 0);
        write_lanes(c, p[0], LANES, 0);
    }
    return p;
}

/* ---- codes -------------------------------------------------------------------------- */

static const int32_t *read_slots(Check *c, const int32_t *p, int count)
{
    for (int i = 0; i < count; i++)
        read_slot(c, p[i], 0);
    return p + count;
}

/* The operands of a code, from behind its out. */
static const int32_t *check_operands(Check *c, int code, const int32_t *p)
{
    int terms = code >= SHORT_SUM_4 ? 4 : code >= SHORT_SUM_3 ? 3 : 2;
    int flags = code - (terms == 4   ? SHORT_SUM_4
                        : terms == 3 ? SHORT_SUM_3
                                     : SHORT_SUM_2);
    if (code < ROW_KINDS)
        return read_slots(c, p, kinds[code].operands);
    if (takes_any_number(code)) {
        check_scratch(c, p[1], p[0]);
        return read_slots(c, p + 2, p[0]);
    }
    if (code == SUM) {
        terms = *p++;
        while (terms--)
            p = read_slots(c, p + 1, term_width(p[0]));
        return p;
    }
    for (; terms--; flags >>= 2)
        p = read_slots(c, p, term_width(flags & (NEGATIVE | PRODUCT)));
    return p;
}

static const int32_t *check_scalars(Check *c, const int32_t *p)
{
    for (p++; *p != END && !c->bad;) {
        int32_t out = p[1];
        p = check_operands(c, p[0], p + 2);
        write_slot(c, out, 0);
    }
    return p + 1;
}

static const int32_t *check_step(Check *c, const int32_t *p)
{
    return *p < KINDS            ? check_row(c, p)
           : *p == PACK          ? check_pack(c, p)
           : *p == SCALARS       ? check_scalars(c, p)
           : *p < PRODUCTS       ? check_singles(c, p)
           : *p < MASKED_SUMS    ? check_products(c, p)
                                 : check_masked(c, p);
}

/* ---- all ---------------------------------------------------------------------------- */

static void mark_padding(Check *c, const Group *group)
{
    for (int32_t j = group->lanes; j < group->padded; j++)
        c->state[group->slot + j] = PADDING;
}

/* What a callback reads and writes, where the blocks pause. */
static void check_callback(Check *c, const Group *group)
{
    for (int32_t i = 0; i < group->width; i++)
        read_slot(c, group->operand[i], 0);
    write_lanes(c, group->slot, group->lanes, 0);
}

static const Group *next_callback(const Group *group, const Group *end)
{
    while (group < end && group->kind != CALLBACK)
        group++;
    return group;
}

/* Whether blocks are what these groups ask for, `given` slots being known before: 1, 0 if
   not, -1 without memory. */
static int are_sound(const Blocks *blocks, const Group *groups, size_t count, int32_t given)
{
    Check c = {zeros_for((size_t)blocks->slots, 1), blocks->slots, 0};
    const int32_t *p = blocks->stream;
    const Group *callback = next_callback(groups, groups + count);
    if (!c.state)
        return -1;
    memset(c.state, KNOWN, (size_t)given);
    for (size_t i = 0; i < count; i++)
        mark_padding(&c, groups + i);
    while (*p != FINISH && !c.bad) {
        if (*p < STEPS) {
            p = check_step(&c, p);
            continue;
        }
        check_callback(&c, callback);
        callback = next_callback(callback + 1, groups + count);
        p++;
    }
    for (size_t i = 0; i < count; i++)
        for (int32_t j = 0; j < groups[i].lanes; j++)
            read_slot(&c, groups[i].slot + j, 0);
    PyMem_Free(c.state);
    return !c.bad && p == blocks->stream + blocks->count - 1;
}
