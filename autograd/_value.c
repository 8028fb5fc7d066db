/* Value and Primitive in C: what value.py and primitives.py say, at the price of a float.

   Read those first: they are the reference, and whatever is rare (text, labels, copies,
   errors, odd operands) is left to them, by way of `connect`. Here are the node, the rows
   whose value and partials C computes itself, how operators record, and the sweep of
   `backward`; what transforms do stands in `_graph.h` and the files that follow it.

   node      a Value: its number, its adjoint, its row, and an edge for each operand
   edge      an operand and the partial with respect to it, or LEFT_OUT
   kernel    a row's value and partials in C; a row without one is computed by Python
   foreign   a row that is not of the table, or a node that has such a row below it
   call      a node that no user sees, with an operand for each of its edges, the number
             of that operand in place of a partial, and several results
   component one result of a call, its only operand; the place is where partials are

   A sweep runs no Python and keeps the GIL, so no other thread sees it half-way. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fenv.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#ifndef Py_LIMITED_API
#error "compile with -DPy_LIMITED_API=0x030B0000: one binary for 3.11 and later"
#endif

/* No x * y + z in one rounding: each row gives Python's bits. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define INLINE static inline
#define PREFETCH(address) ((void)(address))
#endif

/* ---- the node ----------------------------------------------------------------------- */

typedef struct Row Row;
typedef struct Node Node;

typedef struct {
    PyObject *operand; /* a Value or an exact float */
    double partial;
} Edge;

struct Node {
    PyObject_HEAD
    uint32_t count; /* of edges; 0 on a leaf, which has room for one all the same */
    uint16_t row;   /* LEAF, the number of a row of the table, COMPONENT, or OWN */
    uint8_t state;  /* REACHED, MARKED */
    uint8_t traits; /* FOREIGN, LEFTOVER, NOTED, IN_SLAB */
    double data, grad;
    union {
        int64_t made; /* when: each node has a time of its own */
        Node *next; /* of those that are freed */
    };
    Edge edges[]; /* behind them, the row if it is the node's OWN, and a call's results */
};

enum { LEAF = 0, COMPONENT = UINT16_MAX - 1, OWN = UINT16_MAX };
enum {
    REACHED = 1, /* a sweep has given it an adjoint */
    MARKED = 2,  /* the search under way has seen it, and no share has come since */
    FOREIGN = 1, /* may be part of a cycle: allocated for the collector, tracked */
    LEFTOVER = 2, /* a trace took its number when it ended; data is NaN since */
    NOTED = 4,    /* has an entry in `notes` */
    IN_SLAB = 8
};

static PyTypeObject *ValueType, *RowType, *RecorderType, *HoldType;
static int64_t now; /* the clock, see `tick` */

/* What a plain number, or an operand that a select left out, has for a partial: a NaN
   that no arithmetic gives. `set_edge` keeps out the only way to forge it. */
static const uint64_t LEFT_OUT = UINT64_C(0x7ff4a1b2c3d4e5f6);

INLINE int left_out(const Edge *edge)
{
    uint64_t bits;
    memcpy(&bits, &edge->partial, sizeof bits);
    return bits == LEFT_OUT;
}

INLINE void leave_out(Edge *edge) { memcpy(&edge->partial, &LEFT_OUT, sizeof LEFT_OUT); }

INLINE int is_value(PyObject *x) { return Py_TYPE(x) == ValueType; }

INLINE int is_plain(PyObject *x) { return is_value(x) || PyFloat_CheckExact(x); }

INLINE double number_of(PyObject *x)
{
    return is_value(x) ? ((Node *)x)->data : PyFloat_AsDouble(x);
}

INLINE Edge *assigned(Node *leaf) { return leaf->edges; } /* its partial is the time */

INLINE int is_leaf(const Node *node) { return node->row == LEAF; }

INLINE int is_foreign(PyObject *value) { return ((Node *)value)->traits & FOREIGN; }

INLINE Row *own_row(Node *node) { return (Row *)node->edges[node->count].operand; }

/* Nodes live in slabs, each for one size; only large ones do not. A slab gives its slots
   in the order of their addresses, so that a graph lies in memory as it was recorded, and
   a training step finds the memory of the step before. It starts at a multiple of its
   own size, which is how a node finds it; slabs come in chunks. */
enum { SLAB = 1 << 16, CHUNK = 1 << 20, SPARE = 256 };

/* Sizes have room for 0 to FEW edges, then for 8, 16 … MANY. */
enum { FEW = 4, MANY = 64, SIZES = FEW + 1 + MANY / 8 };

INLINE size_t size_for(size_t edges) { return edges <= FEW ? edges : FEW + (edges + 7) / 8; }

INLINE size_t edges_in(size_t size) { return size <= FEW ? size : (size - FEW) * 8; }

#if defined(__SANITIZE_ADDRESS__)
enum { USE_SLABS = 0 }; /* a use after free shall be seen */
#else
enum { USE_SLABS = 1 };
#endif

typedef struct {
    unsigned slabs, empty;
} Chunk;

typedef struct Slab Slab;

struct Slab {
    Slab *next, *previous; /* of those that are empty, or have a slot to be used again */
    Chunk *chunk;
    Node *freed;       /* slots to be used again */
    char *fresh, *end; /* nodes of slots that were not used since the slab was empty */
    uint32_t used, size;
};

static Slab *current[SIZES];
static Slab *partial[SIZES], *empty; /* the first of those that are not current */
static size_t spare;                 /* how many are empty */

/* From 3.14 on, freeing at the end of the C stack writes into the collector's header of
   any object whose type may have one, whatever `tp_is_gc` says: leave room for it. */
static size_t header;

static void link_slab(Slab **first, Slab *slab)
{
    slab->next = *first;
    slab->previous = NULL;
    if (*first)
        (*first)->previous = slab;
    *first = slab;
}

