/* What transforms walk: the graph of one run of f, and the sweeps over it. Read Graph in
   transforms.py first: it is the reference, in sets and dicts.

   Here each node has a place, in the order in which nodes were made, so that operands
   have places before their results; and what a sweep knows of a node lies in an array by
   place. The nodes themselves stay untouched, as f may have kept them, or other threads
   use them. A sweep is one walk down or up.

   place     of a node; INSIDE for what f made of its constants, OUTSIDE for what was
             there before f ran
   bars      adjoints by place, dots: tangents

   Where all is plain numbers, a sweep is arithmetic on doubles, and need not know what
   depends on the inputs: shares that lead nowhere do no harm. Where a Value from outside
   has a say, it records: adjoints are objects, rules run again, and may run any Python. */

enum { FOUND = 1, DEPENDS = 2, LIVE = 4, INPUT = 8 }; /* marks of a place */

static const uint32_t INSIDE = UINT32_MAX, OUTSIDE = UINT32_MAX - 1;

typedef struct {
    PyObject_HEAD
    PyObject *roots, *inputs, *older, *operation; /* which keep the nodes alive */
    Node **nodes;      /* by place; NULL where nothing of this graph was made */
    uint32_t size;     /* how many places there are */
    int64_t since, start; /* `start`: when the node of place 0 was made */
    uint32_t *first;   /* of each place: where the edges of its node begin, and the end */
    uint32_t *operand; /* of each edge: the place of its operand */
    uint8_t *marks;    /* of each place, once they are asked for, as are the two before */
    PyObject **again;  /* of each place: the partials by the rules on Values, or NULL */
    char by_time;      /* whether the place of a node follows from when it was made */
    char whole, live;
    char calls; /* whether there are calls with several results among the nodes */
} Graph;

static PyTypeObject *GraphType;

INLINE int is_there(uint32_t place) { return place < OUTSIDE; }

/* ---- how a graph is found ------------------------------------------------------------- */

/* Where the node is by its time; INSIDE if it is not there. */
INLINE uint32_t place_by_time(const Graph *graph, const Node *node)
{
    uint64_t at = (uint64_t)(node->made - graph->start);
    return at < graph->size && graph->nodes[at] == node ? (uint32_t)at : INSIDE;
}

static uint32_t place_of(const Graph *graph, const Node *node)
{
    uint32_t low = 0, high = graph->size;
    if (node->made < graph->since)
        return OUTSIDE;
    if (graph->by_time)
        return place_by_time(graph, node);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (graph->nodes[middle]->made < node->made)
            low = middle + 1;
        else
            high = middle;
    }
    return low < graph->size && graph->nodes[low] == node ? low : INSIDE;
}

/* Likewise, of anything that f may have given. */
static uint32_t place_of_any(const Graph *graph, PyObject *x)
{
    return is_value(x) ? place_of(graph, (Node *)x) : INSIDE;
}

INLINE int find(Search *search, Node *node)
{
    if (search->nodes + search->count == search->end && !grow(search)) {
        PyErr_NoMemory();
        return -1;
    }
    node->state |= MARKED;
    search->nodes[search->count++] = node;
    if (node->made < search->first)
        search->first = node->made;
    if (node->made > search->last)
        search->last = node->made;
    return 0;
}

/* A Value from outside goes to the list of the older ones once, and is marked. */
static int find_older(Graph *graph, Node *node)
{
    if (node->state & MARKED)
        return 0;
    if (PyList_Append(graph->older, (PyObject *)node) < 0)
        return -1;
    node->state |= MARKED;
    return 0;
}

/* Find what is below those that were found, be it left out or not. */
static int find_operands(Graph *graph, Search *search)
{
    for (size_t at = 0; at < search->count; at++) {
        Edge *edge = search->nodes[at]->edges, *end = edge + search->nodes[at]->count;
        for (; edge < end; edge++) {
            Node *operand = (Node *)edge->operand;
            int failed = 0;
            if (!is_value(edge->operand))
                continue;
            if (operand->made < graph->since)
                failed = find_older(graph, operand);
            else if (enters(operand, graph->since))
                failed = find(search, operand);
            if (failed)
                return -1;
        }
    }
    return 0;
}

static int find_all(Graph *graph, Search *search)
{
    PyObject *starts[2] = {graph->inputs, graph->roots};
    for (int is_root = 0; is_root < 2; is_root++)
        for (Py_ssize_t i = 0; i < PyTuple_Size(starts[is_root]); i++) {
            Node *node = (Node *)PyTuple_GetItem(starts[is_root], i);
            if (is_root ? enters(node, graph->since) : !(node->state & MARKED))
                if (find(search, node) < 0)
                    return -1;
        }
    return find_operands(graph, search);
}

