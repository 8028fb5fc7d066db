/* What transforms walk: the graph of one run of f, and the sweeps over it. Read Graph in
   graph.py first: it is the reference, in sets and dicts.

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

enum { FOUND = 1, DEPENDS = 2, LIVE = 4, INPUT = 8, AGAIN = 16, IN_SLOTS = 32 }; /* marks */

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
    PyObject **again;  /* of each edge: the partial by the rule on Values, if AGAIN */
    struct Slots *slots; /* likewise, without Values: see `_slots.h` */
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
    }
    graph->size = (uint32_t)size;
    graph->calls = (char)has_calls(search);
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

static size_t edges_again(const Graph *graph)
{
    return graph->again ? graph->first[graph->size] : 0;
}

static void free_slots(Graph *graph);

static void forget_again(Graph *graph)
{
    size_t edges = edges_again(graph);
    PyObject **again = graph->again;
    graph->again = NULL;
    for (size_t i = 0; i < edges; i++)
        Py_XDECREF(again[i]);
    PyMem_Free(again);
    free_slots(graph);
}

/* Mark what depends on the inputs, and what is live. */
static int mark_all(Graph *graph)
{
    if (lay_edges(graph) < 0)
        return -1;
    forget_again(graph);
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
    if (!PyArg_ParseTuple(args, "OLO:oldest", &given, &since, &used) ||
        !(xs = PySequence_Tuple(given)))
        return NULL;
    for (Py_ssize_t i = 0; found && i < PyTuple_Size(xs); i++) {
        PyObject *x = PyTuple_GetItem(xs, i);
        if (!is_value(x) || ((Node *)x)->made >= since)
            continue;
        if (found == Py_None || ((Node *)x)->made < ((Node *)found)->made)
            found = x;
        if (used != Py_None && PyDict_SetItem(used, x, Py_None) < 0)
            found = NULL;
    }
    Py_XINCREF(found);
    Py_DECREF(xs);
    return found;
}
