/* What the nodes of a line have become, written down as operations and their patterns. */

/* ---- terms --------------------------------------------------------------------------- */

static int add_term(Folder *folder, int32_t ref, int negative, int32_t mask)
{
    if (grow(&folder->terms, &folder->terms_room, folder->terms_used, 1,
             sizeof *folder->terms) < 0)
        return -1;
    Term *term = &folder->terms[folder->terms_used++];
    term->x = ref;
    term->y = NO_REF;
    term->mask = mask;
    if (is_part(folder, ref, ABSORBED)) { /* a product */
        const int32_t *factors = operands_at(folder, node_of(folder, ref));
        negative ^= is_part(folder, ref, MINUS);
        term->x = factors[0];
        term->y = factors[1];
    }
    term->flags = (uint8_t)((negative ? NEGATIVE : 0) | (term->y != NO_REF ? PRODUCT : 0) |
                            (mask != NO_REF ? MASKED : 0));
    return 0;
}

/* The terms of a sum, from its last one back to its first. */
static int list_terms(Folder *folder, int32_t node)
{
    folder->terms_used = 0;
    for (;;) {
        const int32_t *operand = operands_at(folder, node);
        int part = folder->part[node];
        int32_t first = operand[first_place(folder, node)];
        int masked = folder->line->code[node] == folder->add_unless;
        if (add_term(folder, operand[other_place(folder, node)], !!(part & MINUS),
                     masked ? operand[0] : NO_REF) < 0)
            return -1;
        int32_t next = node_of(folder, first);
        if (is_part(folder, first, ABSORBED) && is_sum(folder, code_of(folder, first))) {
            node = next;
            continue;
        }
        if (is_part(folder, first, ABSORBED) && is_start(folder, first)) {
            operand = operands_at(folder, next);
            return add_term(folder, operand[2], !!(folder->part[next] & MINUS), operand[0]);
        }
        return add_term(folder, first, !!(part & MINUS_FIRST), NO_REF);
    }
}

/* ---- patterns ------------------------------------------------------------------------ */

/* The pattern of this kind with these flags, the same number for the same. */
static int32_t find_pattern(Folder *folder, int kind, int32_t which, int32_t width,
                            const uint8_t *flags, int32_t terms)
{
    Folded *folded = &folder->folded;
    uint64_t hash = mixed(mixed(mixed(0, (uint64_t)kind), (uint64_t)which), (uint64_t)width);
    for (int32_t i = 0; i < terms; i++)
        hash = mixed(hash, flags[i]);
    uint32_t short_hash = (uint32_t)(hash >> 16);
    size_t at = short_hash;
    for (int32_t i; (i = next_in(&folder->table, short_hash, &at)) >= 0;) {
        const Pattern *known = &folded->patterns[i];
        if (known->kind == kind && known->which == which && known->width == width &&
            known->terms == terms &&
            (!terms || !memcmp(folded->flags + known->flags, flags, (size_t)terms)))
            return i;
    }
    if (grow(&folded->patterns, &folded->patterns_room, (size_t)folded->kinds, 1,
             sizeof *folded->patterns) < 0 ||
        grow(&folded->flags, &folded->flags_room, folded->flags_used, (size_t)terms, 1) < 0 ||
        put_in(&folder->table, short_hash, at, folded->kinds) < 0)
        return -1;
    Pattern pattern = {kind, which, width, terms, folded->flags_used};
    if (terms)
        memcpy(folded->flags + folded->flags_used, flags, (size_t)terms);
    folded->flags_used += (size_t)terms;
    folded->patterns[folded->kinds] = pattern;
    return folded->kinds++;
}

/* ---- operations ---------------------------------------------------------------------- */

static int32_t *next_places(Folder *folder, int32_t width)
{
    Folded *folded = &folder->folded;
    size_t used = (size_t)folded->start[folded->count];
    if (grow(&folded->operand, &folded->places_room, used, (size_t)width + 1,
             sizeof *folded->operand) < 0)
        return NULL;
    return folded->operand + used;
}

INLINE int32_t operation_of(const Folder *folder, int32_t ref)
{
    int32_t node = node_of(folder, ref);
    return node < 0 ? ref : folder->folded.number[node];
}

/* Write an operation down, whose operands are written. */
static int end_operation(Folder *folder, int32_t node, int32_t pattern, int32_t width)
{
    Folded *folded = &folder->folded;
    if (pattern < 0)
        return -1;
    folded->pattern[folded->count] = pattern;
    folded->start[folded->count + 1] = folded->start[folded->count] + width;
    folded->number[node] = folded->inputs + folded->count++;
    return 0;
}

static int write_row(Folder *folder, int32_t node, int kind, const int32_t *refs,
                     int32_t count)
{
    int32_t *places = next_places(folder, count), which = 0;
    if (!places)
        return -1;
    for (int32_t i = 0; i < count; i++)
        places[i] = operation_of(folder, refs[i]);
    if (kind > CALLBACK) {
        which = kind - CALLBACK;
        kind = CALLBACK;
    }
    return end_operation(folder, node,
                         find_pattern(folder, kind, which, count, NULL, 0), count);
}

/* Write a sum of the terms that are listed, in order. */
static int write_terms(Folder *folder, int32_t node)
{
    int32_t terms = (int32_t)folder->terms_used, width = 0, failed;
    for (int32_t i = 0; i < terms; i++)
        width += term_width(folder->terms[i].flags);
    int32_t *places = next_places(folder, width);
    uint8_t short_flags[64], *flags = terms > 64 ? room_for((size_t)terms, 1) : short_flags;
    if (!places || !flags)
        return -1;
    for (int32_t i = 0; i < terms; i++) {
        const Term *term = &folder->terms[terms - 1 - i];
        flags[i] = term->flags;
        *places++ = operation_of(folder, term->x);
        if (term->flags & PRODUCT)
            *places++ = operation_of(folder, term->y);
        if (term->flags & MASKED)
            *places++ = operation_of(folder, term->mask);
    }
    failed = end_operation(folder, node, find_pattern(folder, SUM, 0, width, flags, terms),
                           width);
    if (flags != short_flags)
        PyMem_Free(flags);
    return failed;
}