/* Take the marks away, and put what was found in its places. */
static int put_in_places(Graph *graph, Search *search)
{
    uint64_t size = is_dense(search) ? span_of(search) : search->count;
    graph->by_time = (char)is_dense(search);
    graph->start = search->first;
    graph->nodes = size < OUTSIDE ? PyMem_Calloc((size_t)size + 1, sizeof(Node *)) : NULL;
    for (Py_ssize_t i = PyList_Size(graph->older); i-- > 0;)
        ((Node *)PyList_GetItem(graph->older, i))->state &= (uint8_t)~MARKED;
    if (!graph->nodes) {
        unmark(search);
        PyErr_NoMemory();
        return -1;
    }
    if (!graph->by_time)
        qsort(search->nodes, search->count, sizeof *search->nodes, made_before);
    for (size_t i = 0; i < search->count; i++) {
        Node *node = search->nodes[i];
        node->state &= (uint8_t)~MARKED;
        graph->nodes[graph->by_time ? (size_t)(node->made - graph->start) : i] = node;
        graph->calls |= (char)is_component(node);
    }
    graph->size = (uint32_t)size;
    return 0;
}

/* Marks are there only in here, where no Python runs. */
static int explore(Graph *graph)
{
    Search search;
    int failed, placed;
    init_search(&search);
    failed = find_all(graph, &search);
    placed = put_in_places(graph, &search);
    free_search(&search);
    return failed || placed ? -1 : 0;
}

/* Every input has a place, for sweeps to rely on. */
static int require_places(const Graph *graph)
{
    for (Py_ssize_t i = PyTuple_Size(graph->inputs); i-- > 0;)
        if (!is_there(place_of_any(graph, PyTuple_GetItem(graph->inputs, i)))) {
            PyErr_SetString(PyExc_ValueError, "Graph: inputs must be newer than `since`");
            return -1;
        }
    return 0;
}

static PyObject *values_only(PyObject *sequence)
{
    PyObject *tuple = PySequence_Tuple(sequence);
    for (Py_ssize_t i = tuple ? PyTuple_Size(tuple) : 0; i-- > 0;)
        if (!is_value(PyTuple_GetItem(tuple, i))) {
            PyErr_SetString(PyExc_TypeError, "Graph: roots and inputs must be Values");
            Py_CLEAR(tuple);
            break;
        }
    return tuple;
}

/* Graph(roots, inputs, since, operation) */
static PyObject *graph_new(PyTypeObject *type, PyObject *args,
                           PyObject *Py_UNUSED(keywords))
{
    PyObject *roots, *inputs, *operation;
    long long since;
    Graph *graph;
    if (!connected() ||
        !PyArg_ParseTuple(args, "OOLU:Graph", &roots, &inputs, &since, &operation) ||
        !(graph = (Graph *)PyType_GenericAlloc(type, 0)))
        return NULL;
    graph->since = since;
    Py_INCREF(operation);
    graph->operation = operation;
    if (!(graph->roots = values_only(roots)) || !(graph->inputs = values_only(inputs)) ||
        !(graph->older = PyList_New(0)) || explore(graph) < 0 ||
        require_places(graph) < 0)
        Py_CLEAR(graph);
    return (PyObject *)graph;
}

/* ---- what depends on the inputs ------------------------------------------------------- */

static size_t count_edges(const Graph *graph)
{
    size_t edges = 0;
    for (uint32_t i = 0; i < graph->size; i++)
        edges += graph->nodes[i] ? graph->nodes[i]->count : 0;
    return edges;
}

/* Room for what is kept of each edge and place, in one piece. */
static int make_room(Graph *graph)
{
    size_t edges = count_edges(graph), size = graph->size;
    char *room = NULL;
    if (edges < OUTSIDE)
        room = PyMem_Calloc((edges + size + 1) * sizeof(uint32_t) + size, 1);
    if (!room) {
        PyErr_NoMemory();
        return -1;
    }
    graph->first = (uint32_t *)(void *)room;
    graph->operand = graph->first + size + 1;
    graph->marks = (uint8_t *)(graph->operand + edges);
    return 0;
}

/* Look up the operand of each edge. */
static int lay_edges(Graph *graph)
{
    uint32_t next = 0;
    if (graph->first)
        return 0;
    if (make_room(graph) < 0)
        return -1;
    for (uint32_t i = 0; i < graph->size; i++) {
        Node *node = graph->nodes[i];
        graph->first[i] = next;
        for (uint32_t k = 0; node && k < node->count; k++)
            graph->operand[next++] = place_of_any(graph, node->edges[k].operand);
    }
    graph->first[graph->size] = next;
    return 0;
}

