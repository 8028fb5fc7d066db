/* The sweeps over a graph: `pull` and `push` of graph.py, on doubles where all is
   plain numbers, else on whatever objects the adjoints and tangents are. */

/* ---- sweeps of plain numbers ---------------------------------------------------------- */

/* Sums by place, and a bit for each place that has one. */
typedef struct {
    double *total;
    uint64_t *has;
} Sums;

INLINE int has_sum(const Sums *sums, uint32_t place)
{
    return (int)(sums->has[place / 64] >> place % 64 & 1);
}

INLINE void add_to(Sums *sums, uint32_t place, double share)
{
    if (has_sum(sums, place))
        sums->total[place] += share;
    else
        sums->total[place] = share;
    sums->has[place / 64] |= UINT64_C(1) << place % 64;
}

static int init_sums(Sums *sums, uint32_t size)
{
    sums->total = PyMem_Malloc((size_t)size * sizeof(double) + 1);
    sums->has = PyMem_Calloc((size_t)size / 64 + 1, sizeof(uint64_t));
    if (sums->total && sums->has)
        return 0;
    PyMem_Free(sums->total);
    PyMem_Free(sums->has);
    PyErr_NoMemory();
    return -1;
}

static void free_sums(Sums *sums)
{
    PyMem_Free(sums->total);
    PyMem_Free(sums->has);
}

static unsigned highest_bit(uint64_t word)
{
#if defined(__GNUC__)
    return 63u - (unsigned)__builtin_clzll(word);
#else
    unsigned bit = 0;
    while (word >>= 1)
        bit++;
    return bit;
#endif
}

/* The place of the operand of an edge that takes part. */
INLINE uint32_t operand_place(const Graph *graph, uint32_t i, uint32_t k, const Edge *edge)
{
    return graph->first ? graph->operand[graph->first[i] + k]
                        : place_by_time(graph, (Node *)edge->operand);
}

/* From the latest node that has an adjoint to the first; shares go to earlier ones. */
static void pull_numbers(const Graph *graph, Sums *bars)
{
    for (uint32_t at = graph->size / 64 + 1; at-- > 0;)
        for (uint64_t below = UINT64_MAX; bars->has[at] & below;) {
            unsigned bit = highest_bit(bars->has[at] & below);
            uint32_t i = at * 64 + bit;
            const Edge *edge = graph->nodes[i]->edges;
            below = (UINT64_C(1) << bit) - 1;
            if (i >= AHEAD && graph->nodes[i - AHEAD])
                PREFETCH(graph->nodes[i - AHEAD]);
            for (uint32_t k = 0; k < graph->nodes[i]->count; k++, edge++) {
                uint32_t place = left_out(edge) ? INSIDE : operand_place(graph, i, k, edge);
                if (is_there(place))
                    add_to(bars, place, edge->partial * bars->total[i]);
            }
        }
}

/* From the first node to the latest. */
static void push_numbers(const Graph *graph, Sums *dots)
{
    for (uint32_t i = 0; i < graph->size; i++) {
        const Edge *edge = graph->nodes[i] ? graph->nodes[i]->edges : NULL;
        for (uint32_t k = 0; edge && k < graph->nodes[i]->count; k++, edge++) {
            uint32_t place = left_out(edge) ? INSIDE : operand_place(graph, i, k, edge);
            if (is_there(place) && has_sum(dots, place))
                add_to(dots, i, edge->partial * dots->total[place]);
        }
    }
}

/* The sum for each of these, 0.0 and not -0.0; `missing` where there is none. */
static PyObject *list_sums(const Graph *graph, const Sums *sums, PyObject *xs,
                           PyObject *missing)
{
    Py_ssize_t n = PyTuple_Size(xs);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(xs, i));
        PyObject *x = missing;
        if (is_there(place) && has_sum(sums, place))
            x = PyFloat_FromDouble(sums->total[place] + 0.0);
        else
            Py_INCREF(x);
        if (!x)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, i, x);
    }
    return list;
}

/* ---- the sweeps --------------------------------------------------------------------------- */

static PyObject **new_totals(uint32_t size)
{
    PyObject **totals = PyMem_Calloc((size_t)size + 1, sizeof *totals);
    return totals ? totals : (PyObject **)PyErr_NoMemory();
}

static void free_totals(PyObject **totals, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        Py_XDECREF(totals[i]);
    PyMem_Free(totals);
}

/* The copy of a Value from outside has no rule to run, but must be current when the first
   sweep comes here, as a node whose rules run then. */
static int input_reached(Graph *graph, uint32_t i)
{
    if (graph->marks[i] & AGAIN)
        return 0;
    if (require_current(graph, graph->nodes[i]) < 0)
        return -1;
    graph->marks[i] |= AGAIN;
    return 0;
}

