/* What a trace writes down: Recorder of recorder.py, which is the reference; read it first.

   A Value of the run is known by when it was made: its time since the run began leads to
   its entry, on pages, since other threads' Values are made in between. A Value from
   outside is known by its address, as the recorder keeps it.

   entry       what is known of a Value: its slot, or that it is a constant
   code        of an operand: a slot, FROM_OUTSIDE + k for the kth input from outside, or
               ~k for the kth constant
   meet        Python, which says what becomes of a Value that has no entry */

/* ---- arrays that grow, and tables of numbers by key -------------------------------------- */

typedef struct {
    void *at;
    size_t count, room; /* of items */
} Growing;

/* Have room for so many more items, which are zero. */
static int enlarge(Growing *array, size_t more, size_t size)
{
    size_t room = array->room ? array->room : 64;
    void *at = NULL;
    while (room < array->count + more)
        room *= 2;
    if (room <= PY_SSIZE_T_MAX / size)
        at = PyMem_Realloc(array->at, room * size);
    if (!at) {
        PyErr_NoMemory();
        return -1;
    }
    memset((char *)at + array->room * size, 0, (room - array->room) * size);
    array->at = at;
    array->room = room;
    return 0;
}

INLINE int have_room(Growing *array, size_t more, size_t size)
{
    return array->room - array->count >= more ? 0 : enlarge(array, more, size);
}

static void drop(Growing *array)
{
    PyMem_Free(array->at);
    memset(array, 0, sizeof *array);
}

typedef struct {
    uint64_t key;
    int32_t number; /* and 1; 0 where there is none */
} Numbered;

typedef struct {
    Numbered *at;
    size_t count, room; /* a power of 2, at least twice the count */
} Numbers;

/* Where the key is, or is to be. */
static Numbered *numbered(const Numbers *table, uint64_t key)
{
    uint64_t mixed = key * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(mixed ^ mixed >> 32) & (table->room - 1);
    while (table->at[i].number && table->at[i].key != key)
        i = (i + 1) & (table->room - 1);
    return &table->at[i];
}

/* The number of a key, or -1. */
static int32_t number_for(const Numbers *table, uint64_t key)
{
    return table->room ? numbered(table, key)->number - 1 : -1;
}

static int widen(Numbers *table)
{
    Numbers wider = {NULL, table->count, table->room ? 2 * table->room : 64};
    if (wider.room <= PY_SSIZE_T_MAX / sizeof *wider.at)
        wider.at = PyMem_Calloc(wider.room, sizeof *wider.at);
    if (!wider.at) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < table->room; i++)
        if (table->at[i].number)
            *numbered(&wider, table->at[i].key) = table->at[i];
    PyMem_Free(table->at);
    *table = wider;
    return 0;
}

/* Have room for one more key. */
static int have_place(Numbers *table)
{
    return 2 * (table->count + 1) > table->room ? widen(table) : 0;
}

/* Give a new key the next number, once there is room. */
static int32_t add_number(Numbers *table, uint64_t key)
{
    Numbered *place = numbered(table, key);
    place->key = key;
    place->number = (int32_t)++table->count;
    return place->number - 1;
}

static void drop_numbers(Numbers *table)
{
    PyMem_Free(table->at);
    memset(table, 0, sizeof *table);
}

/* ---- the recorder, and what it knows of a Value ------------------------------------------ */

typedef struct {
    int32_t slot;      /* or FROM_OUTSIDE + k; negative for a constant */
    unsigned leaf : 29; /* its place among the Values kept, and 1; 0 if it has none */
    unsigned known : 1, is_number : 1, is_truth : 1;
} Entry;

enum { ENTRIES = 4096 }; /* of a page */
enum { FROM_OUTSIDE = 1 << 29, IS_NUMBER = 1 << 30, FIXED = -1, PLAIN = -2 };

