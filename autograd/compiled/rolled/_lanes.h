/* The order of the lanes of each group, and with it every number's slot.

   Groups come in the order in which they run, so that the slots of operands are known. Of
   three orders of lanes the best is kept: the order of the program, and sorted by what
   the lanes have as their first or as their second operand. The better one is the one of
   which more vectors of operands lie in a row or are the same for all lanes. */

typedef struct {
    int32_t inputs, constants, levels, operations;
    double *constant;
    Group *group;
    int32_t groups, slots;
    int32_t *place;  /* the operands of all groups */
    uint8_t *flags;  /* the flags of all patterns */
    int32_t *output; /* the slot of each output */
    Guard *guard;    /* `slot` is one by now, or NO_REF */
    int32_t *due;    /* before each callback, as they come, so many guards */
    int32_t outputs, guards, callbacks;
} Program;

static void free_program(Program *program)
{
    PyMem_Free(program->constant);
    PyMem_Free(program->group);
    PyMem_Free(program->place);
    PyMem_Free(program->flags);
    PyMem_Free(program->output);
    PyMem_Free(program->guard);
    PyMem_Free(program->due);
    memset(program, 0, sizeof *program);
}

typedef struct {
    uint64_t key;
    int32_t lane;
} Lane;

typedef struct {
    const Folded *folded;
    const Levels *levels;
    Program *program;
    int32_t *slot;         /* of each operation */
    int32_t *slots;        /* of the operands of a group, lane by lane */
    Lane *lanes, *spare;   /* an order, and room to make one */
    int32_t *best, *trial; /* orders */
    size_t slots_room, lanes_room, spare_room, best_room, trial_room;
} Placer;

static void free_placer(Placer *placer)
{
    PyMem_Free(placer->slot);
    PyMem_Free(placer->slots);
    PyMem_Free(placer->lanes);
    PyMem_Free(placer->spare);
    PyMem_Free(placer->best);
    PyMem_Free(placer->trial);
}

INLINE int32_t slot_of(const Placer *placer, int32_t ref)
{
    const Program *program = placer->program;
    return ref < 0                 ? program->inputs + ~ref
           : ref < program->inputs ? ref
                                   : placer->slot[ref - program->inputs];
}

/* ---- orders -------------------------------------------------------------------------- */

/* Two runs that are sorted, as one. */
static void merge(const Lane *from, Lane *to, int32_t a, int32_t middle, int32_t end)
{
    int32_t b = middle;
    for (int32_t i = a; i < end; i++)
        to[i] = a < middle && (b == end || from[a].key <= from[b].key) ? from[a++]
                                                                       : from[b++];
}

/* Where the run that begins here ends. */
static int32_t run_end(const Lane *lanes, int32_t begin, int32_t count)
{
    int32_t end = begin + 1;
    while (end < count && lanes[end - 1].key <= lanes[end].key)
        end++;
    return end;
}

/* By keys, and of equal ones in the order in which they are; what is sorted in long runs
   already, as much of it is, takes few rounds. */
static const Lane *sort_lanes(Lane *lanes, Lane *spare, int32_t count)
{
    while (run_end(lanes, 0, count) < count) {
        for (int32_t a = 0; a < count;) {
            int32_t middle = run_end(lanes, a, count);
            int32_t end = middle < count ? run_end(lanes, middle, count) : middle;
            merge(lanes, spare, a, middle, end);
            a = end;
        }
        Lane *other = lanes;
        lanes = spare;
        spare = other;
    }
    return lanes;
}

/* Whether the operands in a place of LANES lanes lie in a row or are all the same. */
INLINE int is_regular(const int32_t *slots, const int32_t *order, int32_t width)
{
    int32_t base = slots[(size_t)order[0] * (size_t)width];
    int32_t step = slots[(size_t)order[1] * (size_t)width] - base;
    if (step != 0 && step != 1)
        return 0;
    for (int32_t j = 2; j < LANES; j++)
        if (slots[(size_t)order[j] * (size_t)width] != base + j * step)
            return 0;
    return 1;
}