/* Hand the adjoint of one node down. */
static int pull_one(Graph *graph, PyObject **bars, uint32_t i, PyObject *partials_of)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    PyObject *bar = bars[i];
    Partials partials = {NULL, NULL, node->edges};
    int failed = 0;
    if (is_leaf(node) || graph->marks[i] & INPUT)
        return bar != Py_None ? input_reached(graph, i) : 0;
    if (is_component(node))
        return gather_bar(graph, bars, i);
    if (is_call(node))
        return pull_call(graph, bars, i, partials_of);
    if (bar != Py_None && find_partials(graph, i, partials_of, &partials) < 0)
        return -1;
    for (uint32_t k = 0; !failed && k < node->count; k++) {
        PyObject *partial;
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS) || never(node, k))
            continue;
        partial = partial_at(&partials, k);
        failed = !partial || accumulate(&bars[operand[k]], share_of(node, partial, bar)) < 0;
        Py_XDECREF(partial);
    }
    Py_XDECREF(partials.given);
    return failed ? -1 : 0;
}

/* Gather the tangent of one node. */
static int push_one(Graph *graph, PyObject **dots, uint32_t i, PyObject *partials_of)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    Partials partials;
    int failed = 0;
    if (is_leaf(node) || graph->marks[i] & INPUT)
        return input_reached(graph, i);
    if (is_component(node))
        return take_dot(graph, dots, i);
    if (is_call(node))
        return push_call(graph, dots, i, partials_of);
    if (find_partials(graph, i, partials_of, &partials) < 0)
        return -1;
    for (uint32_t k = 0; !failed && k < node->count; k++) {
        PyObject *partial, *dot;
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS))
            continue;
        dot = dots[operand[k]] ? dots[operand[k]] : Py_None;
        partial = partial_at(&partials, k);
        failed = !partial;
        if (partial == Py_None || dots[operand[k]])
            failed = !partial || accumulate(&dots[i], share_of(node, partial, dot)) < 0;
        Py_XDECREF(partial);
    }
    Py_XDECREF(partials.given);
    return failed ? -1 : 0;
}

/* {node: total} of what has one, and the nodes in order, for who watches. */
static int show_sweep(const Graph *graph, PyObject **totals, const uint8_t *found,
                      int all, PyObject *seen)
{
    PyObject *known = PyDict_New(), *order = PyList_New(0), *done = NULL;
    int failed = !known || !order;
    for (uint32_t i = 0; !failed && i < graph->size; i++) {
        PyObject *node = (PyObject *)graph->nodes[i], *total = totals[i];
        int has = total && total != Py_None;
        if (graph->nodes[i] && is_call(graph->nodes[i]))
            continue;
        if (has)
            failed = PyDict_SetItem(known, node, total);
        if (!failed && (has || all) && found[i] & FOUND && graph->marks[i] & DEPENDS)
            failed = PyList_Append(order, node);
    }
    if (!failed)
        done = PyObject_CallFunctionObjArgs(seen, known, order, NULL);
    Py_XDECREF(known);
    Py_XDECREF(order);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* The total for each of these, 0.0 and not -0.0; `missing` where there is none. */
static PyObject *list_totals(const Graph *graph, PyObject **totals, PyObject *xs,
                             PyObject *missing)
{
    Py_ssize_t n = PyTuple_Size(xs);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(xs, i));
        PyObject *x = is_there(place) ? totals[place] : NULL;
        if (!x || x == Py_None)
            x = missing;
        if (PyFloat_CheckExact(x))
            x = PyFloat_FromDouble(PyFloat_AsDouble(x) + 0.0);
        else
            Py_INCREF(x);
        if (!x)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, i, x);
    }
    return list;
}

/* What `pull` and `push` are given, and what they keep by place. */
typedef struct {
    PyObject *ys, *bars; /* tuples: results of f, and their adjoints or inputs' tangents */
    PyObject *missing, *partials_of, *seen;
    uint8_t *found; /* what ys are made of */
} Sweep;

/* Whether it is arithmetic alone: nothing is live, and nobody watches. */
static int is_of_numbers(const Graph *graph, const Sweep *sweep)
{
    return !graph->live && !graph->whole && sweep->partials_of == Py_None &&
           sweep->seen == Py_None && all_floats(sweep->bars);
}