static void unlink_slab(Slab **first, Slab *slab)
{
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        *first = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

static char *first_node(Slab *slab) { return (char *)slab + sizeof(Slab) + header; }

static Slab *slab_of(void *place) { return (Slab *)((uintptr_t)place & ~(uintptr_t)(SLAB - 1)); }

/* The last slab of the chunk is the one that its end is in. */
static Slab *last_slab(Chunk *chunk) { return slab_of((char *)chunk + CHUNK - SLAB); }

static int add_chunk(void)
{
    Chunk *chunk = PyMem_Malloc(CHUNK);
    if (!chunk) {
        PyErr_NoMemory();
        return -1;
    }
    chunk->slabs = chunk->empty = 0;
    for (char *at = (char *)last_slab(chunk); at >= (char *)(chunk + 1); at -= SLAB) {
        Slab *slab = (Slab *)at;
        slab->chunk = chunk;
        link_slab(&empty, slab);
        chunk->slabs++;
    }
    chunk->empty = chunk->slabs;
    spare += chunk->slabs;
    return 0;
}

static void free_chunk(Chunk *chunk)
{
    char *at = (char *)last_slab(chunk);
    for (unsigned i = 0; i < chunk->slabs; i++, at -= SLAB)
        unlink_slab(&empty, (Slab *)at);
    spare -= chunk->slabs;
    PyMem_Free(chunk);
}

INLINE size_t bytes_of(size_t size)
{
    return header + sizeof(Node) + edges_in(size) * sizeof(Edge);
}

/* Find a slab with room for nodes of that size; NULL if there is no memory. */
static Slab *refill(size_t size)
{
    Slab *slab;
    if (!empty && partial[size]) {
        slab = partial[size];
        unlink_slab(&partial[size], slab);
    } else {
        if (!empty && add_chunk() < 0)
            return NULL;
        slab = empty;
        unlink_slab(&empty, slab);
        slab->chunk->empty--;
        spare--;
        slab->used = 0;
        slab->size = (uint32_t)size;
        slab->freed = NULL;
        slab->fresh = first_node(slab);
        slab->end = slab->fresh + (SLAB - sizeof(Slab)) / bytes_of(size) * bytes_of(size);
        if (header)
            memset(slab + 1, 0, SLAB - sizeof(Slab));
    }
    return current[size] = slab;
}

INLINE Node *take_slot(size_t size)
{
    Slab *slab = current[size];
    Node *node;
    if ((!slab || (slab->fresh == slab->end && !slab->freed)) && !(slab = refill(size)))
        return NULL;
    slab->used++;
    if (slab->fresh < slab->end) {
        node = (Node *)slab->fresh;
        slab->fresh += bytes_of(size);
    } else {
        node = slab->freed;
        slab->freed = node->next;
    }
    Py_SET_TYPE((PyObject *)node, ValueType); /* which lives as long as the process */
    Py_SET_REFCNT((PyObject *)node, 1);
    return node;
}

/* The first slot comes back to a full slab. */
static void slab_opened(Slab *slab)
{
    if (slab != current[slab->size])
        link_slab(&partial[slab->size], slab);
}

static void slab_emptied(Slab *slab)
{
    slab->freed = NULL;
    slab->fresh = first_node(slab);
    if (slab == current[slab->size])
        return;
    unlink_slab(&partial[slab->size], slab);
    link_slab(&empty, slab);
    spare++;
    if (++slab->chunk->empty == slab->chunk->slabs && spare > SPARE)
        free_chunk(slab->chunk);
}

INLINE void give_slot_back(Node *node)
{
    Slab *slab = slab_of(node);
    node->next = slab->freed;
    slab->freed = node;
    if (!node->next)
        slab_opened(slab);
    if (!--slab->used)
        slab_emptied(slab);
}

static Node *allocate(size_t edges, int foreign)
{
    char *memory;
    if (edges > UINT32_MAX / 2 || edges > (SIZE_MAX / 2 - sizeof(Node)) / sizeof(Edge))
        return (Node *)PyErr_NoMemory();
    if (foreign) /* ob_size, which this sets, lies where `count` … `traits` do */
        return PyObject_GC_NewVar(Node, ValueType, (Py_ssize_t)edges);
    memory = PyObject_Malloc(header + sizeof(Node) + edges * sizeof(Edge));
    if (!memory)
        return (Node *)PyErr_NoMemory();
    if (header)
        memset(memory, 0, header);
    return (Node *)PyObject_Init((PyObject *)(memory + header), ValueType);
}

/* A node with its edges to be set, and behind them, if it is OWN, its row, and more. */
INLINE Node *new_large_node(unsigned row, size_t count, size_t more, int foreign)
{
    size_t room = row == LEAF ? 1 : count + (row == OWN) + more;
    int in_slab = USE_SLABS && !foreign && room <= MANY;
    Node *node = in_slab ? take_slot(size_for(room)) : allocate(room, foreign);
    if (!node)
        return NULL;
    node->count = (uint32_t)count;
    node->row = (uint16_t)row;
    node->state = 0;
    node->traits = in_slab ? IN_SLAB : foreign ? FOREIGN : 0;
    node->grad = 0.0;
    node->made = ++now;
    return node;
}

INLINE Node *new_node(unsigned row, size_t count, int foreign)
{
    return new_large_node(row, count, 0, foreign);
}

/* Set an edge; takes over the reference to the operand. */
INLINE void set_operand(Node *node, size_t i, PyObject *operand, double partial, int has)
{
    Edge *edge = &node->edges[i];
    edge->operand = operand;
    edge->partial = partial;
    if (!has)
        leave_out(edge);
    else if (left_out(edge))
        edge->partial = NAN;
}

INLINE void set_edge(Node *node, size_t i, PyObject *operand, double partial, int select)
{
    set_operand(node, i, operand, partial,
                is_value(operand) && !(select && partial == 0.0));
}

/* ---- rows --------------------------------------------------------------------------- */

typedef PyObject *(*Vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);
typedef double (*Compute)(const double *x);
typedef double (*Record)(const double *x, double *partials, unsigned wanted);

typedef struct {
    const char *name;
    int arity;
    Compute compute; /* the value */
    Record record;   /* the value, and the partials that are wanted (a bit for each) */
} Kernel;

/* Code for the pullback of a call some of whose results have an adjoint: of the operands
   and those adjoints, it gives shares, and for some a flag, 0.0 if it is there. What is
   rolled takes its context in place of a workspace: see `_rolled.c`. */
typedef struct Pull Pull;
typedef int32_t (*Rolled)(void *context, const double *in, double *out);

struct Pull {
    Pull *next;
    int32_t (*code)(const double *in, double *out, double *workspace);
    void *context; /* of rolled code, or NULL */
    size_t results, operands, outputs, workspace;
    char *present;   /* for each result whether it has one */
    int32_t *places; /* for each operand, where its share is, and its flag; or -1 */
};

struct Row {
    PyObject_HEAD
    Vectorcall call;
    const Kernel *kernel; /* NULL: Python computes it */
    PyObject *dict, *name, *raw, *rules, *float_rules, *defaults, *fixed;
    Pull *pulls; /* see `_link` */
    int arity;
    char select, variadic;
    char joins;  /* whether it is of calls with several results */
    char doubles; /* whether it has `pull_doubles` */
    char sealed; /* whether no Value can be reached from it: then its nodes are plain ones */
    char is_dot;
    struct Lines *lines; /* of its rules, if it is of the table: see `_rules.h` */
    uint16_t number; /* in the table; OWN if it is not there: its nodes refer to it */
};

INLINE int is_own(const Row *row) { return row->number == OWN; }

#include "_power.h"

/* For each row, of its formula and rules: `compute_name`, `record_name`; and their names. */
#include "_rows.h"

#define ROWS(OF_ONE, OF_TWO, OF_THREE) \
    ROWS_OF_ONE(OF_ONE) ROWS_OF_TWO(OF_TWO) ROWS_OF_THREE(OF_THREE)

/* The numbers of these rows in the table; the others follow. */
#define NUMBER(name) ROW_##name,
enum {
    BEFORE_ROWS = LEAF,
    ROWS(NUMBER, NUMBER, NUMBER)
    AFTER_KERNELS,
    KERNELS = AFTER_KERNELS - 1,
    MOST_ROWS = 256
};

#define KERNEL_OF_ONE(name) {#name, 1, compute_##name, record_##name},
#define KERNEL_OF_TWO(name) {#name, 2, compute_##name, record_##name},
#define KERNEL_OF_THREE(name) {#name, 3, compute_##name, record_##name},
static const Kernel kernels[KERNELS] = {
    ROWS(KERNEL_OF_ONE, KERNEL_OF_TWO, KERNEL_OF_THREE)};

enum { MOST_OPERANDS = 3 }; /* of a kernel */
enum { SHORT = 64 };        /* operands that fit into a buffer on the stack */

static Row *table[MOST_ROWS]; /* once `bind` has seen them */
static unsigned bound = AFTER_KERNELS; /* the number of the next row without a kernel */

INLINE int is_component(const Node *node) { return node->row == COMPONENT; }

INLINE Node *call_of(Node *component) { return (Node *)component->edges->operand; }

INLINE size_t component_place(Node *component) { return (size_t)component->edges->partial; }

INLINE int is_call(Node *node) { return node->row == OWN && own_row(node)->joins; }

/* The results of a call lie behind its row, where other nodes end. */
INLINE double *results(Node *call) { return (double *)&call->edges[call->count + 1]; }

INLINE size_t count_results(Node *call) { return (size_t)call->edges[call->count].partial; }

INLINE size_t edges_for(size_t results) { return (results + 1) / 2; }

/* How many edges there is room for. */
INLINE size_t room_of(Node *node)
{
    if (is_leaf(node))
        return 1;
    return node->count + (node->row == OWN) +
           (is_call(node) ? edges_for(count_results(node)) : 0);
}

/* The row of a computed Value; of a component that of the call, which selects nothing. */
INLINE Row *row_of(Node *node)
{
    if (is_component(node))
        node = call_of(node);
    return node->row == OWN ? own_row(node) : table[node->row];
}

/* ---- what Python lends: see `connect` ------------------------------------------------ */

static struct Lent {
    PyObject *value;     /* the class Value of value.py */
    PyObject *primitive; /* the class Primitive of primitives.py */
    PyObject *number;    /* (x, operation[, argument]) -> float, or an error */
    PyObject *operand;   /* (x, operation) -> float or NotImplemented */
    PyObject *record;    /* (row, args) -> Value, by the row's Python */
    PyObject *shown;     /* (node) -> None: show it to who watches */
    PyObject *watchers;  /* the dict, empty unless someone watches */
    PyObject *watching;  /* () -> who watches this thread, or None */
    PyObject *recording; /* () -> the recorder, if one watches this thread, or None */
    PyObject *unreached; /* the zero of a Value that no sweep has touched */
    PyObject *leftover;  /* in place of a number: raises when used as one */
    PyObject *current;   /* (node, operation) -> None: raises if an operand was assigned */
    PyObject *written;   /* (rule, numbers) -> how it goes, for `_rules.h`, or None */
    PyObject *hashed;    /* (Value, file) -> None: who hashes it while a thread is watched */
    PyObject *packages;  /* a tuple: what the names of the engine's own files begin with */
    PyObject *slopes;    /* (call, place) -> the partials of a component */
    PyObject *topological; /* `topological` by what components show, without their calls */
} python;

static int watched;      /* whether `watchers` holds a block: see `watch` */
static size_t leftovers; /* nodes whose number a trace has taken when it ended */
static int alert;        /* whether either is so: a new node needs a closer look */

static void set_alert(void) { alert = watched || leftovers; }

static int connected(void)
{
    if (python.value)
        return 1;
    PyErr_SetString(PyExc_RuntimeError,
                    "autograd._value: it must be imported by autograd.value, but was "
                    "not; write 'import autograd'");
    return 0;
}

static int is_leftover(PyObject *x)
{
    return is_value(x) && ((Node *)x)->traits & LEFTOVER;
}

/* Raise for a Value that has no number any more. */
static PyObject *refuse_leftover(void) { return PyNumber_Float(python.leftover); }

/* Whether someone watches this thread; blocks that are over are forgotten. */
static int is_watched(void)
{
    PyObject *watcher = PyObject_CallFunctionObjArgs(python.watching, NULL);
    int is = watcher ? watcher != Py_None : -1;
    Py_XDECREF(watcher);
    return is;
}

#include "_watched.h"

/* Show a new node to who watches this thread. */
static int show(Node *node)
{
    Recorder *recorder = recorder_here();
    PyObject *done;
    if (recorder) {
        int failed = see_node(recorder, node);
        Py_DECREF((PyObject *)recorder);
        return failed;
    }
    if (PyErr_Occurred())
        return -1;
    done = PyObject_CallFunctionObjArgs(python.shown, (PyObject *)node, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* A new node of nothing left over, once it was shown. */
static PyObject *inspected(Node *node)
{
    PyObject *done = Py_None;
    for (uint32_t i = 0; leftovers && done && i < node->count; i++)
        if (is_leftover(node->edges[i].operand))
            done = refuse_leftover();
    if (!done || (watched && show(node) < 0))
        Py_CLEAR(node);
    return (PyObject *)node;
}

/* The last step of recording: track it, look at it if there is reason to. */
INLINE PyObject *made(Node *node)
{
    if (is_foreign((PyObject *)node))
        PyObject_GC_Track(node);
    return alert ? inspected(node) : (PyObject *)node;
}

/* Call the Python definition of a method that C stands in for. */
static PyObject *by_reference(const char *method, PyObject *self, PyObject *argument)
{
    PyObject *result, *function = PyObject_GetAttrString(python.value, method);
    if (!function)
        return NULL;
    result = PyObject_CallFunctionObjArgs(function, self, argument, NULL);
    Py_DECREF(function);
    return result;
}

/* ---- recording ----------------------------------------------------------------------- */

/* To allocate a foreign node may start a collection, and so run any Python: whatever is
   used afterwards is held before. Other nodes are allocated without. */

/* What is not finite is a result like any other: NumPy, which looks at the processor's
   flags after it has called here for each item of an array, has nothing to warn of. */
INLINE void keep_quiet(double z)
{
    if (!isfinite(z))
        feclearexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
}

static PyObject *record_one(Row *row, Record record, Node *x)
{
    double partial, z = record(&x->data, &partial, 1u);
    Node *node;
    keep_quiet(z);
    keep_quiet(partial);
    Py_INCREF((PyObject *)x);
    node = new_node(row->number, 1, x->traits & FOREIGN);
    if (!node) {
        Py_DECREF((PyObject *)x);
        return NULL;
    }
    node->data = z;
    set_edge(node, 0, (PyObject *)x, partial, row->select);
    return made(node);
}

/* For operators, none of which selects: one of the operands may be a float. */
INLINE PyObject *record_two(unsigned row, Record record, PyObject *a, PyObject *b,
                            int a_is, int b_is)
{
    double args[2] = {a_is ? ((Node *)a)->data : PyFloat_AsDouble(a),
                      b_is ? ((Node *)b)->data : PyFloat_AsDouble(b)};
    double partials[2], z = record(args, partials, (unsigned)(a_is | b_is << 1));
    int foreign = (a_is && is_foreign(a)) || (b_is && is_foreign(b));
    Node *node;
    keep_quiet(z);
    Py_INCREF(a);
    Py_INCREF(b);
    node = new_node(row, 2, foreign);
    if (!node) {
        Py_DECREF(a);
        Py_DECREF(b);
        return NULL;
    }
    node->data = z;
    set_operand(node, 0, a, partials[0], a_is);
    set_operand(node, 1, b, partials[1], b_is);
    return made(node);
}

/* The operands' nature: a bit for each Value, and whether one is foreign. */
static unsigned survey(PyObject *const *args, size_t n, int *foreign)
{
    unsigned values = 0;
    for (size_t i = 0; i < n; i++)
        if (is_value(args[i])) {
            values |= 1u << (i < 31 ? i : 31);
            *foreign |= is_foreign(args[i]);
        }
    return values;
}

/* Whoever calls it holds the operands. */
static PyObject *record_kernel(Row *row, PyObject *const *args)
{
    size_t n = (size_t)row->kernel->arity;
    double numbers[MOST_OPERANDS], partials[MOST_OPERANDS];
    int foreign = 0;
    unsigned values = survey(args, n, &foreign);
    for (size_t i = 0; i < n; i++)
        numbers[i] = number_of(args[i]);
    if (!values)
        return PyFloat_FromDouble(row->kernel->compute(numbers));
    double z = row->kernel->record(numbers, partials, values);
    Node *node = new_node(row->number, n, foreign);
    if (!node)
        return NULL;
    node->data = z;
    for (size_t i = 0; i < n; i++) {
        Py_INCREF(args[i]);
        set_edge(node, i, args[i], partials[i], row->select);
    }
    return made(node);
}

/* Σ xᵢ yᵢ as one node; the operands are x₁ … xₙ y₁ … yₙ, as in primitives.py. */
static PyObject *record_dot(Row *row, PyObject *const *args, size_t n, int foreign)
{
    size_t half = n / 2;
    double z = 0.0;
    Node *node = new_node(row->number, n, foreign);
    if (!node)
        return NULL;
    for (size_t i = 0; i < half; i++) {
        PyObject *a = args[i], *b = args[half + i];
        int a_is = is_value(a), b_is = is_value(b);
        double x = a_is ? ((Node *)a)->data : PyFloat_AsDouble(a);
        double y = b_is ? ((Node *)b)->data : PyFloat_AsDouble(b);
        z += x * y;
        Py_INCREF(a);
        Py_INCREF(b);
        set_operand(node, i, a, y, a_is);
        set_operand(node, half + i, b, x, b_is);
    }
    node->data = z;
    return made(node);
}

static PyObject *compute_dot(PyObject *const *args, size_t n)
{
    double z = 0.0;
    for (size_t i = 0; i < n / 2; i++)
        z += PyFloat_AsDouble(args[i]) * PyFloat_AsDouble(args[n / 2 + i]);
    return PyFloat_FromDouble(z);
}

/* ---- rows that Python computes --------------------------------------------------------- */

static PyObject *tuple_of(PyObject *first, PyObject *const *items, size_t n)
{
    size_t k = first ? 1 : 0;
    PyObject *tuple = PyTuple_New((Py_ssize_t)(n + k));
    if (!tuple)
        return NULL;
    if (first) {
        Py_INCREF(first);
        PyTuple_SetItem(tuple, 0, first);
    }
    for (size_t i = 0; i < n; i++) {
        Py_INCREF(items[i]);
        PyTuple_SetItem(tuple, (Py_ssize_t)(i + k), items[i]);
    }
    return tuple;
}

/* (z, numbers of args…) or, without z, (numbers of args…) */
static PyObject *numbers_of(PyObject *z, PyObject *args)
{
    Py_ssize_t n = PyTuple_Size(args), k = z ? 1 : 0;
    PyObject *numbers = PyTuple_New(n + k);
    if (!numbers)
        return NULL;
    if (z) {
        Py_INCREF(z);
        PyTuple_SetItem(numbers, 0, z);
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *arg = PyTuple_GetItem(args, i);
        PyObject *x = is_leftover(arg) ? refuse_leftover()
                                       : PyFloat_FromDouble(number_of(arg));
        if (!x) {
            Py_DECREF(numbers);
            return NULL;
        }
        PyTuple_SetItem(numbers, i + k, x);
    }
    return numbers;
}

static PyObject *exact_float(PyObject *x)
{
    if (x && !PyFloat_CheckExact(x)) {
        Py_DECREF(x);
        PyErr_SetString(PyExc_TypeError, "not a float");
        return NULL;
    }
    return x;
}

/* Call the rule at that place; an error if there is none. */
static PyObject *call_rule(PyObject *rules, Py_ssize_t i, PyObject *args)
{
    PyObject *rule = PyTuple_GetItem(rules, i), *result;
    if (!rule)
        return NULL;
    Py_INCREF(rule);
    result = PyObject_Call(rule, args, NULL);
    Py_DECREF(rule);
    return result;
}

/* Append an item, whose reference this takes over; -1 if there is none. */
static int append(PyObject *list, PyObject *new)
{
    int failed = new ? PyList_Append(list, new) : -1;
    Py_XDECREF(new);
    return failed;
}

/* The list as a tuple, or NULL if it failed to fill; takes over the list. */
static PyObject *finished(PyObject *list, int failed)
{
    PyObject *tuple = failed ? NULL : PyList_AsTuple(list);
    Py_DECREF(list);
    return tuple;
}

/* All partials by the one rule of a variadic row. */
static PyObject *call_only_rule(PyObject *rules, PyObject *args)
{
    PyObject *found = call_rule(rules, 0, args);
    PyObject *partials = found ? PySequence_Tuple(found) : NULL;
    Py_XDECREF(found);
    return partials;
}

/* The partials by the row's float rules, a tuple; 0.0 for plain numbers. */
static PyObject *partials_of(PyObject *rules, int variadic, PyObject *z, PyObject *args)
{
    PyObject *operands = numbers_of(z, args), *partials;
    Py_ssize_t n = PyTuple_Size(args);
    if (!operands)
        return NULL;
    if (variadic) {
        partials = call_only_rule(rules, operands);
    } else if ((partials = PyList_New(0))) {
        int failed = 0;
        for (Py_ssize_t i = 0; !failed && i < n; i++)
            failed = append(partials, is_value(PyTuple_GetItem(args, i))
                                          ? call_rule(rules, i, operands)
                                          : PyFloat_FromDouble(0.0));
        partials = finished(partials, failed);
    }
    Py_DECREF(operands);
    return partials;
}

static Node *node_from(Row *row, double z, PyObject *args, PyObject *partials)
{
    size_t n = (size_t)PyTuple_Size(args);
    int foreign = is_own(row);
    Node *node;
    for (size_t i = 0; i < n; i++) {
        PyObject *arg = PyTuple_GetItem(args, (Py_ssize_t)i);
        if (is_value(arg))
            foreign |= is_foreign(arg);
    }
    node = new_node(row->number, n, foreign);
    if (!node)
        return NULL;
    node->data = z;
    if (is_own(row)) {
        Py_INCREF((PyObject *)row);
        node->edges[n].operand = (PyObject *)row;
    }
    for (size_t i = 0; i < n; i++) {
        PyObject *arg = PyTuple_GetItem(args, (Py_ssize_t)i);
        PyObject *partial = PyTuple_GetItem(partials, (Py_ssize_t)i);
        double d = partial == Py_None ? 0.0 : PyFloat_AsDouble(partial);
        Py_INCREF(arg);
        set_edge(node, i, arg, d, row->select || partial == Py_None);
    }
    return node;
}

static int all_floats(PyObject *tuple)
{
    Py_ssize_t n = PyTuple_Size(tuple);
    for (Py_ssize_t i = 0; i < n; i++)
        if (!PyFloat_CheckExact(PyTuple_GetItem(tuple, i)))
            return 0;
    return 1;
}

static PyObject *record_with(Row *row, PyObject *raw, PyObject *rules, PyObject *args)
{
    PyObject *numbers = numbers_of(NULL, args), *z, *partials = NULL, *result = NULL;
    if (!numbers)
        return NULL;
    z = exact_float(PyObject_Call(raw, numbers, NULL));
    Py_DECREF(numbers);
    if (z && (partials = partials_of(rules, row->variadic, z, args)) &&
        all_floats(partials) && PyTuple_Size(partials) == PyTuple_Size(args)) {
        Node *node = node_from(row, PyFloat_AsDouble(z), args, partials);
        result = node ? made(node) : NULL;
    }
    Py_XDECREF(z);
    Py_XDECREF(partials);
    return result;
}

/* By the row's raw function and float rules, which may take the row apart meanwhile; NULL
   where they raise or give something else than floats. */
static PyObject *record_plainly(Row *row, PyObject *args)
{
    PyObject *raw = row->raw, *rules = row->float_rules, *result;
    if (!raw || !rules || !PyTuple_Check(rules))
        return NULL;
    if (Py_TYPE((PyObject *)row) != RowType) /* a subclass, with ways of its own */
        return NULL;
    Py_INCREF(raw);
    Py_INCREF(rules);
    result = record_with(row, raw, rules, args);
    Py_DECREF(raw);
    Py_DECREF(rules);
    return result;
}

/* Errors of Python's arithmetic, and of rows that refuse a complex number. */
static int left_to_python(void)
{
    return PyErr_ExceptionMatches(PyExc_ValueError) ||
           PyErr_ExceptionMatches(PyExc_ZeroDivisionError) ||
           PyErr_ExceptionMatches(PyExc_OverflowError) ||
           PyErr_ExceptionMatches(PyExc_TypeError);
}

/* Any row on a tuple of Values and floats. Where Python's arithmetic raises, `_record` of
   value.py knows what IEEE 754 says. */
static PyObject *record_general(Row *row, PyObject *args)
{
    PyObject *result = record_plainly(row, args);
    if (result)
        return result;
    if (PyErr_Occurred()) {
        if (!left_to_python())
            return NULL;
        PyErr_Clear();
    }
    return PyObject_CallFunctionObjArgs(python.record, (PyObject *)row, args, NULL);
}

/* Any row on a tuple of Values and floats, at least one of them a Value. */
static PyObject *record_tuple(Row *row, PyObject *args)
{
    PyObject *buffer[SHORT];
    size_t n = (size_t)PyTuple_Size(args);
    if (n > SHORT || !(row->kernel || row->is_dot))
        return record_general(row, args);
    for (size_t i = 0; i < n; i++)
        buffer[i] = PyTuple_GetItem(args, (Py_ssize_t)i);
    if (row->kernel && n == (size_t)row->kernel->arity)
        return record_kernel(row, buffer);
    if (row->is_dot && n % 2 == 0) {
        int foreign = 0;
        (void)survey(buffer, n, &foreign);
        return record_dot(row, buffer, n, foreign);
    }
    return record_general(row, args);
}

/* ---- several results of one call -------------------------------------------------------- */

/* A call of that row, whose operands and results are to be set before it is tracked. */
static Node *new_empty_call(Row *row, size_t n, size_t k, int foreign)
{
    Node *call = new_large_node(OWN, n, edges_for(k), foreign || !row->sealed);
    if (!call)
        return NULL;
    call->data = NAN;
    Py_INCREF((PyObject *)row);
    call->edges[n].operand = (PyObject *)row;
    call->edges[n].partial = (double)k;
    return call;
}

static int refuse_operand(PyObject *x)
{
    if (is_leftover(x))
        refuse_leftover();
    else
        PyErr_SetString(PyExc_TypeError,
                        "_components: operands must be Values and floats");
    return 0;
}

/* Whether they are Values and floats; and whether one is foreign. */
static int are_operands(PyObject *args, int *foreign)
{
    Py_ssize_t n = PyTuple_Size(args);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *x = PyTuple_GetItem(args, i);
        if (is_value(x) && !is_leftover(x))
            *foreign |= is_foreign(x);
        else if (!PyFloat_CheckExact(x))
            return refuse_operand(x);
    }
    return 1;
}

/* Whether it is a tuple, or doubles as bytes, which have an address; and how many. */
static const double *doubles_in(PyObject *ys, size_t *count)
{
    if (PyTuple_Check(ys)) {
        *count = (size_t)PyTuple_Size(ys);
        return NULL;
    }
    *count = (size_t)PyBytes_Size(ys) / sizeof(double);
    return (const double *)(const void *)PyBytes_AsString(ys);
}

/* A call on these operands; without a point, at the numbers they have. */
static Node *new_call(Row *row, PyObject *ys, PyObject *args, PyObject *point)
{
    size_t n = (size_t)PyTuple_Size(args), k;
    const double *known = doubles_in(ys, &k);
    int foreign = 0;
    Node *call;
    if (!are_operands(args, &foreign))
        return NULL;
    if (!(call = new_empty_call(row, n, k, foreign)))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        PyObject *arg = PyTuple_GetItem(args, (Py_ssize_t)i);
        PyObject *x = point ? PyTuple_GetItem(point, (Py_ssize_t)i) : arg;
        Py_INCREF(arg);
        set_operand(call, i, arg, x == Py_None ? 0.0 : number_of(x),
                    is_value(arg) && x != Py_None);
    }
    for (size_t i = 0; i < k; i++)
        results(call)[i] =
            known ? known[i] : PyFloat_AsDouble(PyTuple_GetItem(ys, (Py_ssize_t)i));
    if (is_foreign((PyObject *)call))
        PyObject_GC_Track((PyObject *)call);
    return call;
}

static int components_made; /* whether there has been one in this process */

static PyObject *new_component(Node *call, size_t place)
{
    Node *node = new_node(COMPONENT, 1, is_foreign((PyObject *)call));
    if (!node)
        return NULL;
    components_made = 1;
    node->data = results(call)[place];
    Py_INCREF((PyObject *)call);
    set_operand(node, 0, (PyObject *)call, (double)place, 1);
    return made(node);
}

/* The components of a call that nobody holds yet: a list. */
static PyObject *all_components(Node *call)
{
    Py_ssize_t k = (Py_ssize_t)count_results(call);
    PyObject *list = PyList_New(k);
    for (Py_ssize_t i = 0; list && i < k; i++) {
        PyObject *component = new_component(call, (size_t)i);
        if (!component || PyList_SetItem(list, i, component) < 0)
            Py_CLEAR(list);
    }
    Py_DECREF((PyObject *)call);
    return list;
}

/* For `_call.c`: the results of a call on operands that it takes over. NULL stands for a
   plain number. */
static PyObject *make_components(PyObject *row, const double *ys, size_t k,
                                 PyObject **operands, const double *numbers, size_t n)
{
    Node *call;
    int foreign = 0;
    for (size_t i = 0; i < n; i++) {
        if (!operands[i] && !(operands[i] = PyFloat_FromDouble(numbers[i])))
            return NULL;
        foreign |= is_value(operands[i]) && is_foreign(operands[i]);
    }
    if (!(call = new_empty_call((Row *)row, n, k, foreign)))
        return NULL;
    for (size_t i = 0; i < n; i++) {
        set_operand(call, i, operands[i], numbers[i], is_value(operands[i]));
        operands[i] = NULL;
    }
    memcpy(results(call), ys, k * sizeof *ys);
    if (is_foreign((PyObject *)call))
        PyObject_GC_Track((PyObject *)call);
    return all_components(call);
}

static int are_numbers(PyObject *ys)
{
    if (PyBytes_Check(ys) || (PyTuple_Check(ys) && all_floats(ys)))
        return 1;
    PyErr_SetString(PyExc_TypeError, "_components: results must be floats in a tuple, or "
                                     "doubles in bytes");
    return 0;
}

/* _components(row, ys, args): the results of a call, which holds the operands; their
   numbers are floats in a tuple, or doubles in bytes. */
static PyObject *components(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *row, *ys, *args;
    Node *call;
    if (!connected() ||
        !PyArg_ParseTuple(given, "O!OO!:_components", RowType, &row, &ys, &PyTuple_Type,
                          &args) ||
        !are_numbers(ys) || !(call = new_call((Row *)row, ys, args, NULL)))
        return NULL;
    return all_components(call);
}

/* _call_node(row, ys, args, point) */
static PyObject *call_node(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *row, *ys, *args, *point;
    if (!connected() ||
        !PyArg_ParseTuple(given, "O!O!O!O!:_call_node", RowType, &row, &PyTuple_Type, &ys,
                          &PyTuple_Type, &args, &PyTuple_Type, &point) ||
        !are_numbers(ys))
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_Size(args); i++) {
        PyObject *x = PyTuple_GetItem(point, i);
        if (!x || !(x == Py_None || PyFloat_CheckExact(x))) {
            PyErr_SetString(PyExc_TypeError, "_call_node: it needs a number or None for "
                                             "each operand");
            return NULL;
        }
    }
    return (PyObject *)new_call((Row *)row, ys, args, point);
}