/* Mark as FOUND what these results are made of; unless whole, not what was left out. */
static void find_below(const Graph *graph, uint8_t *marks, PyObject *ys, int whole)
{
    uint32_t i = 0;
    for (Py_ssize_t k = PyTuple_Size(ys); k-- > 0;) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(ys, k));
        if (!is_there(place))
            continue;
        marks[place] |= FOUND;
        i = place >= i ? place + 1 : i;
    }
    while (i-- > 0) {
        const uint32_t *operand = graph->operand + graph->first[i];
        uint32_t count = marks[i] & FOUND ? graph->first[i + 1] - graph->first[i] : 0;
        for (uint32_t k = 0; k < count; k++)
            if (is_there(operand[k]) && (whole || !left_out(&graph->nodes[i]->edges[k])))
                marks[operand[k]] |= FOUND;
    }
}

/* Whether any place is live. */
static int mark_upwards(Graph *graph)
{
    uint8_t *marks = graph->marks, all = 0;
    for (uint32_t i = 0; i < graph->size; i++) {
        const uint32_t *operand = graph->operand + graph->first[i];
        uint32_t count = graph->first[i + 1] - graph->first[i];
        for (uint32_t k = 0; marks[i] & FOUND && k < count; k++) {
            int out = operand[k] == INSIDE || left_out(&graph->nodes[i]->edges[k]);
            if (operand[k] == OUTSIDE)
                marks[i] |= out ? 0 : LIVE;
            else if (operand[k] != INSIDE)
                marks[i] |= marks[operand[k]] & (out ? DEPENDS : DEPENDS | LIVE);
        }
        all |= marks[i];
    }
    return (all & LIVE) != 0;
}

/* Mark what depends on the inputs, and what is live. */
static int mark_all(Graph *graph)
{
    if (lay_edges(graph) < 0)
        return -1;
    memset(graph->marks, 0, graph->size);
    find_below(graph, graph->marks, graph->roots, graph->whole);
    for (Py_ssize_t i = PyTuple_Size(graph->inputs); i-- > 0;) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(graph->inputs, i));
        graph->marks[place] |= INPUT | DEPENDS | (is_leaf(graph->nodes[place]) ? 0 : LIVE);
    }
    graph->live = (char)mark_upwards(graph);
    return 0;
}

/* mark(whole) -> whether anything is live; nothing is where nothing is from outside, and
   then the marks are made when they are asked for. */
static PyObject *graph_mark(PyObject *self, PyObject *whole)
{
    Graph *graph = (Graph *)self;
    int is_whole = PyObject_IsTrue(whole);
    if (is_whole < 0)
        return NULL;
    graph->whole = (char)is_whole;
    if ((graph->first || PyList_Size(graph->older)) && mark_all(graph) < 0)
        return NULL;
    return PyBool_FromLong(graph->live);
}

static int need_marks(Graph *graph) { return graph->first ? 0 : mark_all(graph); }

static int is_marked(const Graph *graph, PyObject *x, uint8_t mark)
{
    uint32_t place = place_of_any(graph, x);
    return is_there(place) && (graph->marks[place] & mark);
}

static int is_live(const Graph *graph, PyObject *x)
{
    return is_value(x) &&
           (((Node *)x)->made < graph->since || (graph->live && is_marked(graph, x, LIVE)));
}

static PyObject *graph_depends(PyObject *self, PyObject *x)
{
    if (need_marks((Graph *)self) < 0)
        return NULL;
    return PyBool_FromLong(is_marked((Graph *)self, x, DEPENDS));
}

static PyObject *graph_live(PyObject *self, PyObject *x)
{
    return PyBool_FromLong(is_live((Graph *)self, x));
}

/* x itself where it depends on Values from outside, or is no Value; else its number. */
static PyObject *lowered(const Graph *graph, PyObject *x, PyObject *number)
{
    if (!is_value(x) || is_live(graph, x)) {
        Py_INCREF(x);
        return x;
    }
    if (number != Py_None)
        return PyObject_CallFunctionObjArgs(number, x, NULL);
    return get_data(x, NULL);
}

/* lower(xs, number) */
static PyObject *graph_lower(PyObject *self, PyObject *args)
{
    PyObject *given, *number, *xs, *list;
    int failed = 0;
    if (!PyArg_ParseTuple(args, "OO:lower", &given, &number) ||
        !(xs = PySequence_Tuple(given)))
        return NULL;
    list = PyList_New(0);
    for (Py_ssize_t i = 0; list && !failed && i < PyTuple_Size(xs); i++)
        failed = append(list, lowered((Graph *)self, PyTuple_GetItem(xs, i), number));
    Py_DECREF(xs);
    if (failed)
        Py_CLEAR(list);
    return list;
}

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

