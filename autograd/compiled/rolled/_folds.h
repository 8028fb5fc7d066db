/* A cleaned line, to operations that each do the work of a chain of nodes.

   Sums become one operation each: a node that one other adds something to, and nothing
   else needs, goes on in it, and so does a product that is a term, and a sign. Nothing is
   reassociated: a sum goes through its terms in the order in which its nodes did. The same
   for long products, and for the largest or smallest of many.

   part       what a node is: ABSORBED, if it has no value of its own any more, but is a
              part of the one node that uses it, and how its own parts are put together
   first      the operand of a node that its chain goes on at, or begins with
   pattern    what operations have in common that can be lanes of one loop */

enum {
    ABSORBED = 1,
    SECOND = 2,      /* the chain goes on at the second operand */
    MINUS_FIRST = 4, /* of a sum: what it begins with is taken off, not added */
    MINUS = 8,       /* of a sum: the same for its term; of a product: it has this sign */
    CHAIN = 16       /* a product, or a largest or smallest of two, that is one of many */
};

enum { LONG_PRODUCT = 5, LONG_CHOICE = 3 }; /* factors and operands worth a chain */

typedef struct {
    int32_t kind, which, width, terms;
    size_t flags; /* where they are */
} Pattern;

typedef struct {
    int32_t inputs, count;
    int32_t *pattern, *start, *operand; /* of each operation; refs, to operations now */
    Pattern *patterns;
    uint8_t *flags;
    int32_t *number; /* of each node, its operation */
    int32_t kinds;   /* of patterns */
    size_t patterns_room, flags_room, flags_used, places_room;
} Folded;

typedef struct {
    int32_t x, y, mask;
    uint8_t flags;
} Term;

typedef struct {
    Line *line;
    int32_t *uses;
    uint8_t *part;
    Term *terms; /* of the sum at hand, the last one first */
    size_t terms_room, terms_used;
    Table table; /* of patterns */
    int32_t add_unless;
    Folded folded;
} Folder;

static void free_folded(Folded *folded)
{
    PyMem_Free(folded->pattern);
    PyMem_Free(folded->start);
    PyMem_Free(folded->operand);
    PyMem_Free(folded->patterns);
    PyMem_Free(folded->flags);
    PyMem_Free(folded->number);
    memset(folded, 0, sizeof *folded);
}

/* ---- who uses what ------------------------------------------------------------------- */

INLINE int32_t node_of(const Folder *folder, int32_t ref)
{
    return ref < folder->line->inputs ? -1 : ref - folder->line->inputs;
}

INLINE int code_of(const Folder *folder, int32_t ref)
{
    int32_t node = node_of(folder, ref);
    return node < 0 ? -1 : folder->line->code[node];
}

INLINE int32_t *operands_at(const Folder *folder, int32_t node)
{
    return folder->line->operand + folder->line->start[node];
}

INLINE void use(Folder *folder, int32_t ref, int32_t times)
{
    int32_t node = node_of(folder, ref);
    if (node >= 0)
        folder->uses[node] += times;
}

static void count_uses(Folder *folder, const Given *given)
{
    const Line *line = folder->line;
    for (int32_t i = 0; i < line->start[line->count]; i++)
        use(folder, line->operand[i], 1);
    for (int32_t i = 0; i < given->outputs; i++)
        use(folder, line->output[i], 1);
    for (int32_t i = 0; i < given->guards; i++)
        use(folder, line->guard[i].slot, 1);
}

INLINE int used_once(const Folder *folder, int32_t ref)
{
    int32_t node = node_of(folder, ref);
    return node >= 0 && folder->uses[node] == 1;
}

INLINE int is_part(const Folder *folder, int32_t ref, int part)
{
    int32_t node = node_of(folder, ref);
    return node >= 0 && folder->part[node] & part;
}

/* Whether a node has a value of its own. */
INLINE int is_operation(const Folder *folder, int32_t node)
{
    return folder->uses[node] && !(folder->part[node] & ABSORBED);
}