/* _component(call, place) */
static PyObject *component(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *call;
    Py_ssize_t place;
    if (!connected() ||
        !PyArg_ParseTuple(given, "O!n:_component", ValueType, &call, &place))
        return NULL;
    if (is_leftover(call))
        return refuse_leftover();
    if (!is_call((Node *)call) || place < 0 ||
        (size_t)place >= count_results((Node *)call)) {
        PyErr_SetString(PyExc_IndexError, "_component: it must be a result of a call");
        return NULL;
    }
    return new_component((Node *)call, (size_t)place);
}

/* ---- operators ------------------------------------------------------------------------- */

/* The floats of small whole numbers, which are common operands. */
enum { LEAST = -5, GREATEST = 256 };
static PyObject *small_floats[GREATEST - LEAST + 1];

static int make_small_floats(void)
{
    for (int i = LEAST; i <= GREATEST; i++)
        if (!(small_floats[i - LEAST] = PyFloat_FromDouble(i)))
            return -1;
    return 0;
}

/* The operand as a float; NotImplemented if it is an array that should go first. */
static PyObject *operand(PyObject *x, Row *row)
{
    if (PyLong_CheckExact(x)) {
        int overflow;
        long whole = PyLong_AsLongAndOverflow(x, &overflow);
        double number;
        if (!overflow && LEAST <= whole && whole <= GREATEST) {
            Py_INCREF(small_floats[whole - LEAST]);
            return small_floats[whole - LEAST];
        }
        number = PyLong_AsDouble(x);
        if (number != -1.0 || !PyErr_Occurred())
            return PyFloat_FromDouble(number);
        PyErr_Clear();
    }
    return PyObject_CallFunctionObjArgs(python.operand, x, row->name, NULL);
}

/* An operator of a Value and what is neither a Value nor a float. */
INLINE PyObject *binary_odd(unsigned row, Record record, PyObject *a, PyObject *b)
{
    int left = is_value(a);
    PyObject *value = left ? a : b, *result, *x;
    Py_INCREF(value); /* the arrays of NumPy lend it, and may lose it while Python runs */
    x = operand(left ? b : a, table[row]);
    if (x != Py_NotImplemented)
        x = exact_float(x);
    if (!x || x == Py_NotImplemented)
        result = x;
    else {
        result = left ? record_two(row, record, a, x, 1, 0)
                      : record_two(row, record, x, b, 0, 1);
        Py_DECREF(x);
    }
    Py_DECREF(value);
    return result;
}

