/* Operations by level and pattern: which of them are lanes of one group.

   An operation can run once its operands are there, and must before it is needed. As soon
   as possible and as late as possible give different groups; what gives fewer blocks is
   kept. Guards are checked after all has run, save before rows that only Python computes:
   those run in their order, each behind the guards that stand before it. */

enum { BLOCK_LANES = 32 }; /* that one block computes */

typedef struct {
    int32_t *order; /* operations, by level and then by group */
    int32_t *start; /* where in it each group starts, and where the last one ends */
    int32_t *level; /* of each operation */
    int32_t groups, levels, blocks;
} Levels;

static void free_levels(Levels *levels)
{
    PyMem_Free(levels->order);
    PyMem_Free(levels->start);
    PyMem_Free(levels->level);
    memset(levels, 0, sizeof *levels);
}

INLINE int is_callback(const Folded *folded, int32_t operation)
{
    return folded->patterns[folded->pattern[operation]].kind == CALLBACK;
}

INLINE int32_t level_of(const Folded *folded, const int32_t *level, int32_t ref)
{
    return ref < folded->inputs ? 0 : level[ref - folded->inputs];
}

/* ---- guards before callbacks --------------------------------------------------------- */

/* What is looked at before each callback: callback i runs behind guards[..due[i]]. */
typedef struct {
    int32_t *callbacks, *due;
    int32_t count;
} Callbacks;

static void free_callbacks(Callbacks *callbacks)
{
    PyMem_Free(callbacks->callbacks);
    PyMem_Free(callbacks->due);
}

/* `after` of a guard counts nodes, as the numbers of operations are by node. */
static int find_callbacks(const Folded *folded, const Line *line, int32_t guards,
                          Callbacks *found)
{
    int32_t count = 0, next = 0;
    for (int32_t i = 0; i < folded->count; i++)
        count += is_callback(folded, i);
    found->callbacks = room_for((size_t)count, sizeof *found->callbacks);
    found->due = room_for((size_t)count, sizeof *found->due);
    if (!found->callbacks || !found->due)
        return -1;
    found->count = 0;
    for (int32_t node = 0; node < line->count && found->count < count; node++) {
        for (; next < guards && line->guard[next].after <= node; next++)
            ;
        if (line->code[node] < CALLBACK)
            continue;
        found->callbacks[found->count] = folded->number[node] - folded->inputs;
        found->due[found->count++] = next;
    }
    return 0;
}

/* ---- levels -------------------------------------------------------------------------- */

INLINE int32_t later(int32_t x, int32_t y) { return x > y ? x : y; }
INLINE int32_t sooner(int32_t x, int32_t y) { return x < y ? x : y; }

static int32_t soonest(const Folded *folded, const int32_t *level, int32_t operation)
{
    int32_t found = 0;
    for (int32_t i = folded->start[operation]; i < folded->start[operation + 1]; i++)
        found = later(found, level_of(folded, level, folded->operand[i]));
    return found + 1;
}

/* As soon as possible; the number of levels. */
static int32_t level_soon(const Folded *folded, const Line *line,
                          const Callbacks *callbacks, int32_t *level)
{
    int32_t levels = 0, next = 0, guard = 0, earliest = 1;
    for (int32_t i = 0; i < folded->count; i++) {
        level[i] = soonest(folded, level, i);
        if (next < callbacks->count && callbacks->callbacks[next] == i) {
            for (; guard < callbacks->due[next]; guard++)
                earliest = later(earliest,
                                 level_of(folded, level, line->guard[guard].slot) + 1);
            earliest = level[i] = later(earliest, level[i]);
            next++;
        }
        levels = later(levels, level[i]);
    }
    return levels;
}

INLINE void needed_by(const Folded *folded, int32_t *level, int32_t ref, int32_t by)
{
    if (ref >= folded->inputs)
        level[ref - folded->inputs] = sooner(level[ref - folded->inputs], by);
}

/* As late as possible, in as many levels. */
static void level_late(const Folded *folded, const Line *line, const Callbacks *callbacks,
                       int32_t levels, int32_t *level)
{
    int32_t next = callbacks->count, latest = levels;
    for (int32_t i = 0; i < folded->count; i++)
        level[i] = levels;
    for (int32_t i = folded->count - 1; i >= 0; i--) {
        if (next > 0 && callbacks->callbacks[next - 1] == i) {
            next--;
            latest = level[i] = sooner(latest, level[i]);
            int32_t from = next > 0 ? callbacks->due[next - 1] : 0;
            for (int32_t guard = from; guard < callbacks->due[next]; guard++)
                needed_by(folded, level, line->guard[guard].slot, latest - 1);
        }
        for (int32_t j = folded->start[i]; j < folded->start[i + 1]; j++)
            needed_by(folded, level, folded->operand[j], level[i] - 1);
    }
}

/* ---- groups -------------------------------------------------------------------------- */

/* Operations in the order of their levels, and within one in the order in which they come;
   where[level] is where those of a level end. */
static int sort_by_level(const Folded *folded, Levels *levels, int32_t *where)
{
    for (int32_t i = 0; i < folded->count; i++)
        where[levels->level[i] + 1]++;
    for (int32_t i = 1; i <= levels->levels + 1; i++)
        where[i] += where[i - 1];
    for (int32_t i = 0; i < folded->count; i++)
        levels->order[where[levels->level[i]]++] = i;
    return 0;
}

typedef struct {
    int32_t *group; /* of each pattern, on the level at hand */
    int32_t *seen;  /* the last level on which it was seen */
    int32_t *sorted;
    size_t starts_room;
} Grouper;