struct Recorder {
    PyObject_HEAD
    PyObject *arguments, *closed; /* lists of Values */
    PyObject *rows;               /* a list: each row once */
    int64_t since;
    int32_t own;      /* how many arguments there are */
    Growing pages;    /* Entry *, of what was made since */
    Growing outside;  /* Entry, of those in `closed` */
    Numbers closed_at; /* the place in `closed`, by address */
    Growing kept;     /* Node *: the Values of this run that have a slot */
    int has_foreign;  /* whether some of them are foreign */
    Growing row, start, operand, constants; /* uint16_t, int32_t, int32_t (codes), double */
    Numbers row_at, constant_at; /* by address, by bits */
};

INLINE Entry *entry_made(const Recorder *recorder, int64_t made)
{
    uint64_t at = (uint64_t)(made - recorder->since), page = at / ENTRIES;
    Entry *entries = page < recorder->pages.count ? ((Entry **)recorder->pages.at)[page] : NULL;
    return entries ? &entries[at % ENTRIES] : NULL;
}

/* What is known of a Value, or NULL. It holds until another one is entered. */
INLINE Entry *entry_of(const Recorder *recorder, const Node *node)
{
    Entry *entry;
    int32_t k;
    if (node->made >= recorder->since) {
        entry = entry_made(recorder, node->made);
        return entry && entry->known ? entry : NULL;
    }
    k = number_for(&recorder->closed_at, (uintptr_t)node);
    return k < 0 ? NULL : (Entry *)recorder->outside.at + k;
}

INLINE int has_slot(const Entry *entry) { return entry->slot >= 0; }

/* Whether x is a Value that stands for a plain number. */
INLINE int stands_for_number(const Recorder *recorder, PyObject *x)
{
    const Entry *entry = is_value(x) ? entry_of(recorder, (Node *)x) : NULL;
    return entry && entry->is_number;
}