#define OPERATOR(name) \
    static PyObject *operator_##name(PyObject *a, PyObject *b) \
    { \
        if (is_value(a) && is_value(b)) \
            return record_two(ROW_##name, record_##name, a, b, 1, 1); \
        if (PyFloat_CheckExact(b)) \
            return record_two(ROW_##name, record_##name, a, b, 1, 0); \
        if (PyFloat_CheckExact(a)) \
            return record_two(ROW_##name, record_##name, a, b, 0, 1); \
        return binary_odd(ROW_##name, record_##name, a, b); \
    }

OPERATOR(add)
OPERATOR(sub)
OPERATOR(mul)
OPERATOR(div)
OPERATOR(mod)
OPERATOR(pow)

static PyObject *operator_power(PyObject *a, PyObject *b, PyObject *modulus)
{
    if (modulus != Py_None && !is_value(a))
        Py_RETURN_NOTIMPLEMENTED;
    if (modulus != Py_None) {
        PyErr_SetString(PyExc_TypeError,
                        "pow: modulus must be left out, but is given; write "
                        "pow(x, y) % modulus");
        return NULL;
    }
    return operator_pow(a, b);
}

#define METHOD(name) \
    static PyObject *method_##name(PyObject *self, PyObject *Py_UNUSED(ignored)) \
    { \
        return record_one(table[ROW_##name], record_##name, (Node *)self); \
    }

ROWS_OF_ONE(METHOD)

static PyObject *operator_negative(PyObject *self) { return method_neg(self, NULL); }
static PyObject *operator_absolute(PyObject *self) { return method_abs(self, NULL); }

static PyObject *operator_positive(PyObject *self)
{
    Py_INCREF(self);
    return self;
}

/* What a method of Value, or of a recorder, says of its truth; takes over the answer. */
static int truth_in(PyObject *answer)
{
    int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

/* A truth that a recorder may have to guard. */
static int recorded_bool(PyObject *self)
{
    Recorder *recorder = is_leftover(self) ? NULL : recorder_here();
    int truth;
    if (!recorder)
        return PyErr_Occurred() ? -1 : truth_in(by_reference("__bool__", self, NULL));
    truth = follows(recorder, self);
    if (truth == 0)
        truth = ((Node *)self)->data != 0.0;
    else if (truth > 0)
        truth = truth_in(PyObject_CallMethod((PyObject *)recorder, "decide", "O", self));
    Py_DECREF((PyObject *)recorder);
    return truth;
}

static int operator_bool(PyObject *self)
{
    if (watched || is_leftover(self))
        return recorded_bool(self);
    return ((Node *)self)->data != 0.0;
}

static int holds(double x, double y, int operator)
{
    switch (operator) {
    case Py_LT: return x < y;
    case Py_LE: return x <= y;
    case Py_EQ: return x == y;
    case Py_NE: return x != y;
    case Py_GT: return x > y;
    default: return x >= y;
    }
}

/* A Value, a float, or a whole number as one; NULL without an error for anything else. */
static PyObject *as_plain(PyObject *x)
{
    double number;
    if (is_plain(x)) {
        Py_INCREF(x);
        return x;
    }
    if (!PyLong_CheckExact(x))
        return NULL;
    number = PyLong_AsDouble(x);
    if (number != -1.0 || !PyErr_Occurred())
        return PyFloat_FromDouble(number);
    PyErr_Clear();
    return NULL;
}

/* A comparison of what a recorder follows: `_compared` of value.py. NULL without an error
   where it follows neither. */
static PyObject *recorded_truth(Recorder *recorder, PyObject *self, PyObject *other,
                                int operator)
{
    static const unsigned rows[] = {ROW_less,      ROW_less_equal, ROW_equal,
                                    ROW_not_equal, ROW_greater,    ROW_greater_equal};
    PyObject *args[2] = {self, other}, *node, *truth;
    int left = follows(recorder, self), right = left < 0 ? -1 : follows(recorder, other);
    if (right < 0 || !(left || right))
        return NULL;
    node = record_kernel(table[rows[operator]], args);
    truth = node ? truth_of(recorder, node) : NULL;
    Py_XDECREF(node);
    return truth;
}

/* While a thread is watched, or where an operand is left over. */
static PyObject *compare_watched(PyObject *self, PyObject *other, int operator)
{
    static const char *const methods[] = {"__lt__", "__le__", "__eq__",
                                          "__ne__", "__gt__", "__ge__"};
    PyObject *y = is_leftover(self) || is_leftover(other) ? NULL : as_plain(other);
    Recorder *recorder = y ? recorder_here() : NULL;
    PyObject *truth = recorder ? recorded_truth(recorder, self, y, operator) : NULL;
    Py_XDECREF((PyObject *)recorder);
    Py_XDECREF(y);
    return truth || PyErr_Occurred() ? truth : by_reference(methods[operator], self, other);
}

static PyObject *compare(PyObject *self, PyObject *other, int operator)
{
    PyObject *x, *result;
    if (watched || is_leftover(self) || is_leftover(other))
        return compare_watched(self, other, operator);
    if (is_plain(other))
        return PyBool_FromLong(holds(number_of(self), number_of(other), operator));
    x = PyFloat_FromDouble(((Node *)self)->data);
    if (!x)
        return NULL;
    result = PyObject_RichCompare(x, other, operator);
    Py_DECREF(x);
    return result;
}

/* ---- calling a row ----------------------------------------------------------------------- */

static PyObject *call_reference(Row *row, PyObject *const *args, size_t n,
                                PyObject *keywords)
{
    PyObject *function, *positional, *result = NULL;
    if (!connected())
        return NULL;
    if (keywords && PyTuple_Size(keywords) > 0) {
        PyErr_Format(PyExc_TypeError,
                     "%.40S: operands must be given by position, but one has the name "
                     "%.60R; leave out the name",
                     row->name, PyTuple_GetItem(keywords, 0));
        return NULL;
    }
    function = PyObject_GetAttrString(python.primitive, "__call__");
    positional = function ? tuple_of((PyObject *)row, args, n) : NULL;
    if (positional)
        result = PyObject_Call(function, positional, NULL);
    Py_XDECREF(function);
    Py_XDECREF(positional);
    return result;
}

static int all_plain(PyObject *const *args, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_plain(args[i]))
            return 0;
    return 1;
}

/* What the items of a list or tuple are, all in one: they are written to `items`. */
enum { VALUES = 1, FOREIGN_ONES = 2, ODD_ONES = 4 };

static int unpack(PyObject *sequence, Py_ssize_t n, PyObject **items)
{
    int is_list = PyList_CheckExact(sequence), found = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *x = is_list ? PyList_GetItem(sequence, i) : PyTuple_GetItem(sequence, i);
        items[i] = x;
        if (is_value(x))
            found |= is_foreign(x) ? VALUES | FOREIGN_ONES : VALUES;
        else if (!PyFloat_CheckExact(x))
            found |= ODD_ONES;
    }
    return found;
}

static Py_ssize_t length_of(PyObject *x)
{
    return PyList_CheckExact(x) ? PyList_Size(x) : PyTuple_CheckExact(x) ? PyTuple_Size(x) : -1;
}

/* dot(xs, ys) of two lists or tuples of one length, all of it Values and floats; NULL
   without an error for anything else. */
static PyObject *call_dot(Row *row, PyObject *xs, PyObject *ys)
{
    PyObject *buffer[SHORT], **operands = buffer, *result = NULL;
    Py_ssize_t n = length_of(xs);
    int found;
    if (n < 0 || n != length_of(ys))
        return NULL;
    if (2 * n > SHORT) {
        operands = PyMem_Malloc((size_t)(2 * n) * sizeof *operands);
        if (!operands)
            return PyErr_NoMemory();
    }
    found = unpack(xs, n, operands) | unpack(ys, n, operands + n);
    if (found == VALUES) /* with foreign ones a collection might empty the lists meanwhile */
        result = record_dot(row, operands, (size_t)(2 * n), 0);
    else if (!found)
        result = compute_dot(operands, (size_t)(2 * n));
    if (operands != buffer)
        PyMem_Free(operands);
    return result;
}

/* row(x, y) where the row has three operands and a default for the last. */
static PyObject *call_completed(Row *row, PyObject *const *args, size_t n)
{
    PyObject *completed[MOST_OPERANDS], *defaults = row->defaults, *result = NULL;
    size_t arity = (size_t)row->kernel->arity, missing = arity - n;
    size_t known = defaults && PyTuple_Check(defaults) ? (size_t)PyTuple_Size(defaults) : 0;
    if (missing > known || !all_plain(args, n))
        return NULL;
    Py_INCREF(defaults); /* the row may get others meanwhile */
    memcpy(completed, args, n * sizeof *args);
    for (size_t i = n; i < arity; i++)
        completed[i] = PyTuple_GetItem(defaults, (Py_ssize_t)(known - arity + i));
    if (all_plain(completed, arity))
        result = record_kernel(row, completed);
    Py_DECREF(defaults);
    return result;
}

/* Of a row with a kernel, with whole numbers and truths among its operands; NULL without
   an error where anything else is, or a number is too large. */
static PyObject *call_with_whole(Row *row, PyObject *const *args, size_t n)
{
    PyObject *floats[MOST_OPERANDS], *result = NULL;
    size_t known = 0;
    for (; known < n; known++) {
        PyObject *x = args[known];
        if (is_plain(x)) {
            Py_INCREF(x);
            floats[known] = x;
        } else if (PyLong_CheckExact(x) || PyBool_Check(x)) {
            double number = PyLong_AsDouble(x);
            if (number == -1.0 && PyErr_Occurred()) {
                PyErr_Clear();
                break;
            }
            if (!(floats[known] = PyFloat_FromDouble(number)))
                break;
        } else
            break;
    }
    if (known == n)
        result = record_kernel(row, floats);
    while (known)
        Py_DECREF(floats[--known]);
    return result;
}

static PyObject *row_call(PyObject *self, PyObject *const *args, size_t flagged,
                          PyObject *keywords)
{
    Row *row = (Row *)self;
    size_t n = flagged & (SIZE_MAX >> 1); /* the top bit is PY_VECTORCALL_ARGUMENTS_OFFSET */
    PyObject *result = NULL;
    if (keywords)
        return call_reference(row, args, n, keywords);
    if (row->kernel) {
        size_t arity = (size_t)row->kernel->arity;
        if (n == arity && all_plain(args, n))
            return n == 1 && is_value(args[0])
                       ? record_one(row, row->kernel->record, (Node *)args[0])
                       : record_kernel(row, args);
        if (n == arity)
            result = call_with_whole(row, args, n);
        else if (0 < n && n < arity)
            result = call_completed(row, args, n);
    } else if (row->is_dot && n == 2) {
        result = call_dot(row, args[0], args[1]);
    } else if (!row->variadic && n == (size_t)row->arity && all_plain(args, n)) {
        int foreign = 0;
        PyObject *tuple = survey(args, n, &foreign) ? tuple_of(NULL, args, n) : NULL;
        result = tuple ? record_general(row, tuple) : NULL;
        Py_XDECREF(tuple);
    }
    if (result || PyErr_Occurred())
        return result;
    return call_reference(row, args, n, NULL);
}

/* row.derivatives(z, *args, wanted=None): the rules, run on floats or Values; NULL without
   an error where Python should look at what they gave. */
static PyObject *run_rules(PyObject *rules, int variadic, PyObject *args, PyObject *wanted)
{
    Py_ssize_t n = PyTuple_Size(args) - 1;
    PyObject *partials;
    if ((!variadic && n != PyTuple_Size(rules)) || (wanted && PySequence_Size(wanted) != n))
        return NULL;
    if (variadic) {
        partials = call_only_rule(rules, args);
    } else if ((partials = PyList_New(0))) {
        int failed = 0;
        for (Py_ssize_t i = 0; !failed && i < n; i++) {
            PyObject *use = wanted ? PySequence_GetItem(wanted, i) : NULL;
            int skip = use ? PyObject_Not(use) : wanted ? -1 : 0;
            Py_XDECREF(use);
            failed = skip < 0 ? -1
                              : append(partials, skip ? PyFloat_FromDouble(0.0)
                                                      : call_rule(rules, i, args));
        }
        partials = finished(partials, failed);
    }
    if (partials && PyTuple_Size(partials) != n)
        Py_CLEAR(partials);
    for (Py_ssize_t i = 0; partials && i < n; i++)
        if (!is_plain(PyTuple_GetItem(partials, i)))
            Py_CLEAR(partials);
    return partials;
}

static PyObject *try_rules(Row *row, PyObject *args, PyObject *wanted)
{
    PyObject *z = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : NULL, *partials;
    PyObject *rules = z && PyFloat_CheckExact(z) ? row->float_rules : row->rules;
    if (!z || !is_plain(z) || !rules || !PyTuple_Check(rules))
        return NULL;
    Py_INCREF(rules);
    partials = run_rules(rules, row->variadic, args, wanted);
    Py_DECREF(rules);
    return partials;
}

static PyObject *call_by_reference(const char *method, PyObject *self, PyObject *args,
                                   PyObject *keywords);

static PyObject *row_derivatives(PyObject *self, PyObject *args, PyObject *keywords)
{
    PyObject *wanted = keywords ? PyDict_GetItemString(keywords, "wanted") : NULL;
    PyObject *partials = NULL;
    if (wanted == Py_None)
        wanted = NULL;
    Py_XINCREF(wanted);
    if (!keywords || (wanted && PyDict_Size(keywords) == 1))
        partials = try_rules((Row *)self, args, wanted);
    Py_XDECREF(wanted);
    if (partials)
        return partials;
    if (PyErr_Occurred()) {
        if (!left_to_python())
            return NULL;
        PyErr_Clear();
    }
    return call_by_reference("derivatives", self, args, keywords);
}

/* Without vectorcall, as in a subclass before 3.12. */
static PyObject *row_tp_call(PyObject *self, PyObject *args, PyObject *keywords)
{
    return call_by_reference("__call__", self, args, keywords);
}

static PyObject *call_by_reference(const char *method, PyObject *self, PyObject *args,
                                   PyObject *keywords)
{
    PyObject *function, *positional, *result = NULL;
    Py_ssize_t n = PyTuple_Size(args);
    if (!connected())
        return NULL;
    function = PyObject_GetAttrString(python.primitive, method);
    positional = function ? PyTuple_New(n + 1) : NULL;
    if (positional) {
        Py_INCREF(self);
        PyTuple_SetItem(positional, 0, self);
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *arg = PyTuple_GetItem(args, i);
            Py_INCREF(arg);
            PyTuple_SetItem(positional, i + 1, arg);
        }
        result = PyObject_Call(function, positional, keywords);
        Py_DECREF(positional);
    }
    Py_XDECREF(function);
    return result;
}

/* The operand itself, or as a float. */
static PyObject *plain(PyObject *x, Row *row)
{
    if (!is_plain(x))
        return exact_float(PyObject_CallFunctionObjArgs(python.number, x, row->name, NULL));
    Py_INCREF(x);
    return x;
}

/* Value._apply(row, args): record any row on any operands, at least one a Value. */
static PyObject *value_apply(PyObject *Py_UNUSED(self), PyObject *const *given,
                             Py_ssize_t count)
{
    PyObject *args, *result = NULL;
    Row *row;
    Py_ssize_t n;
    int failed = 0;
    if (count != 2 || !PyObject_TypeCheck(given[0], RowType) || !PyTuple_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError,
                        "Value._apply: it must have a row and a tuple of operands");
        return NULL;
    }
    row = (Row *)given[0];
    n = PyTuple_Size(given[1]);
    args = PyList_New(0);
    if (!args)
        return NULL;
    for (Py_ssize_t i = 0; !failed && i < n; i++)
        failed = append(args, plain(PyTuple_GetItem(given[1], i), row));
    args = finished(args, failed);
    if (!args)
        return NULL;
    result = record_tuple(row, args);
    Py_DECREF(args);
    return result;
}

/* ---- the search and the sweep -------------------------------------------------------------- */

/* The nodes that a search has found, each marked. */
typedef struct {
    Node **nodes, **end;
    size_t count;
    int64_t first, last; /* when the oldest and the newest of them were made */
    Node *buffer[128];
} Search;

static void init_search(Search *search)
{
    search->nodes = search->buffer;
    search->end = search->buffer + sizeof search->buffer / sizeof *search->buffer;
    search->count = 0;
    search->first = INT64_MAX;
    search->last = INT64_MIN;
}

static void free_search(Search *search)
{
    if (search->nodes != search->buffer)
        PyMem_Free(search->nodes);
}

/* Whether there are calls among them; most programs never make one. */
static int has_calls(const Search *search)
{
    for (size_t i = 0; components_made && i < search->count; i++)
        if (is_component(search->nodes[i]))
            return 1;
    return 0;
}

static void unmark(Search *search)
{
    for (size_t i = 0; i < search->count; i++)
        search->nodes[i]->state &= (uint8_t)~MARKED;
}

/* Twice the room; 0 if there is no memory. */
static int grow(Search *search)
{
    size_t room = (size_t)(search->end - search->nodes);
    int moves = search->nodes == search->buffer;
    Node **more = NULL;
    if (room <= SIZE_MAX / 2 / sizeof *more)
        more = PyMem_Realloc(moves ? NULL : search->nodes, 2 * room * sizeof *more);
    if (!more)
        return 0;
    if (moves)
        memcpy(more, search->buffer, sizeof search->buffer);
    search->nodes = more;
    search->end = more + 2 * room;
    return 1;
}

INLINE int enters(const Node *node, int64_t since)
{
    return !is_leaf(node) && !(node->state & MARKED) && node->made >= since;
}

/* Find and mark what one root depends on, of what was not found before: the list is also
   the queue of what is to be looked at. On failure (no memory) nothing is marked. */
INLINE int search_from(Search *search, Node *root, int64_t since, int whole)
{
    size_t at = search->count;
    Node **found = search->nodes + at;
    int64_t first = search->first;
    if (!enters(root, since))
        return 0;
    if (found == search->end) {
        if (!grow(search))
            goto failed;
        found = search->nodes + at;
    }
    root->state |= MARKED;
    *found++ = root;
    for (; search->nodes + at < found; at++) {
        Node *node = search->nodes[at];
        Edge *edge = node->edges, *end = edge + node->count;
        if (node->made < first)
            first = node->made;
        if (node->made > search->last)
            search->last = node->made;
        for (; edge < end; edge++) {
            Node *operand = (Node *)edge->operand;
            if (left_out(edge) && !(whole && is_value(edge->operand)))
                continue;
            if (!enters(operand, since))
                continue;
            if (found == search->end) {
                search->count = (size_t)(found - search->nodes);
                if (!grow(search))
                    goto failed;
                found = search->nodes + search->count;
            }
            operand->state |= MARKED;
            *found++ = operand;
        }
    }
    search->count = (size_t)(found - search->nodes);
    search->first = first;
    return 0;
failed:
    unmark(search);
    PyErr_NoMemory();
    return -1;
}

/* What a search has found in the order in which it was made, with gaps. */
typedef struct {
    Node **nodes;
    size_t count;
    Node *buffer[256];
} Order;

static int made_before(const void *a, const void *b)
{
    int64_t x = (*(Node *const *)a)->made, y = (*(Node *const *)b)->made;
    return (x > y) - (x < y);
}

/* From the time of the first node to that of the last. */
static uint64_t span_of(const Search *search)
{
    return search->count ? (uint64_t)(search->last - search->first) + 1 : 0;
}

static int is_dense(const Search *search)
{
    return span_of(search) <= 4 * (uint64_t)search->count + 64;
}

/* Nodes of one graph were mostly made in a row, so each has its place by its time. Where
   there were many others in between, or memory is short, they are sorted. */
static void put_in_order(Search *search, Order *order)
{
    uint64_t span = span_of(search);
    int dense = is_dense(search);
    order->nodes = order->buffer;
    order->count = (size_t)span;
    if (dense && span > sizeof order->buffer / sizeof *order->buffer)
        order->nodes = PyMem_Calloc((size_t)span, sizeof *order->nodes);
    else if (dense)
        memset(order->nodes, 0, (size_t)span * sizeof *order->nodes);
    if (dense && order->nodes) {
        for (size_t i = 0; i < search->count; i++)
            order->nodes[search->nodes[i]->made - search->first] = search->nodes[i];
    } else {
        qsort(search->nodes, search->count, sizeof *search->nodes, made_before);
        order->nodes = search->nodes;
        order->count = search->count;
    }
}

static void free_order(Order *order, Search *search)
{
    if (order->nodes != order->buffer && order->nodes != search->nodes)
        PyMem_Free(order->nodes);
}

enum { AHEAD = 8 }; /* nodes between the one at hand and the one to be fetched */

/* From the latest node to the first: parent's adjoint += partial · node's adjoint. A mark
   means that the node's adjoint is still that of an earlier sweep. */
static void sweep(Node *root, Node **order, size_t count)
{
    root->grad = is_leaf(root) ? root->grad + 1.0 : 1.0;
    root->state = REACHED;
    while (count--) {
        Node *node = order[count];
        if (count >= AHEAD)
            PREFETCH(order[count - AHEAD]);
        if (!node)
            continue;
        double adjoint = node->grad;
        Edge *edge = node->edges, *end = edge + node->count;
        for (; edge < end; edge++) {
            if (left_out(edge))
                continue;
            Node *parent = (Node *)edge->operand;
            double share = edge->partial * adjoint;
            parent->grad = (parent->state & MARKED ? 0.0 : parent->grad) + share;
            parent->state = REACHED;
        }
    }
}

/* ---- a sweep through calls --------------------------------------------------------------- */

/* Their pullbacks may be Python, which may raise, or sweep meanwhile: so the adjoints have
   places of their own until the sweep is done. */

typedef struct {
    double adjoint;
    char there;
} Gathered; /* what has come to one result of a call */

typedef struct {
    Node *leaf;
    double share;
} Pending;

typedef struct {
    const Order *order;
    int64_t start;       /* when the node of the first place was made, if `by_time` */
    int by_time;         /* whether the place of a node follows from when it was made */
    double *total;       /* by place, for those that have one */
    char *has;
    Gathered **gathered; /* by place, for calls */
    Pending *pending;    /* shares of leaves, in the order they came */
    size_t used, room;
} Adjoints;

static int init_adjoints(Adjoints *bars, const Order *order, const Search *search)
{
    size_t n = order->count + 1;
    memset(bars, 0, sizeof *bars);
    bars->order = order;
    bars->start = search->first;
    bars->by_time = order->nodes != search->nodes;
    bars->total = PyMem_Malloc(n * sizeof(double));
    bars->has = PyMem_Calloc(n, 1);
    bars->gathered = PyMem_Calloc(n, sizeof(Gathered *));
    if (bars->total && bars->has && bars->gathered)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static void free_adjoints(Adjoints *bars)
{
    for (size_t i = 0; bars->gathered && i < bars->order->count; i++)
        PyMem_Free(bars->gathered[i]);
    PyMem_Free(bars->total);
    PyMem_Free(bars->has);
    PyMem_Free(bars->gathered);
    PyMem_Free(bars->pending);
}

/* The place of a node that the search has found. */
INLINE size_t place_in(const Adjoints *bars, const Node *node)
{
    size_t low = 0, high = bars->order->count;
    if (bars->by_time)
        return (size_t)(node->made - bars->start);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bars->order->nodes[middle]->made < node->made)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int more_pending(Adjoints *bars)
{
    size_t room = bars->room ? 2 * bars->room : 256;
    Pending *more = PyMem_Realloc(bars->pending, room * sizeof *more);
    if (!more) {
        PyErr_NoMemory();
        return -1;
    }
    bars->pending = more;
    bars->room = room;
    return 0;
}

INLINE int add_share(Adjoints *bars, PyObject *operand, double share)
{
    Node *node = (Node *)operand;
    size_t place;
    if (is_leaf(node)) {
        if (bars->used == bars->room && more_pending(bars) < 0)
            return -1;
        bars->pending[bars->used++] = (Pending){node, share};
        return 0;
    }
    place = place_in(bars, node);
    bars->total[place] = (bars->has[place] ? bars->total[place] : 0.0) + share;
    bars->has[place] = 1;
    return 0;
}

/* Keep the adjoint of a component until it is the call's turn. */
static int gather_at(Gathered **gathered, Node *component, double adjoint)
{
    size_t k = count_results(call_of(component));
    Gathered *to;
    if (!*gathered && !(*gathered = PyMem_Calloc(k + 1, sizeof(Gathered)))) {
        PyErr_NoMemory();
        return -1;
    }
    to = &(*gathered)[component_place(component)];
    to->adjoint = to->there ? to->adjoint + adjoint : adjoint;
    to->there = 1;
    return 0;
}

static int gather(Adjoints *bars, Node *component, double adjoint)
{
    size_t place = place_in(bars, call_of(component));
    bars->has[place] = 1;
    return gather_at(&bars->gathered[place], component, adjoint);
}

static PyObject *floats_of(const double *numbers, size_t n)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; tuple && i < n; i++) {
        PyObject *x = PyFloat_FromDouble(numbers[i]);
        if (!x || PyTuple_SetItem(tuple, (Py_ssize_t)i, x) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* The operands of a call as they were. */
static PyObject *point_of(Node *call)
{
    PyObject *tuple = PyTuple_New(call->count);
    for (uint32_t i = 0; tuple && i < call->count; i++) {
        const Edge *edge = &call->edges[i];
        double number = left_out(edge) ? number_of(edge->operand) : edge->partial;
        PyObject *x = PyFloat_FromDouble(number);
        if (!x || PyTuple_SetItem(tuple, i, x) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *bars_of(const Gathered *gathered, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *x = gathered[i].there ? PyFloat_FromDouble(gathered[i].adjoint) : Py_None;
        if (x == Py_None)
            Py_INCREF(x);
        if (!x || PyList_SetItem(list, (Py_ssize_t)i, x) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* What the row's pullback gives for the adjoints of the results: a list. */
static PyObject *pull(Node *call, const Gathered *gathered)
{
    size_t k = count_results(call);
    PyObject *ys = floats_of(results(call), k), *xs = point_of(call);
    PyObject *bars = bars_of(gathered, k), *found = NULL, *list = NULL;
    if (ys && xs && bars)
        found = PyObject_CallMethod((PyObject *)own_row(call), "pull", "OOO", ys, xs, bars);
    if (found && PyList_CheckExact(found)) {
        list = found;
        Py_INCREF(list);
    } else if (found)
        list = PySequence_List(found);
    if (list && PyList_Size(list) != (Py_ssize_t)call->count) {
        PyErr_SetString(PyExc_ValueError, "pull: it must give a share for each operand");
        Py_CLEAR(list);
    }
    Py_XDECREF(ys);
    Py_XDECREF(xs);
    Py_XDECREF(bars);
    Py_XDECREF(found);
    return list;
}

/* The shares of a call's operands, and for each whether it is there. */
typedef struct {
    double *share;
    char *there;
    double buffer[SHORT];
    char flags[SHORT];
} Shares;

static int init_shares(Shares *shares, size_t n)
{
    int large = n > SHORT;
    shares->share = large ? PyMem_Malloc(n * (sizeof(double) + 1)) : shares->buffer;
    shares->there = large ? (char *)(shares->share + n) : shares->flags;
    if (shares->share)
        return 0;
    PyErr_NoMemory();
    return -1;
}

static void free_shares(Shares *shares)
{
    if (shares->share != shares->buffer)
        PyMem_Free(shares->share);
}

static const Pull *pull_for(Node *call, const Gathered *gathered)
{
    const Pull *pull = own_row(call)->pulls;
    size_t k = count_results(call), i = 0;
    for (; pull; pull = pull->next) {
        if (pull->results != k || pull->operands != call->count)
            continue;
        for (i = 0; i < k && pull->present[i] == gathered[i].there; i++)
            ;
        if (i == k)
            break;
    }
    return pull;
}

/* By machine code; 0 if there is none, or it has another branch to take. */
static int pull_by_code(Node *call, const Gathered *gathered, Shares *shares)
{
    const Pull *pull = pull_for(call, gathered);
    double room[512], *numbers = room, *next, *out;
    size_t n = call->count, k = count_results(call);
    size_t size = pull ? n + k + pull->outputs + pull->workspace : 0;
    int done = 0;
    if (!pull)
        return 0;
    if (size > sizeof room / sizeof *room &&
        !(numbers = PyMem_Malloc(size * sizeof *numbers)))
        return 0;
    next = numbers;
    for (size_t i = 0; i < n; i++) {
        const Edge *edge = &call->edges[i];
        *next++ = left_out(edge) ? number_of(edge->operand) : edge->partial;
    }
    for (size_t i = 0; i < k; i++)
        if (gathered[i].there)
            *next++ = gathered[i].adjoint;
    out = next;
    if (pull->context)
        done = ((Rolled)pull->code)(pull->context, numbers, out) == -1;
    else
        done = pull->code(numbers, out, out + pull->outputs) == -1;
    for (size_t i = 0; done && i < n; i++) {
        int32_t at = pull->places[2 * i], flag = pull->places[2 * i + 1];
        shares->there[i] = at >= 0 && (flag < 0 || out[flag] == 0.0);
        shares->share[i] = at >= 0 ? out[at] : 0.0;
    }
    if (numbers != room)
        PyMem_Free(numbers);
    return done;
}

/* The numbers of the operands, of the adjoints, and which are there: as bytes. */
static PyObject *point_as_bytes(Node *call)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, call->count * (Py_ssize_t)sizeof(double));
    double *to = bytes ? (double *)(void *)PyBytes_AsString(bytes) : NULL;
    for (uint32_t i = 0; to && i < call->count; i++) {
        const Edge *edge = &call->edges[i];
        to[i] = left_out(edge) ? number_of(edge->operand) : edge->partial;
    }
    return bytes;
}

static PyObject *bars_as_bytes(const Gathered *gathered, size_t n)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n * sizeof(double)));
    double *to = bytes ? (double *)(void *)PyBytes_AsString(bytes) : NULL;
    for (size_t i = 0; to && i < n; i++)
        to[i] = gathered[i].adjoint;
    return bytes;
}

static int are_all_there(const Gathered *gathered, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!gathered[i].there)
            return 0;
    return 1;
}

/* By the row's `pull_doubles`, where all results have an adjoint; 0 if it has none. */
static int pull_by_doubles(Node *call, const Gathered *gathered, Shares *shares)
{
    size_t k = count_results(call), n = call->count;
    PyObject *xs, *bars, *found = NULL;
    int done = 0;
    if (!own_row(call)->doubles || !are_all_there(gathered, k))
        return 0;
    xs = point_as_bytes(call);
    bars = xs ? bars_as_bytes(gathered, k) : NULL;
    if (bars)
        found = PyObject_CallMethod((PyObject *)own_row(call), "pull_doubles", "OO", xs, bars);
    Py_XDECREF(xs);
    Py_XDECREF(bars);
    if (!found)
        return -1;
    if (PyBytes_Check(found) && (size_t)PyBytes_Size(found) == n * sizeof(double)) {
        memcpy(shares->share, PyBytes_AsString(found), n * sizeof(double));
        memset(shares->there, 1, n);
        done = 1;
    }
    Py_DECREF(found);
    return done;
}

static int pull_by_python(Node *call, const Gathered *gathered, Shares *shares)
{
    PyObject *found = pull(call, gathered);
    int failed = !found;
    for (uint32_t i = 0; !failed && i < call->count; i++) {
        PyObject *x = PyList_GetItem(found, i);
        shares->there[i] = x != Py_None;
        shares->share[i] = x == Py_None ? 0.0 : PyFloat_AsDouble(x);
        failed = shares->share[i] == -1.0 && PyErr_Occurred();
    }
    Py_XDECREF(found);
    return failed ? -1 : 0;
}

/* What a call's pullback makes of the adjoints of its results. */
static int pull_shares(Node *call, const Gathered *gathered, Shares *shares)
{
    int done;
    if (init_shares(shares, call->count) < 0)
        return -1;
    if (pull_by_code(call, gathered, shares))
        return 0;
    done = pull_by_doubles(call, gathered, shares);
    if (done > 0 || (done == 0 && pull_by_python(call, gathered, shares) == 0))
        return 0;
    free_shares(shares);
    return -1;
}

static int sweep_call(Adjoints *bars, Node *call, const Gathered *gathered)
{
    Shares shares;
    int failed = 0;
    if (pull_shares(call, gathered, &shares) < 0)
        return -1;
    for (uint32_t i = 0; !failed && i < call->count; i++)
        if (shares.there[i] && !left_out(&call->edges[i]))
            failed = add_share(bars, call->edges[i].operand, shares.share[i]);
    free_shares(&shares);
    return failed;
}

static int sweep_node(Adjoints *bars, Node *node, double adjoint)
{
    for (uint32_t i = 0; i < node->count; i++) {
        const Edge *edge = &node->edges[i];
        if (!left_out(edge) && add_share(bars, edge->operand, edge->partial * adjoint) < 0)
            return -1;
    }
    return 0;
}

static int sweep_all(Adjoints *bars)
{
    int failed = 0;
    for (size_t i = bars->order->count; !failed && i-- > 0;) {
        Node *node = bars->order->nodes[i];
        if (i >= AHEAD)
            PREFETCH(bars->order->nodes[i - AHEAD]);
        if (!bars->has[i])
            continue; /* there is none, or a pullback has left it out */
        if (is_component(node))
            failed = gather(bars, node, bars->total[i]);
        else if (is_call(node))
            failed = sweep_call(bars, node, bars->gathered[i]);
        else
            failed = sweep_node(bars, node, bars->total[i]);
    }
    return failed;
}

static void hand_over(const Adjoints *bars)
{
    for (size_t i = 0; i < bars->order->count; i++)
        if (bars->has[i] && !bars->gathered[i]) {
            bars->order->nodes[i]->grad = bars->total[i];
            bars->order->nodes[i]->state = REACHED;
        }
    for (size_t i = 0; i < bars->used; i++) {
        bars->pending[i].leaf->grad += bars->pending[i].share;
        bars->pending[i].leaf->state = REACHED;
    }
}

static int sweep_through_calls(Node *root, const Order *order, const Search *search)
{
    Adjoints bars;
    int failed = init_adjoints(&bars, order, search);
    if (!failed) {
        bars.total[place_in(&bars, root)] = 1.0;
        bars.has[place_in(&bars, root)] = 1;
        failed = sweep_all(&bars);
    }
    if (!failed)
        hand_over(&bars);
    free_adjoints(&bars);
    return failed;
}

static PyObject *value_backward(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Search search;
    Order order;
    int failed, shown = watched ? is_watched() : 0;
    if (shown)
        return shown < 0 ? NULL : by_reference("backward", self, NULL);
    init_search(&search);
    failed = search_from(&search, (Node *)self, INT64_MIN, 0);
    if (!failed) {
        put_in_order(&search, &order);
        if (has_calls(&search)) {
            unmark(&search);
            failed = sweep_through_calls((Node *)self, &order, &search);
        } else
            sweep((Node *)self, order.nodes, order.count);
        free_order(&order, &search);
    }
    free_search(&search);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *list_of(const Order *order, size_t count)
{
    Py_ssize_t n = 0;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < order->count; i++)
        if (order->nodes[i]) {
            Py_INCREF((PyObject *)order->nodes[i]);
            PyList_SetItem(list, n++, (PyObject *)order->nodes[i]);
        }
    return list;
}

/* topological(*roots, since=0, whole=False, calls=False) */
static PyObject *topological(PyObject *Py_UNUSED(module), PyObject *roots,
                             PyObject *keywords)
{
    static char *names[] = {"since", "whole", "calls", NULL};
    long long since = 0;
    int whole = 0, calls = 0, failed = 0, shorter = 0;
    Search search;
    Order order;
    PyObject *none = PyTuple_New(0), *list = NULL;
    Py_ssize_t n = PyTuple_Size(roots);
    if (!none)
        return NULL;
    failed = !PyArg_ParseTupleAndKeywords(none, keywords, "|$Lpp:topological", names,
                                          &since, &whole, &calls);
    Py_DECREF(none);
    if (failed)
        return NULL;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!is_value(PyTuple_GetItem(roots, i))) {
            PyErr_Format(PyExc_TypeError,
                         "topological: roots must be Values, but one is of %.60R; pass the "
                         "results themselves", Py_TYPE(PyTuple_GetItem(roots, i)));
            return NULL;
        }
    init_search(&search);
    for (Py_ssize_t i = 0; i < n && !failed; i++)
        failed = search_from(&search, (Node *)PyTuple_GetItem(roots, i), since, whole);
    if (!failed) {
        unmark(&search);
        put_in_order(&search, &order);
        list = list_of(&order, search.count);
        shorter = !calls && has_calls(&search);
        free_order(&order, &search);
    }
    free_search(&search);
    if (list && shorter) {
        Py_DECREF(list);
        list = PyObject_Call(python.topological, roots, keywords);
    }
    return list;
}

/* ---- notes --------------------------------------------------------------------------- */

/* By the address of its node: a label, or (label, line). Few nodes have one. */
static PyObject *notes;

static PyObject *get_note(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *note = Py_None, *key;
    if (((Node *)self)->traits & NOTED) {
        if (!(key = PyLong_FromVoidPtr(self)))
            return NULL;
        note = PyDict_GetItemWithError(notes, key);
        Py_DECREF(key);
        if (!note && !PyErr_Occurred())
            note = Py_None; /* what the note before it held has taken it away */
    }
    Py_XINCREF(note);
    return note;
}

static int set_note(PyObject *self, PyObject *new, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    PyObject *key;
    int failed, remove = !new || new == Py_None;
    if (remove && !(node->traits & NOTED))
        return 0;
    if (!(key = PyLong_FromVoidPtr(self)))
        return -1;
    failed = remove ? PyDict_DelItem(notes, key) : PyDict_SetItem(notes, key, new);
    Py_DECREF(key);
    if (!failed && remove)
        node->traits &= (uint8_t)~NOTED;
    else if (!failed)
        node->traits |= NOTED;
    return failed;
}

/* Of a node that is about to be freed. Without memory for the key its note stays behind,
   to be replaced by that of another node in its place. */
static void free_traits(Node *node)
{
    if (node->traits & LEFTOVER) {
        leftovers--;
        set_alert();
    }
    if (node->traits & NOTED) {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        if (set_note((PyObject *)node, NULL, NULL) < 0)
            PyErr_Clear();
        PyErr_Restore(type, error, traceback);
    }
}

/* ---- a Value's attributes -------------------------------------------------------------------- */

static PyObject *new_leaf(double number)
{
    Node *node = new_node(LEAF, 0, 0);
    if (node) {
        node->data = number;
        assigned(node)->operand = NULL;
        assigned(node)->partial = 0.0;
    }
    return (PyObject *)node;
}

static PyObject *value_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"data", "label", NULL};
    PyObject *data, *label = Py_None, *number, *node;
    if (!connected())
        return NULL;
    if (type != ValueType) {
        PyErr_SetString(PyExc_TypeError, "Value: must not be subclassed");
        return NULL;
    }
    if (!keywords && PyTuple_Size(args) == 1)
        data = PyTuple_GetItem(args, 0);
    else if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:Value", names, &data, &label))
        return NULL;
    if (PyFloat_CheckExact(data)) {
        Py_INCREF(data);
        number = data;
    } else {
        number = PyObject_CallFunction(python.number, "Oss", data, "Value", "data");
        if (!(number = exact_float(number)))
            return NULL;
    }
    node = new_leaf(PyFloat_AsDouble(number));
    Py_DECREF(number);
    if (node && label != Py_None && PyObject_SetAttrString(node, "label", label) < 0)
        Py_CLEAR(node);
    return node;
}

/* `value_new` does it all: a Value is not initialised twice. */
static int value_init(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args),
                      PyObject *Py_UNUSED(keywords))
{
    return 0;
}

