/* Numbers by place, of which a few are there: the weights of pairs, or the entries of a
   row, each place once, in the order that they came. What a select left out is absent:
   it has its place, and adds nothing. See `scaled` and `total` in tangents.py. */

/* The weight of a pair, or the number in a row: by place of the other. */
typedef struct {
    uint32_t place;
    uint32_t there; /* 0 if it is absent */
    double number;
} Weight;

typedef struct {
    Weight *entry;
    uint32_t count, room;
} Weights;

static const uint32_t NOWHERE = UINT32_MAX;

static Weight weight_of(uint32_t place, double number, int there)
{
    Weight entry = {place, (uint32_t)there, number};
    return entry;
}

INLINE Weight scaled_weight(Weight factor, Weight x)
{
    x.there &= factor.there;
    x.number *= factor.number;
    return x;
}

INLINE void add_weight(Weight *sum, Weight share)
{
    if (sum->there && share.there)
        sum->number += share.number;
    else if (share.there)
        sum->number = share.number;
    sum->there |= share.there;
}

/* Add up what is there of one place; `slot` is by place, and NOWHERE before and after. */
static void merge(uint32_t *slot, Weights *list)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < list->count; k++) {
        Weight entry = list->entry[k];
        if (slot[entry.place] != NOWHERE) {
            add_weight(&list->entry[slot[entry.place]], entry);
            continue;
        }
        slot[entry.place] = kept;
        list->entry[kept++] = entry;
    }
    for (uint32_t k = 0; k < kept; k++)
        slot[list->entry[k].place] = NOWHERE;
    list->count = kept;
}

static int append_weight(uint32_t *slot, Weights *list, Weight entry)
{
    if (list->count == list->room) {
        merge(slot, list);
        if (list->count >= list->room / 2) {
            uint32_t room = list->room ? 2 * list->room : 4;
            Weight *more = PyMem_Realloc(list->entry, (size_t)room * sizeof *more);
            if (!more || room < list->room) {
                list->entry = more ? more : list->entry;
                PyErr_NoMemory();
                return -1;
            }
            list->entry = more;
            list->room = room;
        }
    }
    list->entry[list->count++] = entry;
    return 0;
}

static void free_weights(Weights *list)
{
    PyMem_Free(list->entry);
    memset(list, 0, sizeof *list);
}

static void forget_lists(Weights *lists, Py_ssize_t n)
{
    while (n-- > 0)
        free_weights(&lists[n]);
}
