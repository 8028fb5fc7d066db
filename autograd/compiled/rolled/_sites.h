/* Where the operands of a block are: found, and packed, while blocks are made.

   pack    eight slots that lie anywhere, and the row that they are copied into
   part    of a group: what one block does */

/* ---- what is at hand while blocks are made ------------------------------------------ */

typedef struct {
    int32_t shape;
    int32_t at[MOST_VECTORS * LANES]; /* a table */
} Site;

/* Eight slots that lie anywhere. */
typedef struct {
    const int32_t *lanes;
    int32_t uses;
    int32_t slot; /* of their copies, or -1 */
} Pack;

typedef struct {
    Blocks *blocks;
    int vectors; /* at most, in a block */
    int failed;  /* for want of memory */
    int scalars; /* whether the last step is SCALARS, still open */
    int32_t scratch; /* slots for the operands of one lane */
    Table table;
    Pack *packs;
    size_t packs_count, packs_room;
    Site *sites; /* of a block */
    size_t sites_room;
} Builder;

static void put(Builder *b, int32_t number)
{
    Blocks *to = b->blocks;
    if (to->count == to->room && grow(&to->stream, &to->room, to->count, 1, 4) < 0)
        b->failed = 1;
    else
        to->stream[to->count++] = number;
}

static void put_all(Builder *b, const int32_t *numbers, int count)
{
    for (int i = 0; i < count; i++)
        put(b, numbers[i]);
}

/* Part of a group: so many vectors, from one on; none behind the last. */
typedef struct {
    const Group *group;
    int vector, vectors, most;
    int lanes; /* that are no padding */
} Part;

static void measure_part(Part *part)
{
    int left = part->group->padded / LANES - part->vector;
    part->lanes = part->group->lanes - part->vector * LANES;
    part->vectors = part->most;
    while (part->vectors > left)
        part->vectors /= 2;
    if (part->lanes > part->vectors * LANES)
        part->lanes = part->vectors * LANES;
}

static Part first_part(const Group *group, int most)
{
    Part part = {group, 0, 0, most, 0};
    measure_part(&part);
    return part;
}

static void next_part(Part *part)
{
    part->vector += part->vectors;
    measure_part(part);
}

static const int32_t *slots_of(const Part *part, int place)
{
    const Group *group = part->group;
    return group->operand + (size_t)place * group->padded + part->vector * LANES;
}

/* ---- shapes and packs --------------------------------------------------------------- */

enum { IS_ONE = 1 << ONE, IS_ROW = 1 << ROW };

/* Which shapes the slots of a vector have; a single lane has both. */
static int shapes_of(const int32_t *slots, int lanes)
{
    int one = 1, row = 1;
    for (int j = 1; j < lanes && (one | row); j++) {
        one &= slots[j] == slots[0];
        row &= slots[j] == slots[0] + j;
    }
    return one * IS_ONE | row * IS_ROW;
}

static int shapes_in(const Part *part, const int32_t *slots, int vector)
{
    int lanes = part->lanes - vector * LANES;
    return shapes_of(slots + vector * LANES, lanes < LANES ? lanes : LANES);
}

/* The shapes that all vectors have. */
static int common_shapes(const Part *part, const int32_t *slots)
{
    int shapes = IS_ONE | IS_ROW;
    for (int v = 0; v < part->vectors; v++)
        shapes &= shapes_in(part, slots, v);
    return shapes;
}

/* The pack of these slots, a new one if there is none; NULL without memory. */
static Pack *find_pack(Builder *b, const int32_t *slots)
{
    uint64_t hash = 0;
    size_t at;
    int32_t found;
    for (int j = 0; j < LANES; j++)
        hash = mixed(hash, (uint64_t)slots[j]);
    at = (uint32_t)hash;
    while ((found = next_in(&b->table, (uint32_t)hash, &at)) >= 0)
        if (!memcmp(b->packs[found].lanes, slots, LANES * sizeof *slots))
            return b->packs + found;
    if (grow(&b->packs, &b->packs_room, b->packs_count, 1, sizeof *b->packs) < 0
        || put_in(&b->table, (uint32_t)hash, at, (int32_t)b->packs_count) < 0) {
        b->failed = 1;
        return NULL;
    }
    b->packs[b->packs_count] = (Pack){slots, 0, -1};
    return b->packs + b->packs_count++;
}

/* Count how often eight slots are needed that neither are one nor lie in a row. */
static void count_packs(Builder *b, const Part *part)
{
    for (int place = 0; place < part->group->width && !b->failed; place++) {
        const int32_t *slots = slots_of(part, place);
        if (common_shapes(part, slots))
            continue;
        for (int v = 0; v < part->vectors; v++) {
            Pack *pack = NULL;
            if (!(shapes_in(part, slots, v) & IS_ROW))
                pack = find_pack(b, slots + v * LANES);
            if (pack)
                pack->uses++;
        }
    }
}

/* Whether the vectors of a place are rows, or pay if they are made so. */
static int pays(Builder *b, const Part *part, const int32_t *slots)
{
    for (int v = 0; v < part->vectors; v++)
        if (!(shapes_in(part, slots, v) & IS_ROW)) {
            const Pack *pack = find_pack(b, slots + v * LANES);
            if (!pack || pack->uses < 2)
                return 0;
        }
    return 1;
}

/* Where eight slots are copied to; the copy is made here if it is not yet. `opened` is the
   place of the number of copies in the stream, 0 before the first. */
static int32_t packed(Builder *b, const int32_t *slots, size_t *opened)
{
    Pack *pack = find_pack(b, slots);
    if (!pack)
        return 0;
    if (pack->slot < 0) {
        if (!*opened) {
            put(b, PACK);
            *opened = b->blocks->count;
            put(b, 0);
        }
        pack->slot = b->blocks->slots;
        b->blocks->slots += LANES;
        put(b, pack->slot);
        put_all(b, slots, LANES);
        if (!b->failed)
            b->blocks->stream[*opened]++;
    }
    return pack->slot;
}

static void find_site(Builder *b, const Part *part, int number, size_t *opened)
{
    const int32_t *slots = slots_of(part, number);
    int shapes = common_shapes(part, slots);
    Site *site = b->sites + number;
    site->shape = shapes & IS_ONE ? ONE : ROW;
    if (!shapes && !pays(b, part, slots)) {
        site->shape = ANY;
        memcpy(site->at, slots, sizeof *slots * part->vectors * LANES);
        return;
    }
    for (int v = 0; v < part->vectors; v++) {
        const int32_t *from = slots + v * LANES;
        int as_it_is = shapes || shapes_in(part, slots, v) & IS_ROW;
        site->at[v] = as_it_is ? *from : packed(b, from, opened);
    }
}

/* Where the operands of a part are, with packs in front. */
static void find_sites(Builder *b, const Part *part)
{
    size_t opened = 0, width = part->group->width;
    if (grow(&b->sites, &b->sites_room, 0, width, sizeof *b->sites) < 0)
        b->failed = 1;
    for (int i = 0; i < part->group->width && !b->failed; i++)
        find_site(b, part, i, &opened);
}

