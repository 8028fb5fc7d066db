/* What a sweep does at a node when it records: shares, their sums, and partials by the
   rules on Values, each found once for all sweeps of a graph. In C where `_rules.h` has
   the rule; see `rerun`, `_share` and `_accumulate` in graph.py. */

/* ---- shares and their sums -------------------------------------------------------------- */

static int is_one(PyObject *x) { return PyFloat_CheckExact(x) && PyFloat_AsDouble(x) == 1.0; }

/* partial · bar: see `_share` in graph.py. */
static PyObject *share_of(Node *node, PyObject *partial, PyObject *bar)
{
    PyObject *same = partial;
    if (bar == Py_None)
        same = bar;
    else if (partial != Py_None && !is_one(bar)) {
        if (!is_one(partial))
            return is_share(partial) || is_share(bar) ? share_multiply(partial, bar)
                                                      : times(partial, bar);
        if (is_value(bar) && !is_leaf(node) && row_of(node)->select)
            return method_identity(bar, NULL);
        same = bar;
    }
    Py_INCREF(same);
    return same;
}

/* The sum of two shares, of which None is that of an operand that was left out: see
   `_accumulate` in graph.py. */
static PyObject *sum_of(PyObject *before, PyObject *share)
{
    PyObject *rest = share == Py_None ? before : share;
    if (before != Py_None && share != Py_None)
        return is_share(before) || is_share(share) ? share_add(before, share)
                                                   : plus(before, share);
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

/* Whether no share ever goes to that operand: see `_never` in graph.py. */
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

/* Whether it is a computed Value that has no parent. */
static int is_constant(PyObject *x)
{
    Node *node = (Node *)x;
    if (!is_value(x) || is_leaf(node))
        return 0;
    if (is_component(node))
        node = call_of(node);
    for (uint32_t k = 0; k < node->count; k++)
        if (!left_out(&node->edges[k]))
            return 0;
    return 1;
}

/* A plain number where x, whose reference this takes over, is a constant, or what stands
   for one in a trace. */
static PyObject *settled(PyObject *x, Recorder *recorder)
{
    PyObject *number;
    if (!x || !is_constant(x))
        return x;
    number = recorder ? number_of_value(recorder, x) : get_data(x, NULL);
    Py_DECREF(x);
    return number;
}

/* settled(x, number): see graph.py. */
static PyObject *settle_number(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *x, *number;
    if (!PyArg_ParseTuple(args, "OO:settled", &x, &number))
        return NULL;
    if (is_constant(x))
        return number == Py_None ? get_data(x, NULL)
                                 : PyObject_CallFunctionObjArgs(number, x, NULL);
    Py_INCREF(x);
    return x;
}

/* (z, x, y, …) of a node, as numbers where no Value from outside has a say. */
static PyObject *lowered_operands(const Graph *graph, Node *node, Recorder *recorder)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)node->count + 1);
    for (uint32_t k = 0; tuple && k <= node->count; k++) {
        PyObject *x = k ? node->edges[k - 1].operand : (PyObject *)node;
        PyObject *low = lowered_for(graph, x, recorder);
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

static PyObject *derivatives(const Graph *graph, uint32_t i, Recorder *recorder)
{
    Node *node = graph->nodes[i];
    PyObject *operands = lowered_operands(graph, node, recorder), *found = NULL;
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

/* What rules give, on Values, goes into an array with room for each operand: None where
   the operand was left out, and NULL where nobody wants to know. */

static void forget(PyObject **partials, uint32_t n)
{
    while (n-- > 0)
        Py_CLEAR(partials[n]);
}

/* Of a row of the table. 1 if C has run the rules, 0 where Python is to run them. */
static int rerun_live(const Graph *graph, uint32_t i, PyObject **into)
{
    Item items[MOST_PLACES];
    Node *node = graph->nodes[i];
    Row *row = row_of(node);
    int done = !alert && row->kernel && node->count == (uint32_t)row->arity;
    if (!done)
        return 0;
    lower_items(graph, i, items);
    for (uint32_t k = 0; done && k < node->count; k++) {
        if (!is_wanted(graph, i, k))
            continue;
        into[k] = settled(partial_in_c(row, k, items), NULL);
        done = into[k] != NULL;
    }
    drop_items(node, items);
    return done;
}

/* Of dot: the operands of the other half. */
static int rerun_dot(const Graph *graph, uint32_t i, Recorder *recorder, PyObject **into)
{
    Node *node = graph->nodes[i];
    uint32_t n = node->count;
    for (uint32_t k = 0; k < n; k++) {
        PyObject *other = node->edges[(k + n / 2) % n].operand;
        if (is_wanted(graph, i, k) &&
            !(into[k] = settled(lowered_for(graph, other, recorder), recorder)))
            return -1;
    }
    return 0;
}

/* Of any row: a rule of Python may do what it likes. */
static int rerun_in_python(const Graph *graph, uint32_t i, Recorder *recorder,
                           PyObject **into)
{
    Node *node = graph->nodes[i];
    PyObject *found = derivatives(graph, i, recorder);
    int failed = !found;
    for (uint32_t k = 0; !failed && k < node->count; k++)
        if (!left_out(&node->edges[k]))
            failed = !(into[k] = settled(PySequence_GetItem(found, (Py_ssize_t)k), recorder));
    Py_XDECREF(found);
    return failed;
}

/* Likewise, in a trace; then for all rules there is a line, or none has run. */
static int rerun_followed(const Graph *graph, uint32_t i, Recorder *recorder,
                          PyObject **into)
{
    int done = rerun_traced(graph, i, recorder, into);
    for (uint32_t k = 0; done > 0 && k < graph->nodes[i]->count; k++)
        if (into[k] && !(into[k] = settled(into[k], recorder)))
            done = -1;
    return done;
}

/* The partials of a live node by its rules, on Values: see `rerun` in graph.py; in a trace
   of one that it follows, too. */
static int rerun(const Graph *graph, uint32_t i, Recorder *recorder, PyObject **into)
{
    Node *node = graph->nodes[i];
    int failed = require_current(graph, node) < 0, done;
    if (!failed && row_of(node)->is_dot && (recorder || !alert))
        failed = rerun_dot(graph, i, recorder, into);
    else if (!failed) {
        done = recorder ? rerun_followed(graph, i, recorder, into)
                        : rerun_live(graph, i, into);
        if (done <= 0) {
            forget(into, node->count);
            failed = PyErr_Occurred() || rerun_in_python(graph, i, recorder, into);
        }
    }
    for (uint32_t k = 0; !failed && k < node->count; k++)
        if (left_out(&node->edges[k])) {
            Py_INCREF(Py_None);
            into[k] = Py_None;
        }
    return failed ? -1 : 0;
}

/* Keep what rules give for a place. Python may run meanwhile, and sweep this graph. */
static int keep_again(Graph *graph, uint32_t i, Recorder *recorder, int is_choice)
{
    uint32_t n = graph->nodes[i]->count;
    PyObject *buffer[SHORT] = {NULL}, **into = buffer;
    int failed;
    if (n > SHORT && !(into = PyMem_Calloc(n, sizeof *into))) {
        PyErr_NoMemory();
        return -1;
    }
    failed = rerun(graph, i, recorder, into);
    if (!failed && is_choice)
        failed = choose(recorder, into, n);
    if (!failed && !(graph->marks[i] & AGAIN)) {
        memcpy(graph->again + graph->first[i], into, n * sizeof *into);
        graph->marks[i] |= AGAIN;
    } else
        forget(into, n);
    if (into != buffer)
        PyMem_Free(into);
    return failed;
}

/* Where a sweep that records has the partials of a node from. */
typedef struct {
    PyObject *given; /* a sequence, if somebody else finds them */
    PyObject **again;
    const Edge *edges; /* as recorded, where neither is there */
} Partials;

static int make_room_again(Graph *graph)
{
    size_t edges = graph->first[graph->size];
    if (graph->again || (graph->again = PyMem_Calloc(edges + 1, sizeof *graph->again)))
        return 0;
    PyErr_NoMemory();
    return -1;
}

static int find_partials(Graph *graph, uint32_t i, PyObject *partials_of, Partials *partials)
{
    Node *node = graph->nodes[i];
    Recorder *recorder = recorder_of(partials_of);
    int is_followed = 0;
    partials->given = NULL;
    partials->again = NULL;
    partials->edges = node->edges;
    if (partials_of != Py_None && !recorder) {
        partials->given = PyObject_CallFunctionObjArgs(partials_of, (PyObject *)node, NULL);
        return partials->given ? 0 : -1;
    }
    if (recorder && (is_followed = follows(recorder, (PyObject *)node)) < 0)
        return -1;
    if (!is_followed && !(graph->marks[i] & LIVE))
        return 0;
    if (make_room_again(graph) < 0)
        return -1;
    if (!(graph->marks[i] & AGAIN) &&
        keep_again(graph, i, recorder, is_followed && row_of(node)->select) < 0)
        return -1;
    partials->again = graph->again + graph->first[i];
    return 0;
}

static PyObject *partial_at(const Partials *partials, uint32_t k)
{
    PyObject *partial;
    if (partials->given)
        return PySequence_GetItem(partials->given, (Py_ssize_t)k);
    if (!partials->again)
        return partial_of(&partials->edges[k]);
    partial = partials->again[k];
    Py_INCREF(partial);
    return partial;
}