INLINE void value_free(Node *node)
{
    if (node->traits & (LEFTOVER | NOTED))
        free_traits(node);
    if (node->traits & IN_SLAB) {
        give_slot_back(node);
        return;
    }
    if (node->traits & FOREIGN)
        PyObject_GC_Del(node);
    else
        PyObject_Free((char *)node - header);
    Py_DECREF(ValueType);
}

/* Frees what only this node kept alive, to any depth, without recursion. */
static void value_dealloc(PyObject *self)
{
    Node *todo = (Node *)self;
    if (is_foreign(self))
        PyObject_GC_UnTrack(self);
    todo->next = NULL;
    while (todo) {
        Node *node = todo;
        todo = node->next;
        for (uint32_t i = 0; i < node->count; i++) {
            PyObject *x = node->edges[i].operand;
            if (!is_value(x) || Py_REFCNT(x) > 1) {
                Py_DECREF(x);
                continue;
            }
            if (is_foreign(x))
                PyObject_GC_UnTrack(x);
            ((Node *)x)->next = todo;
            todo = (Node *)x;
        }
        if (node->row == OWN)
            Py_DECREF((PyObject *)own_row(node));
        value_free(node);
    }
}

static int value_is_gc(PyObject *self) { return is_foreign(self); }

/* A cycle through a node also leads through its row's functions, which can be cleared. */
static int value_traverse(PyObject *self, visitproc visit, void *arg)
{
    Node *node = (Node *)self;
    Py_VISIT(Py_TYPE(self));
    if (node->row == OWN)
        Py_VISIT(own_row(node));
    for (uint32_t i = 0; i < node->count; i++)
        Py_VISIT(node->edges[i].operand);
    return 0;
}