/* ---- sweeps that record --------------------------------------------------------------- */

static int is_one(PyObject *x) { return PyFloat_CheckExact(x) && PyFloat_AsDouble(x) == 1.0; }

static PyObject *product(PyObject *partial, PyObject *bar)
{
    if (is_value(partial) ? is_plain(bar) : is_value(bar) && is_plain(partial))
        return operator_mul(partial, bar);
    return PyNumber_Multiply(partial, bar);
}

/* partial · bar: see `_share` in transforms.py. */
static PyObject *share_of(Node *node, PyObject *partial, PyObject *bar)
{
    PyObject *same = partial;
    if (bar == Py_None)
        same = bar;
    else if (partial != Py_None && !is_one(bar)) {
        if (!is_one(partial))
            return product(partial, bar);
        if (is_value(bar) && !is_leaf(node) && row_of(node)->select)
            return method_identity(bar, NULL);
        same = bar;
    }
    Py_INCREF(same);
    return same;
}

/* The sum of two shares, of which None is that of an operand that was left out: see
   `_accumulate` in transforms.py. */
static PyObject *sum_of(PyObject *before, PyObject *share)
{
    PyObject *rest = share == Py_None ? before : share;
    if (before != Py_None && share != Py_None)
        return is_value(before) && is_plain(share) ? operator_add(before, share)
                                                   : PyNumber_Add(before, share);
    if (is_value(rest))
        return method_identity(rest, NULL);
    Py_INCREF(rest);
    return rest;
}

/* Add a share, whose reference this takes over, to a sum. */
static int accumulate(PyObject **sum, PyObject *share)
{
    PyObject *before = *sum, *after = share;
    if (!share)
        return -1;
    if (before) {
        after = sum_of(before, share);
        Py_DECREF(share);
        if (!after)
            return -1;
    }
    *sum = after;
    Py_XDECREF(before);
    return 0;
}

/* Whether no share ever goes to that operand: see `_never` in transforms.py. */
static int never(Node *node, uint32_t k)
{
    PyObject *partial = row_of(node)->select ? fixed_partial(row_of(node), k) : NULL;
    return partial && PyFloat_AsDouble(partial) == 0.0;
}

/* ---- rules that run again --------------------------------------------------------------- */

/* Raise if a leaf among the operands was assigned after node was computed. */
static int require_current(const Graph *graph, Node *node)
{
    PyObject *done;
    uint32_t k = 0;
    for (; k < node->count; k++) {
        Node *x = (Node *)node->edges[k].operand;
        if (is_value((PyObject *)x) && is_leaf(x) &&
            assigned(x)->partial > (double)node->made)
            break;
    }
    if (k == node->count)
        return 0;
    done = PyObject_CallFunctionObjArgs(python.current, (PyObject *)node,
                                        graph->operation, NULL);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* A plain number where x, whose reference this takes over, is a constant. */
static PyObject *settled(PyObject *x)
{
    Node *node = (Node *)x;
    PyObject *number;
    if (!x || !is_value(x) || is_leaf(node))
        return x;
    if (is_component(node))
        node = call_of(node);
    for (uint32_t k = 0; k < node->count; k++)
        if (!left_out(&node->edges[k]))
            return x;
    number = get_data(x, NULL);
    Py_DECREF(x);
    return number;
}

/* (z, x, y, …) of a node, as numbers where no Value from outside has a say. */
static PyObject *lowered_operands(const Graph *graph, Node *node)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)node->count + 1);
    for (uint32_t k = 0; tuple && k <= node->count; k++) {
        PyObject *x = k ? node->edges[k - 1].operand : (PyObject *)node;
        PyObject *low = lowered(graph, x, Py_None);
        if (!low)
            Py_CLEAR(tuple);
        else
            PyTuple_SetItem(tuple, (Py_ssize_t)k, low);
    }
    return tuple;
}

static int is_wanted(const Graph *graph, uint32_t i, uint32_t k)
{
    uint32_t place = graph->operand[graph->first[i] + k];
    return is_there(place) && graph->marks[place] & DEPENDS &&
           !left_out(&graph->nodes[i]->edges[k]);
}