enum { PLACES = 4 }; /* of the operands that are looked at to judge an order */

/* How many vectors of operands are regular in this order; all of them are `most`. */
static int32_t regular(const Placer *placer, const int32_t *order, int32_t lanes,
                       int32_t width, int32_t *most)
{
    int32_t places = sooner(width, PLACES), found = 0;
    *most = lanes / LANES * places;
    for (int32_t j = 0; j + LANES <= lanes; j += LANES)
        for (int32_t place = 0; place < places; place++)
            found += is_regular(placer->slots + place, order + j, width);
    return found;
}

/* The order by the operands in these places. */
static void order_by(Placer *placer, int32_t lanes, int32_t width, int32_t first,
                     int32_t second)
{
    for (int32_t j = 0; j < lanes; j++) {
        const int32_t *slots = placer->slots + (size_t)j * (size_t)width;
        placer->lanes[j].key = (uint64_t)slots[first] << 32 | (uint32_t)slots[second];
        placer->lanes[j].lane = j;
    }
    const Lane *sorted = sort_lanes(placer->lanes, placer->spare, lanes);
    for (int32_t j = 0; j < lanes; j++)
        placer->trial[j] = sorted[j].lane;
}

/* Leave the best order of the lanes of a group in `best`. */
static void find_order(Placer *placer, int32_t lanes, int32_t width)
{
    int32_t most, found, best;
    for (int32_t j = 0; j < lanes; j++)
        placer->best[j] = j;
    if (lanes < LANES || width == 0)
        return;
    best = regular(placer, placer->best, lanes, width, &most);
    for (int32_t i = 0; i < sooner(width, 2) && best < most; i++) {
        order_by(placer, lanes, width, i, width > 1 ? 1 - i : 0);
        found = regular(placer, placer->trial, lanes, width, &most);
        if (found > best) {
            int32_t *other = placer->best;
            best = found;
            placer->best = placer->trial;
            placer->trial = other;
        }
    }
}

/* ---- groups -------------------------------------------------------------------------- */

static int room_for_group(Placer *placer, size_t lanes, size_t width)
{
    return grow(&placer->slots, &placer->slots_room, 0, lanes * width + 1,
                sizeof *placer->slots) < 0 ||
                   grow(&placer->lanes, &placer->lanes_room, 0, lanes,
                        sizeof *placer->lanes) < 0 ||
                   grow(&placer->spare, &placer->spare_room, 0, lanes,
                        sizeof *placer->spare) < 0 ||
                   grow(&placer->best, &placer->best_room, 0, lanes,
                        sizeof *placer->best) < 0 ||
                   grow(&placer->trial, &placer->trial_room, 0, lanes,
                        sizeof *placer->trial) < 0
               ? -1
               : 0;
}

INLINE int32_t padded(int32_t lanes)
{
    return lanes < FEW ? lanes : (lanes + LANES - 1) / LANES * LANES;
}

static void read_lanes(Placer *placer, const int32_t *operations, int32_t lanes)
{
    const Folded *folded = placer->folded;
    int32_t *slot = placer->slots;
    for (int32_t j = 0; j < lanes; j++) {
        int32_t from = folded->start[operations[j]], to = folded->start[operations[j] + 1];
        for (int32_t i = from; i < to; i++)
            *slot++ = slot_of(placer, folded->operand[i]);
    }
}

/* Write the operands down by place, and give each lane its slot. */
static void place_lanes(Placer *placer, const Group *group, const int32_t *operations)
{
    int32_t *operand = group->operand;
    for (int32_t place = 0; place < group->width; place++)
        for (int32_t j = 0; j < group->padded; j++) {
            size_t lane = (size_t)placer->best[sooner(j, group->lanes - 1)];
            *operand++ = placer->slots[lane * (size_t)group->width + (size_t)place];
        }
    for (int32_t j = 0; j < group->lanes; j++)
        placer->slot[operations[placer->best[j]]] = group->slot + j;
}

