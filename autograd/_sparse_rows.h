/* Sparse first derivatives of plain numbers: `push_rows` of pushing.py, which says what is
   done; read that first. Places, edges and lists are those of `_pushing.h`. */

/* ---- reverse sweeps, and a forward one ------------------------------------------------ */

/* Put a place on the heap, of which the latest comes first. */
static void wait_for(Pushing *push, uint32_t place)
{
    uint32_t at = push->waiting++;
    for (; at && push->heap[(at - 1) / 2] < place; at = (at - 1) / 2)
        push->heap[at] = push->heap[(at - 1) / 2];
    push->heap[at] = place;
}

static uint32_t take_latest(Pushing *push)
{
    uint32_t *heap = push->heap, latest = heap[0], last = heap[--push->waiting], at = 0;
    for (;;) {
        uint32_t below = 2 * at + 1;
        if (below + 1 < push->waiting && heap[below + 1] > heap[below])
            below++;
        if (below >= push->waiting || heap[below] <= last)
            break;
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = last;
    return latest;
}

/* The reverse sweep of one result, which takes from the shares that are left. */
static int sweep_row(Pushing *push, uint32_t start, Weights *row, double *left)
{
    if (!is_there(start) || !(push->graph->marks[start] & DEPENDS))
        return 0;
    push->bars[start] = weight_of(start, 1.0, 1);
    wait_for(push, start);
    while (push->waiting) {
        uint32_t i = take_latest(push);
        Weight bar = push->bars[i];
        push->bars[i].place = NOWHERE;
        if (!is_inner(push->graph, i)) {
            if (append_weight(push->slot, row, bar) < 0)
                return -1;
            continue;
        }
        if (take_edges(push, i))
            return -1;
        *left -= push->takes;
        for (uint32_t a = 0; a < push->takes; a++) {
            uint32_t j = push->taking[a].place;
            Weight share = scaled_weight(push->taking[a].partial, bar);
            share.place = j;
            if (push->bars[j].place != NOWHERE)
                add_weight(&push->bars[j], share);
            else {
                push->bars[j] = share;
                wait_for(push, j);
            }
        }
    }
    return 0;
}

/* 1 with the rows, 0 if they need more shares than are left, -1 with an error. */
static int rows_backward(Pushing *push, const uint32_t *starts, Py_ssize_t n,
                         Weights *rows, double left)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        int failed = sweep_row(push, starts[i], &rows[i], &left);
        if (failed || left < 0)
            return failed ? -1 : 0;
    }
    return 1;
}

static int gather_dots(Pushing *push, uint32_t i, double *left)
{
    Weights *own = &push->lists[i];
    if (take_edges(push, i))
        return -1;
    for (uint32_t a = 0; a < push->takes; a++) {
        const Weights *dots = &push->lists[push->taking[a].place];
        *left -= dots->count;
        for (uint32_t k = 0; k < dots->count; k++)
            if (append_weight(push->slot, own,
                             scaled_weight(push->taking[a].partial, dots->entry[k])) < 0)
                return -1;
    }
    merge(push->slot, own);
    return 0;
}

static int rows_forward(Pushing *push, const uint32_t *starts, Py_ssize_t n,
                        Weights *rows, double left)
{
    const Graph *graph = push->graph;
    for (uint32_t i = 0; i < graph->size; i++) {
        int failed = 0;
        if (is_inner(graph, i))
            failed = gather_dots(push, i, &left);
        else if (graph->nodes[i] && graph->marks[i] & INPUT)
            failed = append_weight(push->slot, &push->lists[i], weight_of(i, 1.0, 1));
        if (failed || left < 0)
            return failed ? -1 : 0;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        for (uint32_t k = 0; is_there(starts[i]) && k < push->lists[starts[i]].count; k++)
            if (append_weight(push->slot, &rows[i], push->lists[starts[i]].entry[k]) < 0)
                return -1;
    return 1;
}

enum { FIRST_TRY = 8 }; /* shares for each edge */

/* By reverse sweeps or a forward one, whichever needs fewer shares. */
static int find_rows(Pushing *push, const uint32_t *starts, Py_ssize_t n, Weights *rows)
{
    double most = 1.0;
    int found = 0;
    for (uint32_t i = 0; i < push->graph->size; i++)
        if (is_inner(push->graph, i)) {
            if (take_edges(push, i))
                return -1;
            most += push->takes;
        }
    while (!found) {
        most *= FIRST_TRY;
        found = rows_backward(push, starts, n, rows, most);
        if (!found) {
            forget_lists(rows, n);
            found = rows_forward(push, starts, n, rows, most);
            forget_lists(push->lists, push->graph->size);
        }
        if (!found)
            forget_lists(rows, n);
    }
    return found < 0 ? -1 : 0;
}

/* ---- from Python and back --------------------------------------------------------------- */

static PyObject *rows_of(Pushing *push, PyObject *ys)
{
    Py_ssize_t n = PyTuple_Size(ys);
    uint32_t *starts = PyMem_Malloc(((size_t)n + 1) * sizeof *starts);
    Weights *rows = PyMem_Calloc((size_t)n + 1, sizeof *rows);
    PyObject *found = NULL;
    for (Py_ssize_t i = 0; starts && i < n; i++)
        starts[i] = place_of_any(push->graph, PyTuple_GetItem(ys, i));
    if (!starts || !rows)
        PyErr_NoMemory();
    else if (find_rows(push, starts, n, rows) == 0)
        found = packed(push->graph, rows, n, 0);
    if (rows)
        forget_lists(rows, n);
    PyMem_Free(rows);
    PyMem_Free(starts);
    return found;
}

/* push_rows(graph, ys, facts) */
static PyObject *push_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given, *results, *tell, *ys, *found = NULL;
    Graph *graph;
    Pushing push;
    if (!PyArg_ParseTuple(args, "OOO:push_rows", &given, &results, &tell) ||
        !(graph = graph_in(given)))
        return NULL;
    if (!may_push(graph)) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    if (!(ys = PySequence_Tuple(results)))
        return NULL;
    if (begin_pushing(&push, graph, tell, Py_None) == 0)
        found = rows_of(&push, ys);
    end_pushing(&push);
    Py_DECREF(ys);
    return found;
}