static PyObject *wanted_operands(const Graph *graph, uint32_t i)
{
    Py_ssize_t n = graph->nodes[i]->count;
    PyObject *wanted = PyTuple_New(n);
    for (Py_ssize_t k = 0; wanted && k < n; k++) {
        PyObject *use = is_wanted(graph, i, (uint32_t)k) ? Py_True : Py_False;
        Py_INCREF(use);
        PyTuple_SetItem(wanted, k, use);
    }
    return wanted;
}

/* row.derivatives(z, x, y, …, wanted=…) by whatever method the row has. */
static PyObject *call_derivatives(Row *row, PyObject *operands, PyObject *wanted)
{
    PyObject *names = PyDict_New(), *method = NULL, *found = NULL;
    if (names && PyDict_SetItemString(names, "wanted", wanted) == 0) {
        if (Py_TYPE((PyObject *)row) == RowType)
            found = row_derivatives((PyObject *)row, operands, names);
        else if ((method = PyObject_GetAttrString((PyObject *)row, "derivatives")))
            found = PyObject_Call(method, operands, names);
    }
    Py_XDECREF(method);
    Py_XDECREF(names);
    return found;
}

static PyObject *derivatives(const Graph *graph, uint32_t i)
{
    Node *node = graph->nodes[i];
    PyObject *operands = lowered_operands(graph, node), *found = NULL;
    PyObject *wanted = operands ? wanted_operands(graph, i) : NULL;
    if (wanted)
        found = call_derivatives(row_of(node), operands, wanted);
    Py_XDECREF(operands);
    Py_XDECREF(wanted);
    if (found && PySequence_Size(found) != (Py_ssize_t)node->count) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError,
                            "derivatives: there must be one for each operand");
        Py_CLEAR(found);
    }
    return found;
}

/* z and the operands, as numbers where no Value from outside has a say. */
static void lower_items(const Graph *graph, uint32_t i, Item *items)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    items[0].object = (PyObject *)node;
    items[0].number = node->data;
    for (uint32_t k = 0; k < node->count; k++) {
        PyObject *x = node->edges[k].operand;
        int live = operand[k] == OUTSIDE ||
                   (is_there(operand[k]) && graph->marks[operand[k]] & LIVE);
        items[k + 1].object = live || !is_value(x) ? x : NULL;
        items[k + 1].number = number_of(x);
    }
}

/* Floats that were made for operands on the way. */
static void drop_items(Node *node, Item *items)
{
    for (uint32_t k = 0; k < node->count; k++)
        if (items[k + 1].object != node->edges[k].operand)
            Py_XDECREF(items[k + 1].object);
}

/* One partial by the rule for it, in C; NULL without an error where that cannot be. */
static PyObject *partial_in_c(Row *row, uint32_t k, Item *items)
{
    PyObject *fixed = fixed_partial(row, k), *rule = rule_of(row, k);
    if (!fixed)
        return rule ? run_rule(row, k, rule, items) : NULL;
    Py_INCREF(fixed);
    return fixed;
}

/* The partials of a node of the table whose rules C runs; None and 0.0 for those that
   nobody wants. NULL without an error where Python is to run them. */
static PyObject *rerun_in_c(const Graph *graph, uint32_t i)
{
    Item items[MOST_PLACES];
    Node *node = graph->nodes[i];
    Row *row = row_of(node);
    PyObject *partials;
    if (alert || !row->kernel || node->count != (uint32_t)row->arity ||
        !(partials = PyTuple_New(node->count)))
        return NULL;
    lower_items(graph, i, items);
    for (uint32_t k = 0; partials && k < node->count; k++) {
        PyObject *partial = left_out(&node->edges[k]) ? Py_None : small_floats[-LEAST];
        if (is_wanted(graph, i, k))
            partial = settled(partial_in_c(row, k, items));
        else
            Py_INCREF(partial);
        if (!partial)
            Py_CLEAR(partials);
        else
            PyTuple_SetItem(partials, (Py_ssize_t)k, partial);
    }
    drop_items(node, items);
    return partials;
}

/* Those of dot: the operands of the other half. */
static PyObject *rerun_dot(const Graph *graph, uint32_t i)
{
    Node *node = graph->nodes[i];
    uint32_t n = node->count;
    PyObject *partials = PyTuple_New(n);
    for (uint32_t k = 0; partials && k < n; k++) {
        PyObject *other = node->edges[(k + n / 2) % n].operand, *partial = Py_None;
        if (left_out(&node->edges[k]))
            Py_INCREF(partial);
        else
            partial = settled(lowered(graph, other, Py_None));
        if (!partial)
            Py_CLEAR(partials);
        else
            PyTuple_SetItem(partials, (Py_ssize_t)k, partial);
    }
    return partials;
}