INLINE int32_t blocks_of(int32_t lanes)
{
    return lanes < FEW ? lanes : (lanes + BLOCK_LANES - 1) / BLOCK_LANES;
}

static int add_group(Levels *levels, Grouper *grouper)
{
    if (grow(&levels->start, &grouper->starts_room, (size_t)levels->groups, 2,
             sizeof *levels->start) < 0)
        return -1;
    levels->start[levels->groups++] = 0;
    return 0;
}

/* How many lanes each group of a level has, in `start`; callbacks come by themselves. */
static int count_lanes(const Folded *folded, Levels *levels, Grouper *grouper,
                       int32_t from, int32_t to, int32_t level)
{
    for (int32_t i = from; i < to; i++) {
        int32_t operation = levels->order[i], pattern = folded->pattern[operation];
        if (is_callback(folded, operation))
            continue;
        if (grouper->seen[pattern] != level) {
            grouper->seen[pattern] = level;
            grouper->group[pattern] = levels->groups;
            if (add_group(levels, grouper) < 0)
                return -1;
        }
        levels->start[grouper->group[pattern]]++;
    }
    return 0;
}

/* Put the operations of a level in the order of its groups, from group `first` on. */
static int group_level(const Folded *folded, Levels *levels, Grouper *grouper,
                       int32_t from, int32_t to, int32_t level)
{
    int32_t first = levels->groups, at = from;
    if (count_lanes(folded, levels, grouper, from, to, level) < 0)
        return -1;
    for (int32_t g = first; g < levels->groups; g++) {
        int32_t lanes = levels->start[g];
        levels->blocks += blocks_of(lanes);
        levels->start[g] = at;
        at += lanes;
    }
    int32_t plain = levels->groups;
    for (int32_t i = from; i < to; i++) {
        int32_t operation = levels->order[i];
        if (!is_callback(folded, operation)) {
            int32_t group = grouper->group[folded->pattern[operation]];
            grouper->sorted[levels->start[group]++] = operation;
            continue;
        }
        if (add_group(levels, grouper) < 0)
            return -1;
        levels->blocks++;
        levels->start[levels->groups - 1] = at;
        grouper->sorted[at++] = operation;
    }
    for (int32_t g = plain - 1; g >= first; g--) /* each was moved to where it ends */
        levels->start[g] = g > first ? levels->start[g - 1] : from;
    memcpy(levels->order + from, grouper->sorted + from,
           (size_t)(to - from) * sizeof *levels->order);
    return 0;
}

static int group_levels(const Folded *folded, Levels *levels, int32_t *where,
                        Grouper *grouper)
{
    memset(where, 0, ((size_t)levels->levels + 2) * sizeof *where);
    sort_by_level(folded, levels, where);
    for (int32_t level = 1; level <= levels->levels; level++)
        if (group_level(folded, levels, grouper, where[level - 1], where[level], level) < 0)
            return -1;
    if (grow(&levels->start, &grouper->starts_room, (size_t)levels->groups, 1,
             sizeof *levels->start) < 0)
        return -1;
    levels->start[levels->groups] = folded->count;
    return 0;
}

/* The groups of operations on these levels. */
static int find_groups(const Folded *folded, Levels *levels)
{
    Grouper grouper;
    memset(&grouper, 0, sizeof grouper);
    size_t count = (size_t)folded->count, kinds_of_it = (size_t)folded->kinds;
    int32_t *where = room_for((size_t)levels->levels + 2, sizeof *where);
    levels->order = room_for(count, sizeof *levels->order);
    grouper.group = room_for(kinds_of_it, sizeof *grouper.group);
    grouper.seen = zeros_for(kinds_of_it, sizeof *grouper.seen);
    grouper.sorted = room_for(count, sizeof *grouper.sorted);
    int failed = !where || !levels->order || !grouper.group || !grouper.seen ||
                 !grouper.sorted || group_levels(folded, levels, where, &grouper) < 0;
    PyMem_Free(where);
    PyMem_Free(grouper.group);
    PyMem_Free(grouper.seen);
    PyMem_Free(grouper.sorted);
    return failed ? -1 : 0;
}

static int try_levels(const Folded *folded, const Line *line, const Callbacks *callbacks,
                      Levels *soon, Levels *late)
{
    soon->level = room_for((size_t)folded->count, sizeof *soon->level);
    late->level = room_for((size_t)folded->count, sizeof *late->level);
    if (!soon->level || !late->level)
        return -1;
    soon->levels = late->levels = level_soon(folded, line, callbacks, soon->level);
    level_late(folded, line, callbacks, late->levels, late->level);
    return find_groups(folded, soon) < 0 || find_groups(folded, late) < 0 ? -1 : 0;
}

/* The levels and groups of the operations of a line. */
static int level(const Folded *folded, const Line *line, int32_t guards, Levels *levels)
{
    Levels soon, late;
    Callbacks callbacks;
    memset(&soon, 0, sizeof soon);
    memset(&late, 0, sizeof late);
    memset(&callbacks, 0, sizeof callbacks);
    int failed = find_callbacks(folded, line, guards, &callbacks) < 0 ||
                 try_levels(folded, line, &callbacks, &soon, &late) < 0;
    free_callbacks(&callbacks);
    int better = !failed && late.blocks < soon.blocks;
    if (failed || better)
        free_levels(&soon);
    if (failed || !better)
        free_levels(&late);
    *levels = better ? late : soon;
    return failed ? -1 : 0;
}