static PyObject *value_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSize_t(sizeof(Node) + room_of((Node *)self) * sizeof(Edge));
}

static PyObject *get_data(PyObject *self, void *Py_UNUSED(closure))
{
    if (is_leftover(self))
        return refuse_leftover();
    if (is_call((Node *)self))
        return floats_of(results((Node *)self), count_results((Node *)self));
    return PyFloat_FromDouble(((Node *)self)->data);
}

/* `data` and `grad` by the property of value.py: errors, and numbers that are not floats. */
static int set_by_reference(const char *name, PyObject *self, PyObject *new)
{
    PyObject *done = NULL, *property = PyObject_GetAttrString(python.value, name);
    if (property)
        done = PyObject_CallMethod(property, "__set__", "OO", self, new);
    Py_XDECREF(property);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* `data`, `grad`, `partials` likewise while someone watches, who may refuse. */
static PyObject *get_by_reference(const char *name, PyObject *self)
{
    PyObject *property = PyObject_GetAttrString(python.value, name), *result;
    result = property ? PyObject_CallMethod(property, "__get__", "O", self) : NULL;
    Py_XDECREF(property);
    return result;
}

static int refuse_deletion(const char *name)
{
    PyErr_Format(PyExc_AttributeError, "Value.%s: must not be deleted; assign to it", name);
    return -1;
}

static PyObject *get_public_data(PyObject *self, void *closure)
{
    return watched ? get_by_reference("data", self) : get_data(self, closure);
}

static int set_public_data(PyObject *self, PyObject *new, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    if (!new)
        return refuse_deletion("data");
    if (!is_leaf(node) || !PyFloat_CheckExact(new) || watched)
        return set_by_reference("data", self, new);
    node->data = PyFloat_AsDouble(new);
    assigned(node)->partial = (double)++now;
    return 0;
}

static int set_data(PyObject *self, PyObject *new, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    int leftover = new == python.leftover;
    double number = !new ? -1.0 : leftover ? NAN : PyFloat_AsDouble(new);
    if (!new)
        return refuse_deletion("_data");
    if (number == -1.0 && PyErr_Occurred())
        return -1;
    leftovers += (size_t)leftover;
    leftovers -= (size_t)is_leftover(self);
    set_alert();
    node->data = number;
    node->traits = (uint8_t)((node->traits & ~LEFTOVER) | (leftover ? LEFTOVER : 0));
    return 0;
}

static PyObject *get_grad(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    if (node->state & REACHED)
        return PyFloat_FromDouble(node->grad);
    Py_INCREF(python.unreached);
    return python.unreached;
}

static int set_grad(PyObject *self, PyObject *new, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    double number = new ? PyFloat_AsDouble(new) : -1.0;
    if (!new)
        return refuse_deletion("grad");
    if (number == -1.0 && PyErr_Occurred())
        return -1;
    node->grad = number;
    node->state = new != python.unreached ? REACHED : 0;
    return 0;
}

static PyObject *get_public_grad(PyObject *self, void *closure)
{
    return watched ? get_by_reference("grad", self) : get_grad(self, closure);
}

static int set_public_grad(PyObject *self, PyObject *new, void *closure)
{
    if (new && (!is_leaf((Node *)self) || !PyFloat_CheckExact(new) || watched))
        return set_by_reference("grad", self, new);
    return set_grad(self, new, closure);
}

/* The row of a component, which that of the call knows. */
static PyObject *row_of_component(Node *node)
{
    return PyObject_CallMethod((PyObject *)row_of(node), "component", "n",
                               (Py_ssize_t)component_place(node));
}

static PyObject *get_row(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    PyObject *row;
    if (is_component(node))
        return row_of_component(node);
    row = is_leaf(node) ? Py_None : (PyObject *)row_of(node);
    Py_INCREF(row);
    return row;
}

static PyObject *get_op(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    if (is_leaf(node))
        return PyUnicode_FromString("");
    if (is_component(node)) {
        PyObject *row = row_of_component(node);
        PyObject *name = row ? PyObject_GetAttrString(row, "name") : NULL;
        Py_XDECREF(row);
        return name;
    }
    Py_INCREF(row_of(node)->name);
    return row_of(node)->name;
}

static PyObject *get_args(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = is_component((Node *)self) ? call_of((Node *)self) : (Node *)self;
    PyObject *args = PyTuple_New(node->count);
    for (uint32_t i = 0; args && i < node->count; i++) {
        PyObject *x = node->edges[i].operand;
        Py_INCREF(x);
        PyTuple_SetItem(args, i, x);
    }
    return args;
}

static PyObject *partial_of(const Edge *edge)
{
    if (!left_out(edge))
        return PyFloat_FromDouble(edge->partial);
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *get_all_partials(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    PyObject *partials;
    if (is_leaf(node) && assigned(node)->partial != 0.0)
        return Py_BuildValue("(L)", (long long)assigned(node)->partial);
    if (is_component(node))
        return PyObject_CallFunction(python.slopes, "On", (PyObject *)call_of(node),
                                     (Py_ssize_t)component_place(node));
    partials = PyTuple_New(node->count);
    for (uint32_t i = 0; partials && i < node->count; i++) {
        PyObject *partial = partial_of(&node->edges[i]);
        if (!partial)
            Py_CLEAR(partials);
        else
            PyTuple_SetItem(partials, i, partial);
    }
    return partials;
}

/* On a leaf its time, on a computed Value a number or None for each operand. */
static int set_all_partials(PyObject *self, PyObject *new, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    uint32_t count = is_leaf(node) ? 1 : node->count;
    if (!new || !PyTuple_Check(new) || PyTuple_Size(new) != (Py_ssize_t)count) {
        PyErr_SetString(PyExc_TypeError,
                        "Value._partials: it must be a tuple with a partial for each "
                        "operand, or with the time of a leaf");
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        PyObject *partial = PyTuple_GetItem(new, (Py_ssize_t)i);
        int none = !is_leaf(node) && partial == Py_None;
        double number = none ? 0.0 : PyFloat_AsDouble(partial);
        if (number == -1.0 && PyErr_Occurred())
            return -1;
        if (!is_leaf(node))
            set_edge(node, i, node->edges[i].operand, number, none);
        else
            assigned(node)->partial = number;
    }
    return 0;
}

static PyObject *get_call(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    PyObject *call = is_component(node) ? (PyObject *)call_of(node) : Py_None;
    Py_INCREF(call);
    return call;
}

static PyObject *get_place(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    return PyLong_FromSize_t(is_component(node) ? component_place(node) : 0);
}

static uint32_t count_parents(const Node *node)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < node->count; i++)
        n += !left_out(&node->edges[i]);
    return n;
}

