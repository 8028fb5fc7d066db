/* A straight line as it is given, to one in which everything is there once and is needed.

   One pass in order: what is made of constants alone is computed by its own row, what is
   an operand in disguise is that operand, and what was computed before is found. Then what
   neither an output nor a guard needs is left out. Every rule holds for all floats, -0.0,
   NaN and the infinities included (any NaN equals any NaN).

   ref    where a number comes from: x >= 0 is an input, or behind them a node; x < 0 is the
          constant ~x
   node   an operation that was kept
   code   what a node does: its kind, or CALLBACK plus the place of its function */

typedef struct {
    int32_t after, slot, expected;
} Guard; /* as it is given; then `slot` is a ref, and `after` counts nodes */

typedef struct {
    int32_t inputs, count; /* of operations */
    const uint16_t *row;   /* of each of them the place of its code */
    const int32_t *start, *operand, *code;
    const double *constant;
    const int32_t *output;
    int32_t constants, outputs, guards;
    const Guard *guard;
} Given;

typedef struct {
    int32_t inputs, count;
    uint16_t *code;
    int32_t *start, *operand;
    double *constant;
    int32_t constants;
    int32_t *output;
    Guard *guard; /* as many as are given: where it is known to hold, its slot is NO_REF */
    size_t codes_room, starts_room, places_room, constants_room;
} Line;

#define NO_REF INT32_MIN

static void free_line(Line *line)
{
    PyMem_Free(line->code);
    PyMem_Free(line->start);
    PyMem_Free(line->operand);
    PyMem_Free(line->constant);
    PyMem_Free(line->output);
    PyMem_Free(line->guard);
    memset(line, 0, sizeof *line);
}

/* ---- writing ------------------------------------------------------------------------ */

typedef struct {
    Line line;
    Table nodes, constants;
    int32_t *now; /* what each number that was given has become, a ref */
    int32_t *refs;
    double *numbers; /* of the operands at hand */
    size_t now_room, refs_room, numbers_room;
    int32_t add_unless;
} Cleaner;

static void free_cleaner(Cleaner *cleaner)
{
    free_line(&cleaner->line);
    free_table(&cleaner->nodes);
    free_table(&cleaner->constants);
    PyMem_Free(cleaner->now);
    PyMem_Free(cleaner->refs);
    PyMem_Free(cleaner->numbers);
    memset(cleaner, 0, sizeof *cleaner);
}

/* The ref of a constant, each once by its bits; NO_REF if there is no memory. */
static int32_t constant_ref(Cleaner *cleaner, double x)
{
    Line *line = &cleaner->line;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t hash = (uint32_t)(mixed(0, bits) >> 16);
    size_t at = hash;
    for (int32_t i; (i = next_in(&cleaner->constants, hash, &at)) >= 0;)
        if (!memcmp(&line->constant[i], &x, sizeof x))
            return ~i;
    if (grow(&line->constant, &line->constants_room, (size_t)line->constants, 1,
             sizeof x) < 0 ||
        put_in(&cleaner->constants, hash, at, line->constants) < 0)
        return NO_REF;
    line->constant[line->constants] = x;
    return ~line->constants++;
}

INLINE int commutes(int code) { return code == KIND_add || code == KIND_mul; }