static int add_page(Recorder *recorder, uint64_t page)
{
    Growing *pages = &recorder->pages;
    if (page >= pages->count) {
        if (have_room(pages, (size_t)(page - pages->count) + 1, sizeof(Entry *)) < 0)
            return -1;
        pages->count = (size_t)page + 1;
    }
    if (!(((Entry **)pages->at)[page] = PyMem_Calloc(ENTRIES, sizeof(Entry)))) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Have an entry for what was made at that time. */
INLINE Entry *entry_for(Recorder *recorder, int64_t made)
{
    uint64_t page = (uint64_t)(made - recorder->since) / ENTRIES;
    if (!entry_made(recorder, made) && add_page(recorder, page) < 0)
        return NULL;
    return entry_made(recorder, made);
}

/* Keep a Value of this run, once there is room for it. */
INLINE void keep(Recorder *recorder, Node *node)
{
    Py_INCREF((PyObject *)node);
    ((Node **)recorder->kept.at)[recorder->kept.count++] = node;
    recorder->has_foreign |= node->traits & FOREIGN;
}

/* Enter a new Value of this run, with that slot. */
static Entry *enter(Recorder *recorder, Node *node, int32_t slot)
{
    Entry *entry;
    if (have_room(&recorder->kept, 1, sizeof(Node *)) < 0 ||
        !(entry = entry_for(recorder, node->made)))
        return NULL;
    if (slot >= 0)
        keep(recorder, node);
    entry->slot = slot;
    entry->known = 1;
    return entry;
}

/* Let Python say what becomes of a Value that has no entry. */
static int meet(Recorder *recorder, PyObject *x)
{
    PyObject *done;
    Py_INCREF(x);
    Py_INCREF((PyObject *)recorder);
    done = PyObject_CallMethod((PyObject *)recorder, "meet", "O", x);
    if (done && !entry_of(recorder, (Node *)x)) {
        PyErr_SetString(PyExc_RuntimeError, "Recorder.meet: it must enter the Value");
        Py_CLEAR(done);
    }
    Py_DECREF((PyObject *)recorder);
    Py_DECREF(x);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* The entry of a Value, which is met if it has none; NULL with an error. */
static Entry *known_entry(Recorder *recorder, PyObject *x)
{
    Entry *entry = entry_of(recorder, (Node *)x);
    if (!entry && meet(recorder, x) == 0)
        entry = entry_of(recorder, (Node *)x);
    return entry;
}

/* Whether x depends on an input; -1 with an error. */
static int follows(Recorder *recorder, PyObject *x)
{
    const Entry *entry = is_value(x) ? known_entry(recorder, x) : NULL;
    return entry ? has_slot(entry) : is_value(x) ? -1 : 0;
}

/* ---- instructions ------------------------------------------------------------------------ */

static const uint64_t ANY_NAN = UINT64_C(0x7ff8000000000000);

/* The code of a constant; FROM_OUTSIDE, which is none, if there is no memory. */
static int32_t constant_code(Recorder *recorder, double x)
{
    uint64_t key = ANY_NAN;
    int32_t k;
    if (x == x)
        memcpy(&key, &x, sizeof key);
    if ((k = number_for(&recorder->constant_at, key)) >= 0)
        return ~k;
    if (have_room(&recorder->constants, 1, sizeof x) < 0 ||
        have_place(&recorder->constant_at) < 0)
        return FROM_OUTSIDE;
    ((double *)recorder->constants.at)[recorder->constants.count++] = x;
    return ~add_number(&recorder->constant_at, key);
}

/* The place of a row among `rows`, or -1 with an error. */
static int32_t place_of_row(Recorder *recorder, PyObject *row)
{
    int32_t k = number_for(&recorder->row_at, (uintptr_t)row);
    if (k >= 0)
        return k;
    if (recorder->row_at.count > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError,
                        "jit: f must use at most 65536 primitives, but uses more; make "
                        "each once, outside f");
        return -1;
    }
    if (have_place(&recorder->row_at) < 0 || PyList_Append(recorder->rows, row) < 0)
        return -1;
    return add_number(&recorder->row_at, (uintptr_t)row);
}

/* The codes of a node's operands behind those there are: of constants, that they are. The
   first that has no entry, or NULL. */
INLINE PyObject *look_up(const Recorder *recorder, const Node *node, int32_t *codes,
                         int *has_slots, int *are_numbers)
{
    for (uint32_t i = 0; i < node->count; i++) {
        PyObject *x = node->edges[i].operand;
        const Entry *entry = is_value(x) ? entry_of(recorder, (Node *)x) : NULL;
        codes[i] = PLAIN;
        if (!is_value(x))
            continue;
        if (!entry)
            return x;
        codes[i] = has_slot(entry) ? entry->slot | (entry->is_number ? IS_NUMBER : 0) : FIXED;
        *has_slots |= codes[i] >= 0;
        *are_numbers &= entry->is_number;
    }
    return NULL;
}

static int never(Node *node, uint32_t k);

/* Say by its partial whether an operand is there: what it is, the rules say. */
INLINE void mark_partial(Node *node, uint32_t i, int absent)
{
    if (absent || never(node, i))
        leave_out(&node->edges[i]);
    else if (!is_call(node)) /* which has the number of its operand there */
        node->edges[i].partial = NAN;
}

/* Turn what was looked up into codes. */
INLINE int settle(Recorder *recorder, Node *node, int32_t *codes)
{
    for (uint32_t i = 0; i < node->count; i++) {
        int32_t code = codes[i];
        mark_partial(node, i, code == PLAIN || (code >= 0 && code & IS_NUMBER));
        codes[i] = code < 0 ? constant_code(recorder, number_of(node->edges[i].operand))
                            : code & ~IS_NUMBER;
        if (code < 0 && codes[i] == FROM_OUTSIDE)
            return -1;
    }
    return 0;
}

/* Room for one instruction more, of so many operands. */
INLINE int have_room_for(Recorder *recorder, uint32_t operands)
{
    if (recorder->row.count >= FROM_OUTSIDE - 1 - (size_t)recorder->own ||
        recorder->operand.count + operands > INT32_MAX) {
        PyErr_NoMemory();
        return -1;
    }
    return have_room(&recorder->row, 1, sizeof(uint16_t)) < 0 ||
                   have_room(&recorder->start, 2, sizeof(int32_t)) < 0 ||
                   have_room(&recorder->operand, operands, sizeof(int32_t)) < 0
               ? -1
               : 0;
}

/* The codes of its operands, behind those of all others. */
INLINE int32_t *next_codes(const Recorder *recorder)
{
    return (int32_t *)recorder->operand.at + recorder->operand.count;
}

INLINE int32_t next_slot(const Recorder *recorder)
{
    return recorder->own + (int32_t)recorder->row.count;
}

/* Add an instruction whose codes are there: the row at that place, so many operands. */
INLINE void add_instruction(Recorder *recorder, int32_t place, uint32_t operands)
{
    recorder->operand.count += operands;
    ((uint16_t *)recorder->row.at)[recorder->row.count++] = (uint16_t)place;
    ((int32_t *)recorder->start.at)[recorder->row.count] = (int32_t)recorder->operand.count;
    recorder->start.count = recorder->row.count;
}

/* Enter a new node, or the call that it is of, with the slot of the instruction. */
INLINE int enter_result(Recorder *recorder, Node *node, int32_t slot, int is_number)
{
    Entry *entry = entry_of(recorder, node);
    if (!entry && !(entry = enter(recorder, node, slot)))
        return -1;
    entry->slot = slot;
    entry->is_number |= is_number;
    return 0;
}

/* Write an instruction down whose operands were looked up. */
INLINE int write_down(Recorder *recorder, Node *node, Node *joined, PyObject *row,
                      int is_number)
{
    int32_t slot = next_slot(recorder), place = place_of_row(recorder, row);
    if (place < 0 || settle(recorder, joined, next_codes(recorder)) < 0 ||
        enter_result(recorder, node, slot, is_number) < 0 ||
        (joined != node && enter_result(recorder, joined, slot, is_number) < 0))
        return -1;
    add_instruction(recorder, place, joined->count);
    return 0;
}

/* As `see_value`, of a node with that row; a component has the operands of its call. */
INLINE int see_row(Recorder *recorder, Node *node, PyObject *row)
{
    Node *joined = is_component(node) ? call_of(node) : node;
    for (;;) {
        int has_slots = 0, are_numbers = 1;
        PyObject *unknown;
        if (have_room_for(recorder, joined->count) < 0)
            return -1;
        unknown = look_up(recorder, joined, next_codes(recorder), &has_slots, &are_numbers);
        if (unknown && meet(recorder, unknown) < 0)
            return -1;
        if (unknown)
            continue; /* from the start, as Python has run */
        if (has_slots)
            return write_down(recorder, node, joined, row, are_numbers);
        return enter_result(recorder, node, FIXED, 0) < 0 ||
                       (joined != node && enter_result(recorder, joined, FIXED, 0) < 0)
                   ? -1
                   : 0;
    }
}

/* Write a new node down, unless all of its operands are constants. */
static int see_node(Recorder *recorder, Node *node)
{
    PyObject *row;
    int failed;
    if (!is_component(node))
        return see_row(recorder, node, (PyObject *)row_of(node));
    if (!(row = row_of_component(node)))
        return -1;
    failed = see_row(recorder, node, row);
    Py_DECREF(row);
    return failed;
}

static PyObject *recorder_see_value(PyObject *self, PyObject *node)
{
    if (!is_value(node) || is_leaf((Node *)node) ||
        ((Node *)node)->made < ((Recorder *)self)->since) {
        PyErr_SetString(PyExc_TypeError, "see_value: it must be a new node");
        return NULL;
    }
    if (see_node((Recorder *)self, (Node *)node) < 0)
        return NULL;
    Py_RETURN_NONE;
}