static PyObject *get_parents(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    Py_ssize_t n = 0;
    PyObject *parents;
    if (is_component(node))
        return get_by_reference("parents", self);
    parents = PyTuple_New(count_parents(node));
    for (uint32_t i = 0; parents && i < node->count; i++)
        if (!left_out(&node->edges[i])) {
            PyObject *x = node->edges[i].operand;
            Py_INCREF(x);
            PyTuple_SetItem(parents, n++, x);
        }
    return parents;
}

static PyObject *get_partials(PyObject *self, void *Py_UNUSED(closure))
{
    Node *node = (Node *)self;
    Py_ssize_t n = 0;
    PyObject *partials;
    if (watched || is_component(node))
        return get_by_reference("partials", self);
    partials = PyTuple_New(count_parents(node));
    for (uint32_t i = 0; partials && i < node->count; i++)
        if (!left_out(&node->edges[i])) {
            PyObject *partial = PyFloat_FromDouble(node->edges[i].partial);
            if (!partial)
                Py_CLEAR(partials);
            else
                PyTuple_SetItem(partials, n++, partial);
        }
    return partials;
}

#include "_share.h"
#include "_rules.h"
#include "_graph.h"
#include "_record.h"
#include "_recorder.h"
#include "_traced.h"
#include "_again.h"
#include "_calls.h"
#include "_sweep.h"

/* ---- the types --------------------------------------------------------------------------- */