/* Those of any node: a rule of Python may do what it likes. */
static PyObject *rerun_in_python(const Graph *graph, uint32_t i)
{
    Node *node = graph->nodes[i];
    PyObject *found = derivatives(graph, i);
    PyObject *partials = found ? PyTuple_New(node->count) : NULL;
    for (uint32_t k = 0; partials && k < node->count; k++) {
        PyObject *partial = Py_None;
        if (left_out(&node->edges[k]))
            Py_INCREF(partial);
        else
            partial = settled(PySequence_GetItem(found, (Py_ssize_t)k));
        if (!partial)
            Py_CLEAR(partials);
        else
            PyTuple_SetItem(partials, (Py_ssize_t)k, partial);
    }
    Py_XDECREF(found);
    return partials;
}

/* The partials of a live node by its rules, on Values: see `rerun` in transforms.py. */
static PyObject *rerun(const Graph *graph, uint32_t i)
{
    Row *row = row_of(graph->nodes[i]);
    PyObject *partials;
    if (require_current(graph, graph->nodes[i]) < 0)
        return NULL;
    if (row->is_dot && !alert)
        return rerun_dot(graph, i);
    partials = rerun_in_c(graph, i);
    return partials || PyErr_Occurred() ? partials : rerun_in_python(graph, i);
}

/* The partials of a place for a sweep that records, lent; NULL without an error where the
   recorded ones will do. */
static PyObject *partials_at(Graph *graph, uint32_t i)
{
    if (!(graph->marks[i] & LIVE))
        return NULL;
    if (!graph->again &&
        !(graph->again = PyMem_Calloc(graph->size, sizeof *graph->again)))
        return PyErr_NoMemory();
    if (!graph->again[i]) {
        PyObject *partials = rerun(graph, i); /* which may run a sweep of this graph */
        if (partials && graph->again[i])
            Py_DECREF(partials);
        else
            graph->again[i] = partials;
    }
    return graph->again[i];
}

/* Likewise, or those that `partials_of` gives; a reference to them. */
static PyObject *get_partials_at(Graph *graph, uint32_t i, PyObject *partials_of)
{
    PyObject *found;
    if (partials_of != Py_None)
        return PyObject_CallFunctionObjArgs(partials_of, (PyObject *)graph->nodes[i], NULL);
    found = partials_at(graph, i);
    Py_XINCREF(found);
    return found;
}

static PyObject *partial_at(Node *node, PyObject *partials, uint32_t k)
{
    return partials ? PySequence_GetItem(partials, (Py_ssize_t)k)
                    : partial_of(&node->edges[k]);
}

/* ---- calls with several results: see `_pull_call` in transforms.py ------------------------ */

static PyObject *tuple_or_null(PyObject *first, PyObject *second)
{
    PyObject *pair = first && second ? PyTuple_Pack(2, first, second) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return pair;
}

/* The results as new components, for rules to compute with. */
static PyObject *components_again(Node *call)
{
    size_t n = count_results(call);
    PyObject *ys = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; ys && i < n; i++) {
        PyObject *y = new_component(call, i);
        if (!y || PyTuple_SetItem(ys, (Py_ssize_t)i, y) < 0)
            Py_CLEAR(ys);
    }
    return ys;
}

static PyObject *lowered_edges(const Graph *graph, Node *call)
{
    PyObject *xs = PyTuple_New(call->count);
    for (uint32_t k = 0; xs && k < call->count; k++) {
        PyObject *x = lowered(graph, call->edges[k].operand, Py_None);
        if (!x || PyTuple_SetItem(xs, k, x) < 0)
            Py_CLEAR(xs);
    }
    return xs;
}

/* (ys, xs): as recorded, or as Values again. */
static PyObject *results_and_operands(Graph *graph, uint32_t i)
{
    Node *call = graph->nodes[i];
    PyObject *uses, *ys;
    int again;
    if (!(graph->marks[i] & LIVE))
        return tuple_or_null(floats_of(results(call), count_results(call)), point_of(call));
    if (require_current(graph, call) < 0 ||
        !(uses = PyObject_GetAttrString((PyObject *)own_row(call), "uses_results")))
        return NULL;
    again = PyObject_IsTrue(uses);
    Py_DECREF(uses);
    ys = again < 0 ? NULL
         : again   ? components_again(call)
                   : floats_of(results(call), count_results(call));
    return tuple_or_null(ys, ys ? lowered_edges(graph, call) : NULL);
}