INLINE int same_operands(int code, const int32_t *a, const int32_t *b, int32_t count)
{
    if (commutes(code) && a[0] == b[1] && a[1] == b[0])
        return 1;
    for (int32_t i = 0; i < count; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

INLINE uint32_t hash_of(int code, const int32_t *refs, int32_t count)
{
    uint64_t hash = mixed(0, (uint64_t)code);
    if (commutes(code)) { /* the same for both orders */
        uint32_t x = (uint32_t)refs[0], y = (uint32_t)refs[1];
        hash = mixed(hash, x < y ? (uint64_t)y << 32 | x : (uint64_t)x << 32 | y);
    }
    else
        for (int32_t i = 0; i < count; i++)
            hash = mixed(hash, (uint32_t)refs[i]);
    return (uint32_t)(hash >> 16);
}

enum { NEIGHBOURS = 8192 }; /* entries: a part of the cache, and more than a layer has */

/* Where nodes look for their like: those of operands that were made at the same time look
   near each other, and are looked for at the same time. */
INLINE size_t home_of(uint32_t hash, const int32_t *refs, int32_t count)
{
    int32_t last = 0;
    for (int32_t i = 0; i < count; i++)
        last = refs[i] > last ? refs[i] : last;
    return 2 * (size_t)last + (hash & (NEIGHBOURS - 1));
}

static int32_t write_node(Line *line, int code, const int32_t *refs, int32_t count)
{
    size_t node = (size_t)line->count, place = (size_t)line->start[node];
    if (place + (size_t)count > MOST || line->inputs + line->count >= MOST ||
        grow(&line->code, &line->codes_room, node, 1, sizeof *line->code) < 0 ||
        grow(&line->start, &line->starts_room, node, 2, sizeof *line->start) < 0 ||
        grow(&line->operand, &line->places_room, place, (size_t)count,
             sizeof *line->operand) < 0)
        return NO_REF;
    line->code[node] = (uint16_t)code;
    memcpy(line->operand + place, refs, (size_t)count * sizeof *refs);
    line->start[node + 1] = (int32_t)place + count;
    return line->inputs + line->count++;
}

/* The node that does this to these operands: one from before, or a new one. */
static int32_t find_or_write(Cleaner *cleaner, int code, const int32_t *refs,
                             int32_t count)
{
    Line *line = &cleaner->line;
    uint32_t hash = hash_of(code, refs, count);
    size_t at = home_of(hash, refs, count);
    int steps = 0;
    for (int32_t node; (node = next_near(&cleaner->nodes, hash, &at, &steps)) >= 0;) {
        int32_t start = line->start[node];
        if (line->code[node] == code && line->start[node + 1] - start == count &&
            same_operands(code, refs, line->operand + start, count))
            return line->inputs + node;
    }
    int32_t ref = write_node(line, code, refs, count);
    if (ref != NO_REF && put_in(&cleaner->nodes, hash, at, ref - line->inputs) < 0)
        return NO_REF;
    return ref;
}

/* ---- rules -------------------------------------------------------------------------- */

INLINE int is_constant(const Cleaner *cleaner, int32_t ref, double x)
{
    return ref < 0 && !memcmp(&cleaner->line.constant[~ref], &x, sizeof x);
}

/* The operands of a ref if its node has this code, else NULL. */
INLINE const int32_t *operands_of(const Line *line, int32_t ref, int code)
{
    int32_t node = ref - line->inputs;
    return ref >= line->inputs && line->code[node] == code
               ? line->operand + line->start[node]
               : NULL;
}

static int32_t applied(Cleaner *cleaner, int code, const int32_t *refs, int32_t count);

static int32_t without_neg(Cleaner *cleaner, int32_t x)
{
    const int32_t *inner = operands_of(&cleaner->line, x, KIND_neg);
    return inner ? *inner : NO_REF;
}

static int32_t simpler_sum(Cleaner *cleaner, const int32_t *refs)
{
    return is_constant(cleaner, refs[0], -0.0)   ? refs[1]
           : is_constant(cleaner, refs[1], -0.0) ? refs[0]
                                                 : NO_REF;
}

static int32_t simpler_product(Cleaner *cleaner, const int32_t *refs)
{
    for (int i = 0; i < 2; i++) {
        if (is_constant(cleaner, refs[i], 1.0))
            return refs[1 - i];
        if (is_constant(cleaner, refs[i], -1.0))
            return applied(cleaner, KIND_neg, &refs[1 - i], 1);
    }
    return NO_REF;
}

static int32_t simpler_quotient(Cleaner *cleaner, const int32_t *refs)
{
    if (is_constant(cleaner, refs[1], -1.0))
        return applied(cleaner, KIND_neg, refs, 1);
    return is_constant(cleaner, refs[1], 1.0) ? refs[0] : NO_REF;
}

static int32_t simpler_power(Cleaner *cleaner, const int32_t *refs)
{
    if (refs[1] < 0 && cleaner->line.constant[~refs[1]] == 0.0)
        return constant_ref(cleaner, 1.0);
    return is_constant(cleaner, refs[1], 1.0) ? refs[0] : NO_REF;
}

static int32_t simpler_choice(Cleaner *cleaner, const int32_t *refs)
{
    if (refs[0] < 0)
        return cleaner->line.constant[~refs[0]] != 0.0 ? refs[1] : refs[2];
    return refs[1] == refs[2] ? refs[1] : NO_REF;
}

/* The total, or the total and the share, if it is known which. */
static int32_t simpler_add_unless(Cleaner *cleaner, const int32_t *refs)
{
    if (refs[0] >= 0)
        return NO_REF;
    if (cleaner->line.constant[~refs[0]] != 0.0)
        return refs[1];
    return applied(cleaner, KIND_add, refs + 1, 2);
}

/* A cheaper way to the same number; NO_REF if there is none, or no memory. */
static int32_t simpler(Cleaner *cleaner, int code, const int32_t *refs)
{
    if (code == cleaner->add_unless)
        return simpler_add_unless(cleaner, refs);
    switch (code) {
    case KIND_identity:
    case KIND_stop_gradient: return refs[0];
    case KIND_neg: return without_neg(cleaner, refs[0]);
    case KIND_add: return simpler_sum(cleaner, refs);
    case KIND_sub: return is_constant(cleaner, refs[1], 0.0) ? refs[0] : NO_REF;
    case KIND_mul: return simpler_product(cleaner, refs);
    case KIND_div: return simpler_quotient(cleaner, refs);
    case KIND_pow: return simpler_power(cleaner, refs);
    case KIND_where: return simpler_choice(cleaner, refs);
    }
    return NO_REF;
}

/* Σ xᵢ yᵢ, from 0.0 on, as the row adds. */
static int32_t dotted(Cleaner *cleaner, const int32_t *refs, int32_t count)
{
    int32_t half = count / 2, pair[2], sum[2];
    sum[0] = constant_ref(cleaner, 0.0);
    for (int32_t i = 0; i < half && sum[0] != NO_REF; i++) {
        pair[0] = refs[i];
        pair[1] = refs[half + i];
        sum[1] = applied(cleaner, KIND_mul, pair, 2);
        sum[0] = sum[1] == NO_REF ? NO_REF : applied(cleaner, KIND_add, sum, 2);
    }
    return sum[0];
}

static int32_t constant_of(Cleaner *cleaner, int code, const int32_t *refs,
                           int32_t count)
{
    if (grow(&cleaner->numbers, &cleaner->numbers_room, 0, (size_t)count + 1,
             sizeof *cleaner->numbers) < 0)
        return NO_REF;
    for (int32_t i = 0; i < count; i++)
        cleaner->numbers[i] = cleaner->line.constant[~refs[i]];
    return constant_ref(cleaner, value_of(code, cleaner->numbers, count));
}

INLINE int all_constant(const int32_t *refs, int32_t count)
{
    int32_t signs = -1;
    for (int32_t i = 0; i < count; i++)
        signs &= refs[i];
    return signs < 0;
}

/* The ref of a row on refs; NO_REF if there is no memory. */
static int32_t applied(Cleaner *cleaner, int code, const int32_t *refs, int32_t count)
{
    int32_t found;
    if (code == DOT)
        return dotted(cleaner, refs, count);
    if (code < CALLBACK && all_constant(refs, count))
        return constant_of(cleaner, code, refs, count);
    if (count == 1 && (code == PRODUCT_OF || code == MAXIMUM_OF || code == MINIMUM_OF))
        return refs[0];
    found = simpler(cleaner, code, refs);
    return found != NO_REF ? found : find_or_write(cleaner, code, refs, count);
}

/* ---- the pass ----------------------------------------------------------------------- */

/* A number that is given, a slot or a constant, as a ref. The first so many constants are
   looked up once: in `now`, behind the slots. */
INLINE int32_t ref_of(const Cleaner *cleaner, const int32_t *known, int32_t given)
{
    return given >= 0 ? cleaner->now[given] : known[~given];
}

static int clean_operation(Cleaner *cleaner, const Given *given, const int32_t *known,
                           int32_t k)
{
    int32_t start = given->start[k], count = given->start[k + 1] - start;
    if (grow(&cleaner->refs, &cleaner->refs_room, 0, (size_t)count + 1,
             sizeof *cleaner->refs) < 0)
        return -1;
    for (int32_t i = 0; i < count; i++)
        cleaner->refs[i] = ref_of(cleaner, known, given->operand[start + i]);
    int32_t ref = applied(cleaner, given->code[given->row[k]], cleaner->refs, count);
    cleaner->now[given->inputs + k] = ref;
    return ref == NO_REF ? -1 : 0;
}

/* Where a guard holds whatever the inputs are, it is no more; where it never does, it is
   there for its constant. */
static void clean_guard(Cleaner *cleaner, const Guard *given, Guard *guard)
{
    int32_t ref = cleaner->now[given->slot];
    int known = ref < 0 && (cleaner->line.constant[~ref] != 0.0) == given->expected;
    guard->slot = known ? NO_REF : ref;
    guard->after = cleaner->line.count;
    guard->expected = given->expected;
}

static int clean_all(Cleaner *cleaner, const Given *given, const int32_t *known)
{
    Line *line = &cleaner->line;
    int32_t next = 0;
    for (int32_t k = 0; k <= given->count; k++) {
        for (; next < given->guards && given->guard[next].after == k; next++)
            clean_guard(cleaner, &given->guard[next], &line->guard[next]);
        if (k < given->count && clean_operation(cleaner, given, known, k) < 0)
            return -1;
    }
    for (int32_t i = 0; i < given->outputs; i++)
        line->output[i] = ref_of(cleaner, known, given->output[i]);
    return 0;
}

/* How many nodes there can be: a dot product becomes two for each pair. */
static size_t most_nodes(const Given *given)
{
    size_t count = (size_t)given->count;
    for (int32_t k = 0; k < given->count; k++)
        if (given->code[given->row[k]] == DOT)
            count += (size_t)(given->start[k + 1] - given->start[k]);
    return count;
}

static int begin_cleaning(Cleaner *cleaner, const Given *given)
{
    Line *line = &cleaner->line;
    size_t most = most_nodes(given);
    line->inputs = given->inputs;
    line->codes_room = most;
    line->starts_room = most + 1;
    line->places_room = (size_t)given->start[given->count] + 2 * (most - (size_t)given->count);
    line->code = room_for(line->codes_room, sizeof *line->code);
    line->start = room_for(line->starts_room, sizeof *line->start);
    line->operand = room_for(line->places_room, sizeof *line->operand);
    line->output = room_for((size_t)given->outputs, sizeof *line->output);
    line->guard = room_for((size_t)given->guards, sizeof *line->guard);
    cleaner->now_room = (size_t)given->inputs + (size_t)given->count;
    cleaner->now = room_for(cleaner->now_room, sizeof *cleaner->now);
    if (!line->code || !line->start || !line->operand || !line->output || !line->guard ||
        !cleaner->now || make_table(&cleaner->nodes, most) < 0 ||
        make_table(&cleaner->constants, (size_t)given->constants) < 0)
        return -1;
    line->start[0] = 0;
    for (int32_t i = 0; i < given->inputs; i++)
        cleaner->now[i] = i;
    return 0;
}

/* ---- what is needed ------------------------------------------------------------------ */

static void mark(const Line *line, uint8_t *live, int32_t ref)
{
    if (ref >= line->inputs)
        live[ref - line->inputs] = 1;
}

static void mark_needed(const Line *line, int32_t outputs, int32_t guards, uint8_t *live)
{
    for (int32_t i = 0; i < outputs; i++)
        mark(line, live, line->output[i]);
    for (int32_t i = 0; i < guards; i++)
        mark(line, live, line->guard[i].slot);
    for (int32_t node = line->count - 1; node >= 0; node--)
        if (live[node])
            for (int32_t i = line->start[node]; i < line->start[node + 1]; i++)
                mark(line, live, line->operand[i]);
}

INLINE int32_t moved(const Line *line, const int32_t *now, int32_t ref)
{
    return ref < line->inputs ? ref : now[ref - line->inputs];
}

/* Move the nodes that are needed to the front; `now` has room for where each went. */
static void leave_out(Line *line, const uint8_t *live, int32_t outputs, int32_t guards,
                      int32_t *now)
{
    int32_t count = 0, place = 0, next = 0;
    for (int32_t node = 0; node <= line->count; node++) {
        for (; next < guards && line->guard[next].after == node; next++)
            line->guard[next].after = count;
        if (node == line->count || !live[node])
            continue;
        int32_t start = line->start[node], stop = line->start[node + 1];
        now[node] = line->inputs + count;
        line->code[count] = line->code[node];
        line->start[count] = place;
        for (int32_t i = start; i < stop; i++)
            line->operand[place++] = moved(line, now, line->operand[i]);
        count++;
    }
    for (int32_t i = 0; i < outputs; i++)
        line->output[i] = moved(line, now, line->output[i]);
    for (int32_t i = 0; i < guards; i++)
        line->guard[i].slot = moved(line, now, line->guard[i].slot);
    line->start[count] = place;
    line->count = count;
}

static int without_dead_code(Cleaner *cleaner, int32_t outputs, int32_t guards)
{
    Line *line = &cleaner->line;
    if (grow(&cleaner->now, &cleaner->now_room, 0, (size_t)line->count,
             sizeof *cleaner->now) < 0)
        return -1;
    uint8_t *live = zeros_for((size_t)line->count, 1);
    if (!live)
        return -1;
    mark_needed(line, outputs, guards, live);
    leave_out(line, live, outputs, guards, cleaner->now);
    PyMem_Free(live);
    shrink(&line->code, (size_t)line->count, sizeof *line->code);
    shrink(&line->start, (size_t)line->count + 1, sizeof *line->start);
    shrink(&line->operand, (size_t)line->start[line->count], sizeof *line->operand);
    return 0;
}

/* The line of what is given; -1 if there is no memory. */
static int clean(const Given *given, int32_t add_unless, Line *line)
{
    Cleaner cleaner;
    memset(&cleaner, 0, sizeof cleaner);
    cleaner.add_unless = add_unless;
    int32_t *known = room_for((size_t)given->constants, sizeof *known);
    int failed = !known || begin_cleaning(&cleaner, given) < 0;
    for (int32_t i = 0; i < given->constants && !failed; i++) {
        known[i] = constant_ref(&cleaner, given->constant[i]);
        failed = known[i] == NO_REF;
    }
    failed = failed || clean_all(&cleaner, given, known) < 0;
    PyMem_Free(known);
    free_table(&cleaner.nodes);
    free_table(&cleaner.constants);
    failed = failed || without_dead_code(&cleaner, given->outputs, given->guards) < 0;
    if (!failed) {
        *line = cleaner.line;
        memset(&cleaner.line, 0, sizeof cleaner.line);
    }
    free_cleaner(&cleaner);
    return failed ? -1 : 0;
}