/* ---- chains -------------------------------------------------------------------------- */

INLINE int is_sum(const Folder *folder, int code)
{
    return code == KIND_add || code == KIND_sub || code == folder->add_unless;
}

/* Where a sum goes on, and its term. */
INLINE int32_t first_place(const Folder *folder, int32_t node)
{
    if (folder->line->code[node] == folder->add_unless)
        return 1;
    return folder->part[node] & SECOND ? 1 : 0;
}

INLINE int32_t other_place(const Folder *folder, int32_t node)
{
    if (folder->line->code[node] == folder->add_unless)
        return 2;
    return folder->part[node] & SECOND ? 0 : 1;
}

/* Whether it is where(mask, -0.0, x), for a sum to begin with. */
static int is_start(const Folder *folder, int32_t ref)
{
    double minus_zero = -0.0;
    if (code_of(folder, ref) != KIND_where)
        return 0;
    int32_t y = operands_at(folder, node_of(folder, ref))[1];
    return y < 0 &&
           !memcmp(&folder->line->constant[~y], &minus_zero, sizeof minus_zero);
}

INLINE int can_go_on(const Folder *folder, int32_t ref)
{
    return used_once(folder, ref) &&
           (is_sum(folder, code_of(folder, ref)) || is_start(folder, ref));
}

INLINE void absorb(Folder *folder, int32_t ref)
{
    folder->part[node_of(folder, ref)] |= ABSORBED;
}

/* Have a sum go on from the sum that it adds to: of two that could be, the longer one. */
static void chain_sum(Folder *folder, int32_t node, uint8_t *length)
{
    const int32_t *operand = operands_at(folder, node);
    int code = folder->line->code[node];
    int32_t first = first_place(folder, node);
    int goes_on = can_go_on(folder, operand[first]), before = 1;
    if (code == KIND_add && can_go_on(folder, operand[1])) {
        int32_t x = node_of(folder, operand[0]), y = node_of(folder, operand[1]);
        if (!goes_on || (x != y && length[y] > length[x])) {
            folder->part[node] |= SECOND;
            goes_on = first = 1;
        }
    }
    if (goes_on) {
        absorb(folder, operand[first]);
        before = length[node_of(folder, operand[first])];
    }
    length[node] = before < UINT8_MAX ? (uint8_t)(before + 1) : UINT8_MAX;
}

/* How many factors, or operands, one more makes. */
static void chain_row(Folder *folder, int32_t node, uint8_t *length)
{
    const int32_t *operand = operands_at(folder, node);
    int code = folder->line->code[node], most = 2;
    for (int i = 0; i <= (code == KIND_mul); i++) { /* only mul commutes to the last bit */
        int32_t inner = node_of(folder, operand[i]);
        if (code_of(folder, operand[i]) == code && used_once(folder, operand[i]) &&
            length[inner] + 1 > most) {
            most = length[inner] < UINT8_MAX ? length[inner] + 1 : UINT8_MAX;
            if (i)
                folder->part[node] |= SECOND;
        }
    }
    length[node] = (uint8_t)most;
}

/* Whether a chain of one row goes on at the first operand of a node. */
INLINE int goes_on(const Folder *folder, int32_t node, const uint8_t *length)
{
    int32_t ref = operands_at(folder, node)[first_place(folder, node)];
    return length[node] > 2 && used_once(folder, ref) &&
           code_of(folder, ref) == folder->line->code[node];
}

static void close_chain(Folder *folder, int32_t node, const uint8_t *length)
{
    while (folder->part[node] |= CHAIN, goes_on(folder, node, length)) {
        int32_t ref = operands_at(folder, node)[first_place(folder, node)];
        absorb(folder, ref);
        node = node_of(folder, ref);
    }
}

INLINE int least_length(int code)
{
    return code == KIND_mul                              ? LONG_PRODUCT
           : code == KIND_maximum || code == KIND_minimum ? LONG_CHOICE
                                                          : 0;
}

/* Chains are found from their beginnings on; those of one row that are long enough are
   absorbed from their ends, where their lengths are known. */