/* As `pull_numbers`, where there are calls. */
static int pull_through_calls(const Graph *graph, Sums *bars, Gathered **gathered)
{
    int failed = 0;
    for (uint32_t i = graph->size; !failed && i-- > 0;) {
        Node *node = graph->nodes[i];
        Shares shares;
        if (!node || !has_sum(bars, i))
            continue;
        if (is_component(node)) {
            uint32_t place = operand_place(graph, i, 0, node->edges);
            if (is_there(place)) {
                add_to(bars, place, 0.0);
                failed = gather_at(&gathered[place], node, bars->total[i]);
            }
            continue;
        }
        if (is_call(node) && (failed = pull_shares(node, gathered[i], &shares)) < 0)
            break;
        for (uint32_t k = 0; k < node->count; k++) {
            const Edge *edge = &node->edges[k];
            uint32_t place = left_out(edge) ? INSIDE : operand_place(graph, i, k, edge);
            if (!is_there(place) || (is_call(node) && !shares.there[k]))
                continue;
            add_to(bars, place,
                   is_call(node) ? shares.share[k] : edge->partial * bars->total[i]);
        }
        if (is_call(node))
            free_shares(&shares);
    }
    return failed;
}

static int pull_all_numbers(const Graph *graph, Sums *bars)
{
    Gathered **gathered;
    int failed;
    if (!graph->calls) {
        pull_numbers(graph, bars);
        return 0;
    }
    if (!(gathered = PyMem_Calloc((size_t)graph->size + 1, sizeof *gathered))) {
        PyErr_NoMemory();
        return -1;
    }
    failed = pull_through_calls(graph, bars, gathered);
    for (uint32_t i = 0; i < graph->size; i++)
        PyMem_Free(gathered[i]);
    PyMem_Free(gathered);
    return failed;
}

static PyObject *pull_plainly(Graph *graph, const Sweep *sweep)
{
    PyObject *found = NULL;
    Sums bars;
    if (init_sums(&bars, graph->size) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_Size(sweep->ys); i++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(sweep->ys, i));
        if (is_there(place))
            add_to(&bars, place, PyFloat_AsDouble(PyTuple_GetItem(sweep->bars, i)));
    }
    if (pull_all_numbers(graph, &bars) == 0)
        found = list_sums(graph, &bars, graph->inputs, sweep->missing);
    free_sums(&bars);
    return found;
}

static PyObject *push_plainly(Graph *graph, const Sweep *sweep)
{
    PyObject *found = NULL;
    Sums dots;
    if (init_sums(&dots, graph->size) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < PyTuple_Size(graph->inputs); i++)
        add_to(&dots, place_of_any(graph, PyTuple_GetItem(graph->inputs, i)),
               PyFloat_AsDouble(PyTuple_GetItem(sweep->bars, i)));
    push_numbers(graph, &dots);
    found = list_sums(graph, &dots, sweep->ys, sweep->missing);
    free_sums(&dots);
    return found;
}

static PyObject *pull_recording(Graph *graph, const Sweep *sweep)
{
    PyObject **bars = new_totals(graph->size), *list = NULL;
    int failed = !bars;
    for (Py_ssize_t i = 0; !failed && i < PyTuple_Size(sweep->ys); i++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(sweep->ys, i));
        PyObject *bar = PyTuple_GetItem(sweep->bars, i);
        if (!is_there(place))
            continue;
        Py_INCREF(bar);
        failed = accumulate(&bars[place], bar);
    }
    for (uint32_t i = graph->size; !failed && i-- > 0;)
        if (bars[i] && sweep->found[i] & FOUND && graph->marks[i] & DEPENDS)
            failed = pull_one(graph, bars, i, sweep->partials_of);
    if (!failed && sweep->seen != Py_None)
        failed = show_sweep(graph, bars, sweep->found, 0, sweep->seen);
    if (!failed)
        list = list_totals(graph, bars, graph->inputs, sweep->missing);
    if (bars)
        free_totals(bars, graph->size);
    return list;
}

static PyObject *push_recording(Graph *graph, const Sweep *sweep)
{
    PyObject **dots = new_totals(graph->size), *list = NULL;
    int failed = !dots;
    for (Py_ssize_t i = 0; !failed && i < PyTuple_Size(graph->inputs); i++) {
        PyObject *dot = PyTuple_GetItem(sweep->bars, i);
        if (dot == Py_None)
            continue;
        Py_INCREF(dot);
        failed = accumulate(
            &dots[place_of_any(graph, PyTuple_GetItem(graph->inputs, i))], dot);
    }
    for (uint32_t i = 0; !failed && i < graph->size; i++)
        if (sweep->found[i] & FOUND && graph->marks[i] & DEPENDS)
            failed = push_one(graph, dots, i, sweep->partials_of);
    if (!failed && sweep->seen != Py_None)
        failed = show_sweep(graph, dots, sweep->found, 1, sweep->seen);
    if (!failed)
        list = list_totals(graph, dots, sweep->ys, sweep->missing);
    if (dots)
        free_totals(dots, graph->size);
    return list;
}

#include "_slots.h"