#define METHOD_OF_ONE(name) \
    {#name, method_##name, METH_NOARGS,                                       \
     #name "($self, /)\n--\n\nThe row '" #name "' of self: see help(autograd." #name ")."},

static PyMethodDef value_methods[] = {
    ROWS_OF_ONE(METHOD_OF_ONE)
    {"backward", value_backward, METH_NOARGS,
     "backward($self, /)\n--\n\n"
     "Reverse-mode sweep: give every Value below its adjoint, d self / d value.\n\n"
     "Leaves add to what they have, so that two sweeps count twice."},
    {"_apply", (PyCFunction)(void (*)(void))value_apply, METH_FASTCALL | METH_STATIC,
     "_apply(row, args, /)\n--\n\n"
     "Record any row on any operands, at least one of them a Value."},
    {"__sizeof__", value_sizeof, METH_NOARGS,
     "__sizeof__($self, /)\n--\n\nThe bytes that it takes."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef value_attributes[] = {
    {"data", get_public_data, set_public_data,
     "The number. A leaf's can be assigned; a computed Value's follows from it.", NULL},
    {"grad", get_public_grad, set_public_grad,
     "The adjoint of self: of all sweeps on a leaf, of the last one elsewhere.", NULL},
    {"op", get_op, NULL, "The name of the primitive that computed it; \"\" on a leaf.",
     NULL},
    {"args", get_args, NULL, "The operands in order: Values, and floats for numbers.", NULL},
    {"parents", get_parents, NULL,
     "The Values it depends on: its operands, less those that a select left out.", NULL},
    {"partials", get_partials, NULL,
     "The local derivative for each parent, as recorded when self was computed.", NULL},
    {"_data", get_data, set_data, NULL, NULL},
    {"_grad", get_grad, set_grad, NULL, NULL},
    {"_row", get_row, NULL, NULL, NULL},
    {"_args", get_args, NULL, NULL, NULL},
    {"_partials", get_all_partials, set_all_partials, NULL, NULL},
    {"_note", get_note, set_note, NULL, NULL},
    {"_call", get_call, NULL, NULL, NULL},
    {"_place", get_place, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMemberDef value_members[] = {
    {"_made", T_LONGLONG, offsetof(Node, made), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

/* ---- hashes, by identity --------------------------------------------------------------- */

#define MOST_CODES 256 /* of the engine that are remembered */

static hashfunc hash_of_identity; /* object's */
static PyObject *own_codes[MOST_CODES];

/* Whether the Python code that runs is the engine's own, whose tables are by identity;
   otherwise, its file, in `filename`. -1 with an error. */
static int runs_own_code(PyObject **filename)
{
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *code = frame ? (PyObject *)PyFrame_GetCode(frame) : NULL, *is_own = NULL;
    PyObject **known = &own_codes[((uintptr_t)code >> 6) % MOST_CODES];
    int own = !code || code == *known;
    if (!own) {
        *filename = PyObject_GetAttrString(code, "co_filename");
        is_own = *filename
                     ? PyObject_CallMethod(*filename, "startswith", "(O)", python.packages)
                     : NULL;
        own = is_own ? PyObject_IsTrue(is_own) : -1;
        Py_XDECREF(is_own);
    }
    if (own > 0 && code) {
        PyObject *before = *known;
        *known = code;
        Py_XDECREF(before);
    } else
        Py_XDECREF(code);
    return own;
}

static Py_hash_t value_hash(PyObject *self)
{
    PyObject *filename = NULL, *done = NULL;
    if (watched) {
        int own = runs_own_code(&filename);
        if (!own)
            done = PyObject_CallFunctionObjArgs(python.hashed, self, filename, NULL);
        Py_XDECREF(filename);
        if (own < 0 || (!own && !done))
            return -1;
        Py_XDECREF(done);
    }
    return hash_of_identity(self);
}

static PyType_Slot value_slots[] = {
    {Py_tp_doc, "Value(data, label=None)\n--\n\n"},
    {Py_tp_new, value_new},
    {Py_tp_init, value_init},
    {Py_tp_dealloc, value_dealloc},
    {Py_tp_traverse, value_traverse},
    {Py_tp_is_gc, value_is_gc},
    {Py_tp_hash, value_hash},
    {Py_tp_richcompare, compare},
    {Py_tp_methods, value_methods},
    {Py_tp_getset, value_attributes},
    {Py_tp_members, value_members},
    {Py_nb_add, operator_add},
    {Py_nb_subtract, operator_sub},
    {Py_nb_multiply, operator_mul},
    {Py_nb_true_divide, operator_div},
    {Py_nb_remainder, operator_mod},
    {Py_nb_power, operator_power},
    {Py_nb_negative, operator_negative},
    {Py_nb_positive, operator_positive},
    {Py_nb_absolute, operator_absolute},
    {Py_nb_bool, operator_bool},
    {0, NULL}};

static PyType_Spec value_spec = {
    .name = "autograd.value.Value",
    .basicsize = sizeof(Node),
    .itemsize = sizeof(Edge),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = value_slots};

static PyObject *row_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                         PyObject *Py_UNUSED(keywords))
{
    Row *row = (Row *)PyType_GenericAlloc(type, 0);
    if (row) {
        row->call = row_call;
        row->number = OWN;
        row->name = PyUnicode_FromString("");
        if (!row->name)
            Py_CLEAR(row);
    }
    return (PyObject *)row;
}

static int row_traverse(PyObject *self, visitproc visit, void *arg)
{
    Row *row = (Row *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(row->dict);
    Py_VISIT(row->name);
    Py_VISIT(row->raw);
    Py_VISIT(row->rules);
    Py_VISIT(row->float_rules);
    Py_VISIT(row->defaults);
    Py_VISIT(row->fixed);
    return 0;
}

/* The name stays: what is shown of a node needs it to the end. */
static int row_clear(PyObject *self)
{
    Row *row = (Row *)self;
    Py_CLEAR(row->dict);
    Py_CLEAR(row->raw);
    Py_CLEAR(row->rules);
    Py_CLEAR(row->float_rules);
    Py_CLEAR(row->defaults);
    Py_CLEAR(row->fixed);
    return 0;
}

static void free_pull(Pull *pull)
{
    PyMem_Free(pull->present);
    PyMem_Free(pull->places);
    PyMem_Free(pull);
}

static void row_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    row_clear(self);
    Py_CLEAR(((Row *)self)->name);
    for (Pull *pull = ((Row *)self)->pulls, *next; pull; pull = next) {
        next = pull->next;
        free_pull(pull);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMemberDef row_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Row, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Row, dict), READONLY, NULL},
    {"raw", T_OBJECT_EX, offsetof(Row, raw), 0, "The value on floats, which may raise."},
    {"rules", T_OBJECT_EX, offsetof(Row, rules), 0, "The rule for each partial."},
    {"float_rules", T_OBJECT_EX, offsetof(Row, float_rules), 0, "The rules on floats."},
    {"defaults", T_OBJECT_EX, offsetof(Row, defaults), 0, "The operands that may be left out."},
    {"fixed", T_OBJECT_EX, offsetof(Row, fixed), 0, "The partials that are the same everywhere."},
    {"arity", T_INT, offsetof(Row, arity), 0, "How many operands it has; 0 if any number."},
    {"select", T_BOOL, offsetof(Row, select), 0, "Whether a partial of zero leaves its operand out."},
    {"variadic", T_BOOL, offsetof(Row, variadic), 0, "Whether it has any number of operands."},
    {"call", T_BOOL, offsetof(Row, joins), 0, "Whether it is of a call with several results."},
    {"doubles", T_BOOL, offsetof(Row, doubles), 0, "Whether it has `pull_doubles`."},
    {"sealed", T_BOOL, offsetof(Row, sealed), 0, "Whether it leads to no Value."},
    {NULL, 0, 0, 0, NULL}};

static PyObject *get_name(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *name = ((Row *)self)->name;
    Py_INCREF(name);
    return name;
}

static int set_name(PyObject *self, PyObject *new, void *Py_UNUSED(closure))
{
    PyObject *old = ((Row *)self)->name;
    if (!new || !PyUnicode_Check(new)) {
        PyErr_SetString(PyExc_TypeError, "Primitive.name: name must be a str; it stays as long as the row");
        return -1;
    }
    Py_INCREF(new);
    ((Row *)self)->name = new;
    Py_DECREF(old);
    return 0;
}

static PyGetSetDef row_attributes[] = {
    {"name", get_name, set_name, "What errors and drawings call it.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMethodDef row_methods[] = {
    {"derivatives", (PyCFunction)(void (*)(void))row_derivatives,
     METH_VARARGS | METH_KEYWORDS,
     "derivatives($self, z, /, *args, wanted=None)\n--\n\nThe partial for every argument."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot row_slots[] = {
    {Py_tp_methods, row_methods},
    {Py_tp_new, row_new},
    {Py_tp_dealloc, row_dealloc},
    {Py_tp_traverse, row_traverse},
    {Py_tp_clear, row_clear},
    {Py_tp_call, row_tp_call},
    {Py_tp_members, row_members},
    {Py_tp_getset, row_attributes},
    {0, NULL}};

#define HAVE_VECTORCALL (1ul << 11) /* Py_TPFLAGS_HAVE_VECTORCALL, unnamed before 3.12 */

static PyType_Spec row_spec = {
    .name = "autograd.primitives.Primitive",
    .basicsize = sizeof(Row),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             HAVE_VECTORCALL,
    .slots = row_slots};

/* ---- the module ------------------------------------------------------------------------------ */

/* bind(row): a row of the table, which lives as long as the process. */
static PyObject *bind(PyObject *Py_UNUSED(module), PyObject *given)
{
    Row *row = (Row *)given;
    if (Py_TYPE(given) != RowType || !row->name) {
        PyErr_SetString(PyExc_TypeError, "bind: it must be a Primitive");
        return NULL;
    }
    for (unsigned i = 0; i < KERNELS; i++)
        if (PyUnicode_CompareWithASCIIString(row->name, kernels[i].name) == 0) {
            row->kernel = &kernels[i];
            row->number = (uint16_t)(i + 1);
        }
    if (!row->kernel) {
        if (bound == MOST_ROWS) {
            PyErr_SetString(PyExc_ValueError, "bind: the table must be shorter");
            return NULL;
        }
        row->number = (uint16_t)bound++;
    }
    Py_INCREF(given);
    table[row->number] = row;
    row->is_dot = PyUnicode_CompareWithASCIIString(row->name, "dot") == 0;
    Py_RETURN_NONE;
}

/* connect(value=, primitive=, …): what Python lends, see `python` above. */
static PyObject *connect(PyObject *Py_UNUSED(module), PyObject *args, PyObject *keywords)
{
    static char *names[] = {"value",    "primitive", "number",   "operand",
                            "record",   "shown",     "watchers", "watching",
                            "recording", "unreached", "leftover", "current",
                            "written",  "hashed",    "packages", "slopes",
                            "topological", NULL};
    struct Lent lent;
    PyObject **field = (PyObject **)&lent;
    if (!PyArg_ParseTupleAndKeywords(
            args, keywords, "OOOOOOO!OOOOOOOOOO:connect", names, &lent.value,
            &lent.primitive, &lent.number, &lent.operand, &lent.record, &lent.shown,
            &PyDict_Type, &lent.watchers, &lent.watching, &lent.recording, &lent.unreached, &lent.leftover,
            &lent.current, &lent.written, &lent.hashed, &lent.packages, &lent.slopes,
            &lent.topological))
        return NULL;
    for (size_t i = 0; i < sizeof lent / sizeof *field; i++)
        Py_INCREF(field[i]);
    python = lent;
    Py_RETURN_NONE;
}

/* _node(row, z, args, partials): a computed Value of what is known about it. */
static PyObject *module_node(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *row, *args, *partials;
    double z;
    Node *node;
    if (!connected() ||
        !PyArg_ParseTuple(given, "O!dO!O!:_node", RowType, &row, &z, &PyTuple_Type, &args,
                          &PyTuple_Type, &partials))
        return NULL;
    if (PyTuple_Size(args) != PyTuple_Size(partials)) {
        PyErr_SetString(PyExc_ValueError, "_node: it needs a partial for each operand");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(args); i++) {
        PyObject *partial = PyTuple_GetItem(partials, i);
        if (!is_plain(PyTuple_GetItem(args, i)) ||
            !(partial == Py_None || PyFloat_CheckExact(partial))) {
            PyErr_SetString(PyExc_TypeError,
                            "_node: operands must be Values and floats, and partials "
                            "floats or None");
            return NULL;
        }
    }
    node = node_from((Row *)row, z, args, partials);
    return node ? made(node) : NULL;
}

static void set_watched(void)
{
    watched = PyDict_Size(python.watchers) > 0;
    set_alert();
    forget_recorder();
}

/* watch(block, thread): show its watcher what the thread does. */
static PyObject *watch(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *block, *thread;
    if (!connected() || !PyArg_ParseTuple(given, "OO:watch", &block, &thread) ||
        PyDict_SetItem(python.watchers, block, thread) < 0)
        return NULL;
    set_watched();
    Py_RETURN_NONE;
}

/* unwatch(block): show its watcher nothing any more. */
static PyObject *unwatch(PyObject *Py_UNUSED(module), PyObject *block)
{
    int known = connected() ? PyDict_Contains(python.watchers, block) : -1;
    if (known < 0 || (known && PyDict_DelItem(python.watchers, block) < 0))
        return NULL;
    set_watched();
    Py_RETURN_NONE;
}

/* The number of a Value, if it still has one: lent to `_call.c` as a capsule. */
static int read_value(PyObject *value, double *number)
{
    *number = ((Node *)value)->data;
    return !is_leftover(value);
}

/* reader(): `read_value` for `_call.c`. */
static PyObject *reader(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    int (*function)(PyObject *, double *) = read_value;
    void *pointer;
    memcpy(&pointer, &function, sizeof pointer);
    return PyCapsule_New(pointer, "autograd._value.reader", NULL);
}

/* maker(): `make_components` for `_call.c`. */
static PyObject *maker(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    PyObject *(*function)(PyObject *, const double *, size_t, PyObject **, const double *,
                          size_t) = make_components;
    void *pointer;
    memcpy(&pointer, &function, sizeof pointer);
    return PyCapsule_New(pointer, "autograd._value.maker", NULL);
}

static char *copy_of_bytes(const char *from, Py_ssize_t size)
{
    char *to = PyMem_Malloc((size_t)size + 1);
    if (to)
        memcpy(to, from, (size_t)size);
    else
        PyErr_NoMemory();
    return to;
}

/* _link(row, present, (address, context), outputs, workspace, places): code for the pullback
   of that row's calls, which the row keeps in memory. */
static PyObject *link_pull(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *row;
    const char *present, *places;
    Py_ssize_t results, size, outputs, workspace;
    unsigned long long address, context;
    Pull *pull;
    if (!PyArg_ParseTuple(given, "O!y#(KK)nny#:_link", RowType, &row, &present, &results,
                          &address, &context, &outputs, &workspace, &places, &size))
        return NULL;
    if (!(pull = PyMem_Calloc(1, sizeof *pull)))
        return PyErr_NoMemory();
    pull->code = (int32_t (*)(const double *, double *, double *))(uintptr_t)address;
    pull->context = (void *)(uintptr_t)context;
    pull->results = (size_t)results;
    pull->operands = (size_t)size / (2 * sizeof(int32_t));
    pull->outputs = (size_t)outputs;
    pull->workspace = (size_t)workspace;
    pull->present = copy_of_bytes(present, results);
    pull->places = (int32_t *)(void *)copy_of_bytes(places, size);
    if (!pull->present || !pull->places) {
        free_pull(pull);
        return NULL;
    }
    pull->next = ((Row *)row)->pulls;
    ((Row *)row)->pulls = pull;
    Py_RETURN_NONE;
}

/* doubles(xs): the numbers of a list of Values and floats as bytes, and whether there is a
   Value among them; None for any other list. */
static PyObject *doubles(PyObject *Py_UNUSED(module), PyObject *xs)
{
    Py_ssize_t n = PyList_CheckExact(xs) ? PyList_Size(xs) : -1;
    PyObject *bytes;
    double *to;
    int values = 0;
    if (n < 0)
        Py_RETURN_NONE;
    if (!(bytes = PyBytes_FromStringAndSize(NULL, n * (Py_ssize_t)sizeof(double))))
        return NULL;
    to = (double *)(void *)PyBytes_AsString(bytes);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *x = PyList_GetItem(xs, i);
        if (!is_plain(x) || is_leftover(x)) {
            Py_DECREF(bytes);
            Py_RETURN_NONE;
        }
        values |= is_value(x);
        to[i] = number_of(x);
    }
    return Py_BuildValue("(NO)", bytes, values ? Py_True : Py_False);
}

static PyObject *tick(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(++now);
}

static PyMethodDef functions[] = {
    {"bind", bind, METH_O, "Take in a row of the table."},
    {"connect", (PyCFunction)(void (*)(void))connect, METH_VARARGS | METH_KEYWORDS,
     "Take in what Python lends."},
    {"watch", watch, METH_VARARGS, "Show the watcher of a block what a thread does."},
    {"unwatch", unwatch, METH_O, "Show the watcher of a block nothing any more."},
    {"reader", reader, METH_NOARGS, "How C reads the number of a Value, in a capsule."},
    {"maker", maker, METH_NOARGS, "How C makes the results of a call, in a capsule."},
    {"_link", link_pull, METH_VARARGS, "Machine code for the pullback of a row's calls."},
    {"_absent", set_absent, METH_O, "Tell of what stands for what is absent."},
    {"doubles", doubles, METH_O, "The numbers of a list of Values and floats, as bytes."},
    {"tick", tick, METH_NOARGS,
     "Advance the clock: what is made from now on is newer than all before."},
    {"topological", (PyCFunction)(void (*)(void))topological,
     METH_VARARGS | METH_KEYWORDS,
     "The computed Values that the roots depend on, in the order they were made."},
    {"oldest", oldest, METH_VARARGS, "The oldest Value that was made before a time."},
    {"push_pairs", push_pairs, METH_VARARGS, "Second derivatives by edge pushing."},
    {"push_rows", push_rows, METH_VARARGS, "Sparse rows of first derivatives."},
    {"copies", copies, METH_O, "Fresh inputs of these numbers and Values."},
    {"settled", settle_number, METH_VARARGS, "A plain number where x is a constant."},
    {"_node", module_node, METH_VARARGS, "A computed Value of what is known about it."},
    {"_components", components, METH_VARARGS, "The results of a call with several."},
    {"_call_node", call_node, METH_VARARGS, "A call with several results."},
    {"_component", component, METH_VARARGS, "One result of a call with several."},
    {NULL, NULL, 0, NULL}};

static int execute(PyObject *module)
{
    static int loaded = 0;
    if (loaded) {
        PyErr_SetString(PyExc_ImportError,
                        "autograd._value serves one interpreter in a process, and once");
        return -1;
    }
    hash_of_identity = (hashfunc)PyType_GetSlot(&PyBaseObject_Type, Py_tp_hash);
    header = Py_Version >= 0x030E0000 ? 2 * sizeof(void *) : 0;
    ValueType = (PyTypeObject *)PyType_FromSpec(&value_spec);
    RowType = (PyTypeObject *)PyType_FromSpec(&row_spec);
    GraphType = (PyTypeObject *)PyType_FromSpec(&graph_spec);
    RecorderType = (PyTypeObject *)PyType_FromSpec(&recorder_spec);
    HoldType = (PyTypeObject *)PyType_FromSpec(&hold_spec);
    ShareType = (PyTypeObject *)PyType_FromSpec(&share_spec);
    TracedType = (PyTypeObject *)PyType_FromSpec(&traced_spec);
    notes = PyDict_New();
    if (!ValueType || !RowType || !GraphType || !RecorderType || !HoldType || !ShareType ||
        !TracedType || !notes || make_small_floats() < 0 ||
        PyModule_AddObjectRef(module, "Value", (PyObject *)ValueType) < 0 ||
        PyModule_AddObjectRef(module, "Primitive", (PyObject *)RowType) < 0 ||
        PyModule_AddObjectRef(module, "Graph", (PyObject *)GraphType) < 0 ||
        PyModule_AddObjectRef(module, "Recorder", (PyObject *)RecorderType) < 0 ||
        PyModule_AddObjectRef(module, "Share", (PyObject *)ShareType) < 0 ||
        PyModule_AddObjectRef(module, "Traced", (PyObject *)TracedType) < 0 ||
        PyModule_AddObjectRef(module, "Hold", (PyObject *)HoldType) < 0)
        return -1;
    loaded = 1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "autograd._value",
    .m_doc = "Value and Primitive in C; autograd.value says what they do.",
    .m_methods = functions,
    .m_slots = module_slots};

PyMODINIT_FUNC PyInit__value(void) { return PyModuleDef_Init(&definition); }