static int place_group(Placer *placer, int32_t g, int32_t *place)
{
    Program *program = placer->program;
    const Folded *folded = placer->folded;
    const int32_t *operations = placer->levels->order + placer->levels->start[g];
    const Pattern *pattern = &folded->patterns[folded->pattern[operations[0]]];
    Group *group = &program->group[g];
    group->kind = pattern->kind;
    group->which = pattern->which;
    group->width = pattern->width;
    group->terms = pattern->terms;
    group->flags = pattern->terms ? program->flags + pattern->flags : NULL;
    group->level = placer->levels->level[operations[0]];
    group->lanes = placer->levels->start[g + 1] - placer->levels->start[g];
    group->padded = padded(group->lanes);
    group->operand = place;
    if (group->lanes >= FEW)
        program->slots = (program->slots + LANES - 1) / LANES * LANES;
    group->slot = program->slots;
    program->slots += group->padded;
    if (room_for_group(placer, (size_t)group->lanes, (size_t)group->width) < 0)
        return -1;
    read_lanes(placer, operations, group->lanes);
    find_order(placer, group->lanes, group->width);
    place_lanes(placer, group, operations);
    return 0;
}

/* How many operands all groups have, with those of padding. */
static size_t places_of(const Folded *folded, const Levels *levels)
{
    size_t count = 0;
    for (int32_t g = 0; g < levels->groups; g++) {
        int32_t operation = levels->order[levels->start[g]];
        count += (size_t)padded(levels->start[g + 1] - levels->start[g]) *
                 (size_t)folded->patterns[folded->pattern[operation]].width;
    }
    return count;
}

static int place_groups(Placer *placer)
{
    Program *program = placer->program;
    size_t at = 0, places = places_of(placer->folded, placer->levels);
    program->groups = placer->levels->groups;
    program->group = room_for((size_t)program->groups, sizeof *program->group);
    program->place = room_for(places, sizeof *program->place);
    placer->slot = room_for((size_t)placer->folded->count, sizeof *placer->slot);
    if (!program->group || !program->place || !placer->slot)
        return -1;
    for (int32_t g = 0; g < program->groups; g++) {
        if (place_group(placer, g, program->place + at) < 0)
            return -1;
        at += (size_t)program->group[g].padded * (size_t)program->group[g].width;
    }
    return 0;
}

/* Take over what a line has besides its nodes, as slots. */
static void place_results(Placer *placer, Line *line)
{
    Program *program = placer->program;
    program->output = line->output;
    program->guard = line->guard;
    line->output = NULL;
    line->guard = NULL;
    for (int32_t i = 0; i < program->outputs; i++)
        program->output[i] = slot_of(placer, program->output[i]);
    for (int32_t i = 0; i < program->guards; i++)
        if (program->guard[i].slot != NO_REF)
            program->guard[i].slot = slot_of(placer, program->guard[i].slot);
}

/* Give every operation its group, lane and slot. */
static int place(Folded *folded, const Levels *levels, Line *line, Program *program)
{
    Placer placer;
    memset(&placer, 0, sizeof placer);
    placer.folded = folded;
    placer.levels = levels;
    placer.program = program;
    program->constant = line->constant;
    line->constant = NULL;
    program->flags = folded->flags;
    folded->flags = NULL;
    program->inputs = line->inputs;
    program->constants = line->constants;
    program->levels = levels->levels;
    program->operations = folded->count;
    program->slots = (line->inputs + line->constants + LANES - 1) / LANES * LANES;
    int failed = place_groups(&placer) < 0;
    if (!failed)
        place_results(&placer, line);
    free_placer(&placer);
    return failed ? -1 : 0;
}