static int find_chains(Folder *folder)
{
    const Line *line = folder->line;
    uint8_t *length = zeros_for((size_t)line->count, 1);
    if (!length)
        return -1;
    for (int32_t node = 0; node < line->count; node++)
        if (is_sum(folder, line->code[node]))
            chain_sum(folder, node, length);
        else if (least_length(line->code[node]))
            chain_row(folder, node, length);
    for (int32_t node = line->count - 1; node >= 0; node--) {
        int least = least_length(line->code[node]);
        if (least && length[node] >= least && !(folder->part[node] & CHAIN))
            close_chain(folder, node, length);
    }
    PyMem_Free(length);
    return 0;
}

/* ---- signs and products -------------------------------------------------------------- */

/* Let an operand that is -x be x, and say whether its sign is to be changed; but not where
   x is a product that has become a part of -x, and has no value of its own. */
static int take_sign(Folder *folder, int32_t *operand)
{
    int sign = 0;
    while (code_of(folder, *operand) == KIND_neg) {
        int32_t neg = node_of(folder, *operand), inner = *operands_at(folder, neg);
        if (is_part(folder, inner, ABSORBED))
            break;
        use(folder, inner, 1);
        if (--folder->uses[neg] == 0)
            use(folder, inner, -1);
        *operand = inner;
        sign = !sign;
    }
    return sign;
}

INLINE int is_product(const Folder *folder, int32_t ref)
{
    return code_of(folder, ref) == KIND_mul && !is_part(folder, ref, CHAIN);
}

/* x · -y is -(x · y). */
static void take_signs_of_factors(Folder *folder, int32_t node)
{
    int32_t *operand = operands_at(folder, node);
    if (take_sign(folder, &operand[0]) != take_sign(folder, &operand[1]))
        folder->part[node] ^= MINUS;
}

/* Make an operand a term: with its sign, and as a product if nothing else needs it. */
static void take_term(Folder *folder, int32_t node, int32_t place, int sign)
{
    int32_t *operand = operands_at(folder, node) + place;
    if (take_sign(folder, operand))
        folder->part[node] ^= (uint8_t)sign;
    if (is_product(folder, *operand) && used_once(folder, *operand)) {
        absorb(folder, *operand);
        take_signs_of_factors(folder, node_of(folder, *operand));
    }
}

static void take_terms(Folder *folder, int32_t node)
{
    int32_t first = first_place(folder, node);
    int32_t ref = operands_at(folder, node)[first];
    take_term(folder, node, other_place(folder, node), MINUS);
    if (folder->line->code[node] == KIND_sub)
        folder->part[node] ^= MINUS;
    if (!is_part(folder, ref, ABSORBED))
        take_term(folder, node, first, MINUS_FIRST);
    else if (is_start(folder, ref))
        take_term(folder, node_of(folder, ref), 2, MINUS);
}

/* What a lone product has of signs that nothing else needs. */
static void take_lone_signs(Folder *folder, int32_t node)
{
    int32_t *operand = operands_at(folder, node);
    for (int i = 0; i < 2; i++)
        while (code_of(folder, operand[i]) == KIND_neg && used_once(folder, operand[i])) {
            int32_t neg = node_of(folder, operand[i]);
            operand[i] = *operands_at(folder, neg);
            folder->uses[neg] = 0;
            folder->part[node] ^= MINUS;
        }
}

/* Signs of products before those of negations, which may be parts of them. */
static void find_terms(Folder *folder)
{
    const Line *line = folder->line;
    for (int32_t node = 0; node < line->count; node++)
        if (is_sum(folder, line->code[node]))
            take_terms(folder, node);
    for (int32_t node = 0; node < line->count; node++)
        if (is_product(folder, line->inputs + node) && is_operation(folder, node))
            take_lone_signs(folder, node);
    for (int32_t node = 0; node < line->count; node++)
        if (line->code[node] == KIND_neg && is_operation(folder, node))
            take_term(folder, node, 0, MINUS);
}
