/* Memory that grows, and a table that finds what was there before: with Python's lock. */

/* Room for so many things of a size, or NULL; never of no bytes at all. */
static void *room_for(size_t count, size_t size)
{
    return count > (PTRDIFF_MAX - 1) / size ? NULL : PyMem_Malloc(count * size + 1);
}

static void *zeros_for(size_t count, size_t size)
{
    return PyMem_Calloc(count + 1, size);
}

/* Let there be room for `more` behind `used` things at *at, half as much again at least. */
static int grow(void *at, size_t *room, size_t used, size_t more, size_t size)
{
    void *old, *found;
    size_t now = used + more;
    if (now <= *room)
        return 0;
    now = now + now / 2 + 16;
    memcpy(&old, at, sizeof old);
    if (now > PTRDIFF_MAX / size || !(found = PyMem_Realloc(old, now * size)))
        return -1;
    memcpy(at, &found, sizeof found);
    *room = now;
    return 0;
}

/* What is left of a list that has come to its length. */
static void shrink(void *at, size_t count, size_t size)
{
    void *old, *found;
    memcpy(&old, at, sizeof old);
    found = PyMem_Realloc(old, count * size + 1);
    if (found)
        memcpy(at, &found, sizeof found);
}

/* ---- a table ------------------------------------------------------------------------ */

/* Numbers by the hash of what they stand for, open addressing: in an entry a number plus
   one, and above it half of its hash, so that few are looked at in vain. Whether it is the
   one that is looked for, its user says: equal hashes are no reason. */
typedef struct {
    uint64_t *entries;
    size_t mask, used;
} Table;

static int make_table(Table *table, size_t count)
{
    size_t size = 16;
    while (size < count + count / 2)
        size *= 2;
    table->entries = zeros_for(size, sizeof *table->entries);
    table->mask = size - 1;
    table->used = 0;
    return table->entries ? 0 : -1;
}

static void free_table(Table *table)
{
    PyMem_Free(table->entries);
    table->entries = NULL;
}

INLINE uint64_t mixed(uint64_t hash, uint64_t x)
{
    hash = (hash ^ x) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

/* The next number with this hash, from *at on, or -1 at an empty entry. */
INLINE int32_t next_in(const Table *table, uint32_t hash, size_t *at)
{
    uint64_t entry;
    for (; (entry = table->entries[*at & table->mask]); ++*at)
        if ((uint32_t)(entry >> 32) == hash) {
            ++*at;
            return (int32_t)((uint32_t)entry - 1);
        }
    return -1;
}

enum { NEAR = 16 };

/* Likewise, but the first so many entries are near a place that its user chose, where
   those of like numbers are, and so likely in the cache; the others by the hash. Such a
   table has its size from the beginning. */
INLINE int32_t next_near(const Table *table, uint32_t hash, size_t *at, int *steps)
{
    uint64_t entry;
    while ((entry = table->entries[*at & table->mask])) {
        *at = ++*steps == NEAR ? hash : *at + 1;
        if ((uint32_t)(entry >> 32) == hash)
            return (int32_t)((uint32_t)entry - 1);
    }
    return -1;
}

static int enlarge(Table *table)
{
    Table larger;
    if (make_table(&larger, 2 * table->mask) < 0)
        return -1;
    for (size_t i = 0; i <= table->mask; i++) {
        size_t at = table->entries[i] >> 32;
        if (!table->entries[i])
            continue;
        while (larger.entries[at & larger.mask])
            at++;
        larger.entries[at & larger.mask] = table->entries[i];
    }
    larger.used = table->used;
    free_table(table);
    *table = larger;
    return 0;
}

/* Write a number down; `at` is where next_in found nothing. */
static int put_in(Table *table, uint32_t hash, size_t at, int32_t number)
{
    table->entries[at & table->mask] = (uint64_t)hash << 32 | ((uint32_t)number + 1);
    return ++table->used * 4 > table->mask * 3 ? enlarge(table) : 0;
}