/* What the row's `method` gives for these adjoints or tangents: a list. */
static PyObject *ask_call(Graph *graph, uint32_t i, const char *method, PyObject *given,
                          PyObject *partials_of)
{
    Node *call = graph->nodes[i];
    PyObject *pair, *found = NULL, *list;
    pair = partials_of == Py_None
               ? results_and_operands(graph, i)
               : PyObject_CallFunctionObjArgs(partials_of, (PyObject *)call, NULL);
    if (pair && PyTuple_Check(pair) && PyTuple_Size(pair) == 2)
        found = PyObject_CallMethod((PyObject *)own_row(call), method, "OOO",
                                    PyTuple_GetItem(pair, 0), PyTuple_GetItem(pair, 1),
                                    given);
    Py_XDECREF(pair);
    list = found ? PySequence_List(found) : NULL;
    Py_XDECREF(found);
    return list;
}

static PyObject *list_of_none(size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        Py_INCREF(Py_None);
        PyList_SetItem(list, (Py_ssize_t)i, Py_None);
    }
    return list;
}

static int all_none(PyObject *list)
{
    for (Py_ssize_t i = PyList_Size(list); i-- > 0;)
        if (PyList_GetItem(list, i) != Py_None)
            return 0;
    return 1;
}

static int require_count(PyObject *list, size_t count)
{
    if (!list || PyList_Size(list) == (Py_ssize_t)count)
        return list ? 0 : -1;
    PyErr_SetString(PyExc_ValueError, "a call's rule must give one number for each");
    return -1;
}

/* Keep the adjoint of a component until it is the call's turn. */
static int gather_bar(Graph *graph, PyObject **bars, uint32_t i)
{
    Node *node = graph->nodes[i];
    uint32_t place = graph->operand[graph->first[i]];
    PyObject *list, *before, *sum;
    if (!is_there(place) || !(graph->marks[place] & DEPENDS))
        return 0;
    if (!bars[place] && !(bars[place] = list_of_none(count_results(call_of(node)))))
        return -1;
    list = bars[place];
    before = PyList_GetItem(list, (Py_ssize_t)component_place(node));
    if (!before)
        return -1;
    Py_INCREF(before);
    if (before == Py_None || bars[i] == Py_None) {
        sum = before == Py_None ? bars[i] : before;
        Py_INCREF(sum);
    } else
        sum = PyNumber_Add(before, bars[i]);
    Py_DECREF(before);
    return sum ? PyList_SetItem(list, (Py_ssize_t)component_place(node), sum) : -1;
}

/* Hand down what one pullback gives for the adjoints of all results. */
static int pull_call(Graph *graph, PyObject **bars, uint32_t i, PyObject *partials_of)
{
    Node *call = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    PyObject *shares = all_none(bars[i])
                           ? list_of_none(call->count)
                           : ask_call(graph, i, "pull", bars[i], partials_of);
    int failed = require_count(shares, call->count);
    for (uint32_t k = 0; !failed && k < call->count; k++) {
        PyObject *share = PyList_GetItem(shares, k);
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS))
            continue;
        Py_INCREF(share);
        failed = accumulate(&bars[operand[k]], share);
    }
    Py_XDECREF(shares);
    return failed;
}

/* Keep the tangents of all results of a call, by one pushforward. */
static int push_call(Graph *graph, PyObject **dots, uint32_t i, PyObject *partials_of)
{
    Node *call = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    PyObject *given = list_of_none(call->count);
    for (uint32_t k = 0; given && k < call->count; k++)
        if (is_there(operand[k]) && graph->marks[operand[k]] & DEPENDS && dots[operand[k]]) {
            Py_INCREF(dots[operand[k]]);
            PyList_SetItem(given, k, dots[operand[k]]);
        }
    if (given)
        dots[i] = all_none(given) ? list_of_none(count_results(call))
                                  : ask_call(graph, i, "push", given, partials_of);
    Py_XDECREF(given);
    return require_count(dots[i], count_results(call));
}

static int take_dot(Graph *graph, PyObject **dots, uint32_t i)
{
    uint32_t place = graph->operand[graph->first[i]];
    PyObject *dot;
    if (!is_there(place) || !dots[place])
        return 0;
    dot = PyList_GetItem(dots[place], (Py_ssize_t)component_place(graph->nodes[i]));
    Py_XINCREF(dot);
    return accumulate(&dots[i], dot);
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

/* The copy of a Value from outside: it has no rule to run, but must be current too. */
static int input_reached(const Graph *graph, uint32_t i)
{
    return require_current(graph, graph->nodes[i]);
}

/* Hand the adjoint of one node down. */
static int pull_one(Graph *graph, PyObject **bars, uint32_t i, PyObject *partials_of)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    PyObject *bar = bars[i], *partials = NULL;
    int failed = 0;
    if (is_leaf(node) || graph->marks[i] & INPUT)
        return bar != Py_None ? input_reached(graph, i) : 0;
    if (is_component(node))
        return gather_bar(graph, bars, i);
    if (is_call(node))
        return pull_call(graph, bars, i, partials_of);
    if (bar != Py_None)
        partials = get_partials_at(graph, i, partials_of);
    if (!partials && PyErr_Occurred())
        return -1;
    for (uint32_t k = 0; !failed && k < node->count; k++) {
        PyObject *partial;
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS) || never(node, k))
            continue;
        partial = partial_at(node, partials, k);
        failed = !partial || accumulate(&bars[operand[k]], share_of(node, partial, bar)) < 0;
        Py_XDECREF(partial);
    }
    Py_XDECREF(partials);
    return failed ? -1 : 0;
}

