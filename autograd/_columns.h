/* Forward sweeps, one for each input: `columns` of graph.py, for a Jacobian. Where all is
   plain numbers, one walk up takes the tangents of several inputs at once, side by side.

   An input that does not move has no tangent, so beside the tangents of a place there is
   a word that says which of them it has: an infinite slope times nothing is nothing. */

enum { WIDEST = 64, LEAST_WIDE = 4 };

/* The tangents of some inputs, from `begin` on, by place. */
typedef struct {
    double *total;
    uint64_t *has;
    uint32_t begin, width;
} Band;

static uint64_t all_of(const Band *band) { return UINT64_MAX >> (WIDEST - band->width); }

/* How many inputs one walk takes: as many as leave the numbers in about 64 MB. */
static uint32_t width_for(const Graph *graph, Py_ssize_t left)
{
    uint32_t width = WIDEST;
    while (width > LEAST_WIDE && (uint64_t)width * graph->size > UINT64_C(1) << 23)
        width /= 2;
    return left < (Py_ssize_t)width ? (uint32_t)left : width;
}

/* Add the share of one operand to the tangents of a place. */
static void add_band(const Band *band, uint32_t place, double partial, uint32_t operand)
{
    const double *x = band->total + (size_t)operand * band->width;
    double *z = band->total + (size_t)place * band->width;
    uint64_t there = band->has[operand], before = band->has[place];
    if (there == all_of(band) && before == there)
        for (uint32_t j = 0; j < band->width; j++)
            z[j] += partial * x[j];
    else if (there == all_of(band) && !before)
        for (uint32_t j = 0; j < band->width; j++)
            z[j] = partial * x[j];
    else
        for (uint32_t j = 0; j < band->width; j++)
            if (there >> j & 1)
                z[j] = before >> j & 1 ? z[j] + partial * x[j] : partial * x[j];
    band->has[place] = before | there;
}

static void push_band(const Graph *graph, const Band *band)
{
    for (uint32_t j = 0; j < band->width; j++) {
        PyObject *x = PyTuple_GetItem(graph->inputs, (Py_ssize_t)(band->begin + j));
        uint32_t place = place_of_any(graph, x);
        band->has[place] |= UINT64_C(1) << j;
        band->total[(size_t)place * band->width + j] = 1.0;
    }
    for (uint32_t i = 0; i < graph->size; i++) {
        const Edge *edge = graph->nodes[i] ? graph->nodes[i]->edges : NULL;
        for (uint32_t k = 0; edge && k < graph->nodes[i]->count; k++, edge++) {
            uint32_t place = left_out(edge) ? INSIDE : operand_place(graph, i, k, edge);
            if (is_there(place) && band->has[place])
                add_band(band, i, edge->partial, place);
        }
    }
}

/* The tangents of the results for one of the inputs. */
static PyObject *list_column(const Graph *graph, const Band *band, uint32_t j,
                             const Sweep *sweep)
{
    Py_ssize_t n = PyTuple_Size(sweep->ys);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(sweep->ys, i));
        PyObject *x = sweep->missing;
        if (is_there(place) && band->has[place] >> j & 1)
            x = PyFloat_FromDouble(band->total[(size_t)place * band->width + j] + 0.0);
        else
            Py_INCREF(x);
        if (!x)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, i, x);
    }
    return list;
}

static int append_band(const Graph *graph, const Band *band, const Sweep *sweep,
                       PyObject *columns)
{
    int failed = 0;
    for (uint32_t j = 0; !failed && j < band->width; j++)
        failed = append(columns, list_column(graph, band, j, sweep));
    return failed;
}

/* One walk for each band. */
static int columns_plainly(const Graph *graph, const Sweep *sweep, PyObject *columns)
{
    Py_ssize_t n = PyTuple_Size(graph->inputs), begin = 0;
    int failed = 0;
    while (!failed && begin < n) {
        uint32_t width = width_for(graph, n - begin);
        Band band = {NULL, NULL, (uint32_t)begin, width};
        band.total = PyMem_Malloc((size_t)graph->size * width * sizeof(double) + 1);
        band.has = PyMem_Calloc((size_t)graph->size + 1, sizeof(uint64_t));
        failed = !band.total || !band.has;
        if (failed)
            PyErr_NoMemory();
        else {
            push_band(graph, &band);
            failed = append_band(graph, &band, sweep, columns);
        }
        PyMem_Free(band.total);
        PyMem_Free(band.has);
        begin += width;
    }
    return failed;
}

/* 1.0 for one of the inputs, None for the others. */
static PyObject *rates(const Graph *graph, Py_ssize_t moving)
{
    Py_ssize_t n = PyTuple_Size(graph->inputs);
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; i++) {
        PyObject *rate = i == moving ? PyFloat_FromDouble(1.0) : Py_None;
        if (i != moving)
            Py_INCREF(rate);
        if (!rate)
            Py_CLEAR(tuple);
        else
            PyTuple_SetItem(tuple, i, rate);
    }
    return tuple;
}

/* A sweep that records for each; they share the partials that rules give. */
static int columns_recording(Graph *graph, Sweep *sweep, PyObject *columns)
{
    PyObject *none = sweep->bars;
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < PyTuple_Size(graph->inputs); i++) {
        sweep->bars = rates(graph, i);
        failed = !sweep->bars || append(columns, push_recording(graph, sweep));
        Py_XDECREF(sweep->bars);
    }
    sweep->bars = none;
    return failed;
}

static int walk_columns(Graph *graph, Sweep *sweep, PyObject *columns)
{
    int failed;
    if (is_of_numbers(graph, sweep) && !graph->calls) {
        if (!graph->by_time && lay_edges(graph) < 0)
            return -1;
        return columns_plainly(graph, sweep, columns);
    }
    if (need_marks(graph) < 0)
        return -1;
    if (!(sweep->found = PyMem_Calloc((size_t)graph->size + 1, 1))) {
        PyErr_NoMemory();
        return -1;
    }
    find_below(graph, sweep->found, sweep->ys, 0);
    failed = columns_recording(graph, sweep, columns);
    PyMem_Free(sweep->found);
    return failed;
}

/* columns(ys, missing, partials_of, seen): see graph.py. */
static PyObject *graph_columns(PyObject *self, PyObject *args)
{
    PyObject *ys, *columns = NULL;
    Sweep sweep;
    if (!PyArg_ParseTuple(args, "OOOO:columns", &ys, &sweep.missing, &sweep.partials_of,
                          &sweep.seen))
        return NULL;
    sweep.ys = PySequence_Tuple(ys);
    sweep.bars = PyTuple_New(0);
    if (sweep.ys && sweep.bars && (columns = PyList_New(0)) &&
        walk_columns((Graph *)self, &sweep, columns))
        Py_CLEAR(columns);
    Py_XDECREF(sweep.ys);
    Py_XDECREF(sweep.bars);
    return columns;
}