/* A sum of two plain terms is a row, unless both are taken off. */
static int write_sum(Folder *folder, int32_t node)
{
    if (list_terms(folder, node) < 0)
        return -1;
    const Term *terms = folder->terms;
    if (folder->terms_used == 2 && (terms[0].flags | terms[1].flags) <= NEGATIVE &&
        !(terms[0].flags & terms[1].flags)) {
        int first = terms[1].flags & NEGATIVE ? 0 : 1; /* -x + y is y - x */
        int32_t refs[2];
        refs[0] = terms[first].x;
        refs[1] = terms[1 - first].x;
        return write_row(folder, node, terms[1 - first].flags ? KIND_sub : KIND_add, refs, 2);
    }
    return write_terms(folder, node);
}

static int write_product(Folder *folder, int32_t node)
{
    const int32_t *operand = operands_at(folder, node);
    if (!(folder->part[node] & MINUS))
        return write_row(folder, node, KIND_mul, operand, 2);
    folder->terms_used = 0;
    folder->part[node] |= ABSORBED;
    return add_term(folder, folder->line->inputs + node, 0, NO_REF) < 0
               ? -1
               : write_terms(folder, node);
}

static int write_negation(Folder *folder, int32_t node)
{
    int32_t ref = *operands_at(folder, node);
    int negative = !(folder->part[node] & MINUS); /* an inner sign undoes it */
    if (!is_part(folder, ref, ABSORBED) && negative)
        return write_row(folder, node, KIND_neg, &ref, 1);
    folder->terms_used = 0;
    return add_term(folder, ref, negative, NO_REF) < 0 ? -1 : write_terms(folder, node);
}

/* The operands of a chain of one row, from its first on. */
static int write_chain(Folder *folder, int32_t node)
{
    int code = folder->line->code[node];
    int32_t count = 2, inner = node, ref;
    while (ref = operands_at(folder, inner)[first_place(folder, inner)],
           is_part(folder, ref, CHAIN) && is_part(folder, ref, ABSORBED) &&
               code_of(folder, ref) == code) {
        inner = node_of(folder, ref);
        count++;
    }
    int32_t *places = next_places(folder, count);
    if (!places)
        return -1;
    places[0] = operation_of(folder, ref);
    inner = node;
    for (int32_t i = count - 1; i > 0; i--) {
        const int32_t *operand = operands_at(folder, inner);
        places[i] = operation_of(folder, operand[other_place(folder, inner)]);
        inner = node_of(folder, operand[first_place(folder, inner)]);
    }
    int kind = code == KIND_mul       ? PRODUCT_OF
               : code == KIND_maximum ? MAXIMUM_OF
                                      : MINIMUM_OF;
    return end_operation(folder, node, find_pattern(folder, kind, 0, count, NULL, 0), count);
}

static int write_operation(Folder *folder, int32_t node)
{
    const Line *line = folder->line;
    int code = line->code[node];
    int32_t count = line->start[node + 1] - line->start[node];
    if (is_sum(folder, code))
        return write_sum(folder, node);
    if (folder->part[node] & CHAIN)
        return write_chain(folder, node);
    if (code == KIND_mul)
        return write_product(folder, node);
    if (code == KIND_neg)
        return write_negation(folder, node);
    return write_row(folder, node, code, operands_at(folder, node), count);
}

static int write_operations(Folder *folder)
{
    const Line *line = folder->line;
    Folded *folded = &folder->folded;
    int32_t count = 0;
    for (int32_t node = 0; node < line->count; node++)
        count += is_operation(folder, node);
    folded->inputs = line->inputs;
    folded->pattern = room_for((size_t)count, sizeof *folded->pattern);
    folded->start = room_for((size_t)count + 1, sizeof *folded->start);
    folded->number = room_for((size_t)line->count, sizeof *folded->number);
    if (!folded->pattern || !folded->start || !folded->number ||
        make_table(&folder->table, 64) < 0)
        return -1;
    folded->start[0] = 0;
    for (int32_t node = 0; node < line->count; node++)
        if (is_operation(folder, node) && write_operation(folder, node) < 0)
            return -1;
    return 0;
}

/* The operations of a line, whose outputs and guards then refer to them. */
static int fold_line(Line *line, const Given *given, int32_t add_unless, Folded *folded)
{
    Folder folder;
    memset(&folder, 0, sizeof folder);
    folder.line = line;
    folder.add_unless = add_unless;
    folder.uses = zeros_for((size_t)line->count, sizeof *folder.uses);
    folder.part = zeros_for((size_t)line->count, 1);
    int failed = !folder.uses || !folder.part;
    if (!failed) {
        count_uses(&folder, given);
        failed = find_chains(&folder) < 0;
    }
    if (!failed) {
        find_terms(&folder);
        failed = write_operations(&folder) < 0;
    }
    for (int32_t i = 0; i < given->outputs && !failed; i++)
        line->output[i] = operation_of(&folder, line->output[i]);
    for (int32_t i = 0; i < given->guards && !failed; i++)
        line->guard[i].slot = operation_of(&folder, line->guard[i].slot);
    PyMem_Free(folder.uses);
    PyMem_Free(folder.part);
    PyMem_Free(folder.terms);
    free_table(&folder.table);
    *folded = folder.folded;
    if (failed)
        free_folded(folded);
    return failed ? -1 : 0;
}