/* Gather the tangent of one node. */
static int push_one(Graph *graph, PyObject **dots, uint32_t i, PyObject *partials_of)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    PyObject *partials;
    int failed = 0;
    if (is_leaf(node) || graph->marks[i] & INPUT)
        return input_reached(graph, i);
    if (is_component(node))
        return take_dot(graph, dots, i);
    if (is_call(node))
        return push_call(graph, dots, i, partials_of);
    partials = get_partials_at(graph, i, partials_of);
    if (!partials && PyErr_Occurred())
        return -1;
    for (uint32_t k = 0; !failed && k < node->count; k++) {
        PyObject *partial, *dot;
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS))
            continue;
        dot = dots[operand[k]] ? dots[operand[k]] : Py_None;
        partial = partial_at(node, partials, k);
        failed = !partial || accumulate(&dots[i], share_of(node, partial, dot)) < 0;
        Py_XDECREF(partial);
    }
    Py_XDECREF(partials);
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

#include "_along.h"

/* ---- the type --------------------------------------------------------------------------- */

static void forget_again(Graph *graph)
{
    PyObject **again = graph->again;
    graph->again = NULL;
    for (uint32_t i = 0; again && i < graph->size; i++)
        Py_XDECREF(again[i]);
    PyMem_Free(again);
}

static int graph_traverse(PyObject *self, visitproc visit, void *arg)
{
    Graph *graph = (Graph *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(graph->roots);
    Py_VISIT(graph->inputs);
    Py_VISIT(graph->older);
    for (uint32_t i = 0; graph->again && i < graph->size; i++)
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
    .name = "autograd.transforms.Graph",
    .basicsize = sizeof(Graph),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = graph_slots};

/* ---- the inputs --------------------------------------------------------------------------- */

/* A leaf for a number, an identity node with the same label for a Value. */
static PyObject *copy_of(PyObject *x)
{
    PyObject *copy, *label;
    int failed;
    if (PyFloat_CheckExact(x))
        return new_leaf(PyFloat_AsDouble(x));
    if (!is_value(x)) {
        PyErr_SetString(PyExc_TypeError, "copies: they must be of Values and floats");
        return NULL;
    }
    copy = method_identity(x, NULL);
    if (!copy || !(((Node *)x)->traits & NOTED))
        return copy;
    label = PyObject_GetAttrString(x, "label");
    failed = !label || PyObject_SetAttrString(copy, "label", label) < 0;
    Py_XDECREF(label);
    if (failed)
        Py_CLEAR(copy);
    return copy;
}

/* copies(xs): see transforms.py. */
static PyObject *copies(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *xs = connected() ? PySequence_Tuple(given) : NULL;
    PyObject *list = xs ? PyList_New(0) : NULL;
    int failed = 0;
    for (Py_ssize_t i = 0; list && !failed && i < PyTuple_Size(xs); i++)
        failed = append(list, copy_of(PyTuple_GetItem(xs, i)));
    Py_XDECREF(xs);
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* oldest(xs, since, used): see transforms.py. */
static PyObject *oldest(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given, *used, *xs, *found = Py_None;
    long long since;
    if (!PyArg_ParseTuple(args, "OLO!:oldest", &given, &since, &PyDict_Type, &used) ||
        !(xs = PySequence_Tuple(given)))
        return NULL;
    for (Py_ssize_t i = 0; found && i < PyTuple_Size(xs); i++) {
        PyObject *x = PyTuple_GetItem(xs, i);
        if (!is_value(x) || ((Node *)x)->made >= since)
            continue;
        if (found == Py_None || ((Node *)x)->made < ((Node *)found)->made)
            found = x;
        if (PyDict_SetItem(used, x, Py_None) < 0)
            found = NULL;
    }
    Py_XINCREF(found);
    Py_DECREF(xs);
    return found;
}
