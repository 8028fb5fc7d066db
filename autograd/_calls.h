/* Calls with several results in sweeps that record: components hand their adjoints to the
   call, which asks its one pullback; see `_pull_call` in graph.py. */

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

static PyObject *lowered_edges(const Graph *graph, Node *call, Recorder *recorder)
{
    PyObject *xs = PyTuple_New(call->count);
    for (uint32_t k = 0; xs && k < call->count; k++) {
        PyObject *x = lowered_for(graph, call->edges[k].operand, recorder);
        if (!x || PyTuple_SetItem(xs, k, x) < 0)
            Py_CLEAR(xs);
    }
    return xs;
}

/* What stands for the results in a trace, cut from their graph. */
static PyObject *numbers_again(PyObject *ys, Recorder *recorder)
{
    Py_ssize_t n = ys ? PyTuple_Size(ys) : 0;
    PyObject *numbers = ys ? PyTuple_New(n) : NULL;
    for (Py_ssize_t i = 0; numbers && i < n; i++) {
        PyObject *y = number_of_value(recorder, PyTuple_GetItem(ys, i));
        if (!y || PyTuple_SetItem(numbers, i, y) < 0)
            Py_CLEAR(numbers);
    }
    Py_XDECREF(ys);
    return numbers;
}

/* The results as rules are to compute with them. */
static PyObject *results_again(Graph *graph, uint32_t i, Recorder *recorder)
{
    PyObject *ys = components_again(graph->nodes[i]);
    return recorder && !(graph->marks[i] & LIVE) ? numbers_again(ys, recorder) : ys;
}

/* (ys, xs): as recorded, or as Values again. */
static PyObject *results_and_operands(Graph *graph, uint32_t i, Recorder *recorder)
{
    Node *call = graph->nodes[i];
    PyObject *uses, *ys;
    int again, is_followed = recorder ? follows(recorder, (PyObject *)call) : 0;
    if (is_followed < 0)
        return NULL;
    if (!is_followed && !(graph->marks[i] & LIVE))
        return tuple_or_null(floats_of(results(call), count_results(call)), point_of(call));
    if (require_current(graph, call) < 0 ||
        !(uses = PyObject_GetAttrString((PyObject *)own_row(call), "uses_results")))
        return NULL;
    again = PyObject_IsTrue(uses);
    Py_DECREF(uses);
    ys = again < 0 ? NULL
         : again   ? results_again(graph, i, recorder)
                   : floats_of(results(call), count_results(call));
    return tuple_or_null(ys, ys ? lowered_edges(graph, call, recorder) : NULL);
}

/* What the row's `method` gives for these adjoints or tangents: a list. */
static PyObject *ask_call(Graph *graph, uint32_t i, const char *method, PyObject *given,
                          PyObject *partials_of)
{
    Node *call = graph->nodes[i];
    PyObject *pair, *found = NULL, *list;
    Recorder *recorder = recorder_of(partials_of);
    pair = partials_of == Py_None || recorder
               ? results_and_operands(graph, i, recorder)
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

/* ---- for who walks a graph in Python -------------------------------------------------------- */

/* The partials of a node, None where a select leaves the operand out. */
static PyObject *list_partials(Graph *graph, uint32_t i, PyObject *partials_of)
{
    Node *node = graph->nodes[i];
    Partials partials;
    PyObject *list = NULL;
    int failed = find_partials(graph, i, partials_of, &partials) < 0;
    if (!failed && (list = PyList_New(0)))
        for (uint32_t k = 0; !failed && k < node->count; k++)
            failed = append(list, partials.again && !partials.again[k]
                                      ? PyFloat_FromDouble(0.0)
                                      : partial_at(&partials, k));
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* traced(node): see traced.py. */
static PyObject *traced_call(PyObject *self, PyObject *args, PyObject *Py_UNUSED(names))
{
    Graph *graph = (Graph *)((Traced *)self)->graph;
    PyObject *x;
    uint32_t i;
    if (!PyArg_ParseTuple(args, "O!:Traced", ValueType, &x) || need_marks(graph) < 0)
        return NULL;
    if (!is_there(i = place_of(graph, (Node *)x)) || is_component((Node *)x)) {
        PyErr_SetString(PyExc_ValueError, "Traced: it must be a node of the graph");
        return NULL;
    }
    if (is_leaf((Node *)x))
        return PyTuple_New(0);
    return is_call((Node *)x) ? results_and_operands(graph, i, recorder_of(self))
                              : list_partials(graph, i, self);
}

/* ---- what a traced sweep hands out --------------------------------------------------------- */

static int is_number_in(const Recorder *recorder, PyObject *x)
{
    return !is_value(x) || stands_for_number(recorder, x);
}

static PyObject *positive(PyObject *x)
{
    PyObject *zero = PyFloat_FromDouble(0.0), *sum = zero ? plus(x, zero) : NULL;
    Py_XDECREF(zero);
    return sum;
}

/* x as a constant that is a Value because of one from outside. */
static PyObject *constant_beside(PyObject *outside, PyObject *x)
{
    PyObject *args[3] = {PyFloat_FromDouble(0.0), outside, x}, *result = NULL;
    if (args[0])
        result = apply_row(ROW_where, args, 3);
    Py_XDECREF(args[0]);
    return result;
}

/* What stands for a float: 0.0, and not -0.0. */
static PyObject *number_out(PyObject *x, PyObject *outside)
{
    PyObject *sum = positive(x), *result;
    if (!sum || outside == Py_None)
        return sum;
    result = constant_beside(outside, sum);
    Py_DECREF(sum);
    return result;
}

/* A Value: no leaf of the caller's, nor a constant where none from outside has a say. */
static PyObject *value_out(PyObject *x, PyObject *outside, Recorder *recorder)
{
    PyObject *out = is_leaf((Node *)x) ? method_identity(x, NULL) : held(x), *result;
    if (outside == Py_None)
        out = settled(out, recorder);
    if (!out || !PyFloat_CheckExact(out))
        return out;
    result = positive(out);
    Py_DECREF(out);
    return result;
}

static PyObject *derivative_out(PyObject *x, PyObject *outside, Recorder *recorder)
{
    PyObject *total, *out;
    if (!is_share(x))
        return is_number_in(recorder, x) ? number_out(x, outside)
                                         : value_out(x, outside, recorder);
    total = is_number_in(recorder, ((Share *)x)->share) ? share_total(x, NULL)
                                                        : share_number(x, NULL);
    out = total ? derivative_out(total, outside, recorder) : NULL;
    Py_XDECREF(total);
    return out;
}

/* traced.derivatives(xs, outside): see traced.py. */
static PyObject *traced_derivatives(PyObject *self, PyObject *args)
{
    PyObject *given, *outside, *xs, *list;
    int failed = 0;
    if (!PyArg_ParseTuple(args, "OO:derivatives", &given, &outside) ||
        !(xs = PySequence_Tuple(given)))
        return NULL;
    list = PyList_New(0);
    for (Py_ssize_t i = 0; list && !failed && i < PyTuple_Size(xs); i++)
        failed = append(list, derivative_out(PyTuple_GetItem(xs, i), outside,
                                             ((Traced *)self)->recorder));
    Py_DECREF(xs);
    if (failed)
        Py_CLEAR(list);
    return list;
}