/* A sweep of plain numbers, or one that records. */
static PyObject *walk(Graph *graph, Sweep *sweep, int up)
{
    PyObject *list = NULL;
    if (is_of_numbers(graph, sweep) && !(up && graph->calls)) {
        if (!graph->by_time && lay_edges(graph) < 0)
            return NULL;
        return up ? push_plainly(graph, sweep) : pull_plainly(graph, sweep);
    }
    if (need_marks(graph) < 0)
        return NULL;
    if (!(sweep->found = PyMem_Calloc((size_t)graph->size + 1, 1)))
        return PyErr_NoMemory();
    find_below(graph, sweep->found, sweep->ys, graph->whole && !up);
    if (!up && is_for_slots(graph, sweep))
        list = pull_in_slots(graph, sweep);
    else
        list = up ? push_recording(graph, sweep) : pull_recording(graph, sweep);
    PyMem_Free(sweep->found);
    return list;
}

/* Take what was given apart, and walk. */
static PyObject *start(Graph *graph, PyObject *args, int up)
{
    PyObject *ys, *bars, *list = NULL;
    Sweep sweep;
    if (!PyArg_ParseTuple(args, "OOOOO", &ys, &bars, &sweep.missing, &sweep.partials_of,
                          &sweep.seen))
        return NULL;
    sweep.ys = PySequence_Tuple(ys);
    sweep.bars = PySequence_Tuple(bars);
    if (sweep.ys && sweep.bars &&
        PyTuple_Size(sweep.bars) != PyTuple_Size(up ? graph->inputs : sweep.ys))
        PyErr_SetString(PyExc_ValueError, "Graph: there must be one number for each");
    else if (sweep.ys && sweep.bars)
        list = walk(graph, &sweep, up);
    Py_XDECREF(sweep.ys);
    Py_XDECREF(sweep.bars);
    return list;
}

/* pull(ys, y_bars, missing, partials_of, seen) */
static PyObject *graph_pull(PyObject *self, PyObject *args)
{
    return start((Graph *)self, args, 0);
}

/* push(ys, x_dots, missing, partials_of, seen) */
static PyObject *graph_push(PyObject *self, PyObject *args)
{
    return start((Graph *)self, args, 1);
}

#include "_columns.h"
#include "_along.h"
#include "_pushing.h"
#include "_sparse_rows.h"

/* ---- the type --------------------------------------------------------------------------- */

static int graph_traverse(PyObject *self, visitproc visit, void *arg)
{
    Graph *graph = (Graph *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(graph->roots);
    Py_VISIT(graph->inputs);
    Py_VISIT(graph->older);
    for (size_t i = edges_again(graph); i-- > 0;)
        Py_VISIT(graph->again[i]);
    return 0;
}

static int graph_clear(PyObject *self)
{
    Graph *graph = (Graph *)self;
    forget_again(graph);
    graph->size = 0; /* the nodes may go with those that follow */
    Py_CLEAR(graph->roots);
    Py_CLEAR(graph->inputs);
    Py_CLEAR(graph->older);
    return 0;
}

static void graph_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    graph_clear(self);
    Py_CLEAR(((Graph *)self)->operation);
    PyMem_Free(((Graph *)self)->nodes);
    PyMem_Free(((Graph *)self)->first);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef graph_methods[] = {
    {"mark", graph_mark, METH_O, "Find what depends on the inputs, and what is live."},
    {"depends", graph_depends, METH_O, "Whether x depends on the inputs."},
    {"live", graph_live, METH_O, "Whether x depends on Values from outside."},
    {"lower", graph_lower, METH_VARARGS, "Numbers, save where Values have a say."},
    {"pull", graph_pull, METH_VARARGS, "Reverse sweep: the adjoints of the inputs."},
    {"columns", graph_columns, METH_VARARGS, "Forward sweeps, one for each input."},
    {"along", graph_along, METH_VARARGS, "The tangents of a gradient, or None."},
    {"push", graph_push, METH_VARARGS, "Forward sweep: the tangents of the results."},
    {NULL, NULL, 0, NULL}};

static PyMemberDef graph_members[] = {
    {"older", T_OBJECT_EX, offsetof(Graph, older), READONLY, NULL},
    {"operation", T_OBJECT_EX, offsetof(Graph, operation), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot graph_slots[] = {
    {Py_tp_new, graph_new},
    {Py_tp_dealloc, graph_dealloc},
    {Py_tp_traverse, graph_traverse},
    {Py_tp_clear, graph_clear},
    {Py_tp_methods, graph_methods},
    {Py_tp_members, graph_members},
    {0, NULL}};

static PyType_Spec graph_spec = {
    .name = "autograd.graph.Graph",
    .basicsize = sizeof(Graph),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = graph_slots};
