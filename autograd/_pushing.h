/* Sparse second derivatives of plain numbers: `push_pairs` of pushing.py, which says what
   is done; read that first. In the same order, so that every bit is the same.

   Second partials are derivatives of the rules' lines, on duals: see `_along.h`. Rows
   whose rules C does not run are left to Python, one node at a time, and graphs with
   calls of several results altogether.

   Like there, what a select left out has a share that is absent: its place counts. */

#include "_weights.h"

/* An edge that takes part. */
typedef struct {
    uint32_t position, place;
    Weight partial; /* less its place */
} Taking;

/* What Python says of a row with a kernel: see `facts` in pushing.py. */
enum { MOST_CELLS = MOST_OPERANDS * (MOST_OPERANDS + 1) / 2 };

typedef struct {
    uint8_t asked, moving[MOST_OPERANDS];
    uint8_t cells, first[MOST_CELLS], second[MOST_CELLS];
    uint8_t fixed, lopsided;
} Facts;

typedef struct {
    const Graph *graph;
    PyObject *tell, *seconds; /* `facts`, and what gives second partials of a node */
    Facts *known;             /* by number of the row */
    Weight *bars;             /* by place; one that no share has come to is NOWHERE */
    Weights *lists;           /* by place: pairs, or tangents */
    uint32_t *slot;           /* by place: where it is in the list that is merged */
    uint32_t *heap;
    Taking *taking; /* of one node */
    uint32_t takes, room, waiting;
} Pushing;

/* ---- what Python says ------------------------------------------------------------------ */

static int read_cells(PyObject *cells, Facts *facts)
{
    Py_ssize_t n = PyList_Size(cells);
    for (Py_ssize_t k = 0; k < n && k < MOST_CELLS; k++, facts->cells++)
        if (!PyArg_ParseTuple(PyList_GetItem(cells, k), "bb", &facts->first[k],
                              &facts->second[k]))
            return -1;
    return 0;
}

/* The facts of a row: into those, if it has a kernel, and for each operand if it moves. */
static int ask(const Pushing *push, Row *row, uint32_t count, Facts *facts, char *moving)
{
    PyObject *told = PyObject_CallFunction(push->tell, "OI", (PyObject *)row, count);
    PyObject *bytes, *cells;
    int fixed, lopsided, failed = !told;
    if (told && (!PyArg_ParseTuple(told, "O!O!pp", &PyBytes_Type, &bytes, &PyList_Type,
                                   &cells, &fixed, &lopsided) ||
                 PyBytes_Size(bytes) != (Py_ssize_t)count))
        failed = 1;
    if (failed && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "facts: there must be one for each operand");
    if (!failed)
        memcpy(moving, PyBytes_AsString(bytes), count);
    if (!failed && facts) {
        memcpy(facts->moving, moving, count);
        facts->fixed = (uint8_t)fixed;
        facts->lopsided = (uint8_t)lopsided;
        failed = read_cells(cells, facts);
        facts->asked = 1;
    }
    Py_XDECREF(told);
    return failed ? -1 : 0;
}

static Facts *facts_of(const Pushing *push, Row *row, uint32_t count)
{
    int has = row->kernel && !is_own(row) && count == (uint32_t)row->arity;
    return has ? &push->known[row->number] : NULL;
}

/* ---- the edges of a node --------------------------------------------------------------- */

static int need_room(Pushing *push, uint32_t count)
{
    Taking *more;
    if (count <= push->room)
        return 0;
    more = PyMem_Realloc(push->taking, ((size_t)count + 8) * sizeof *more);
    if (!more) {
        PyErr_NoMemory();
        return -1;
    }
    push->taking = more;
    push->room = count + 8;
    return 0;
}

static int find_moving(const Pushing *push, Node *node, char *moving)
{
    Row *row = row_of(node);
    Facts *facts = facts_of(push, row, node->count);
    if (facts && facts->asked) {
        memcpy(moving, facts->moving, node->count);
        return 0;
    }
    return ask(push, row, node->count, facts, moving);
}

/* The edges to what depends on the inputs and moves the node. */
static int take_edges(Pushing *push, uint32_t i)
{
    const Graph *graph = push->graph;
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    char buffer[SHORT], *moving = buffer;
    int failed;
    push->takes = 0;
    if (need_room(push, node->count) < 0)
        return -1;
    if (node->count > SHORT && !(moving = PyMem_Malloc(node->count))) {
        PyErr_NoMemory();
        return -1;
    }
    failed = find_moving(push, node, moving);
    for (uint32_t k = 0; !failed && k < node->count; k++) {
        const Edge *edge = &node->edges[k];
        Taking *taking = &push->taking[push->takes];
        if (!moving[k] || !is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS))
            continue;
        taking->position = k;
        taking->place = operand[k];
        taking->partial = weight_of(0, edge->partial, !left_out(edge));
        push->takes++;
    }
    if (moving != buffer)
        PyMem_Free(moving);
    return failed;
}

static int is_inner(const Graph *graph, uint32_t i)
{
    return graph->nodes[i] && graph->marks[i] & DEPENDS && !(graph->marks[i] & INPUT);
}

/* ---- pairs ----------------------------------------------------------------------------- */

/* Add to a pair, which is kept at the later of its places. */
static int add_pair(Pushing *push, uint32_t j, uint32_t k, Weight share, int twice)
{
    uint32_t at = j > k ? j : k;
    share.place = j > k ? k : j;
    if (twice)
        share.number += share.number;
    return append_weight(push->slot, &push->lists[at], share);
}

static int push_pairs_down(Pushing *push, uint32_t i)
{
    Weights list = push->lists[i];
    Weight own = weight_of(NOWHERE, 0.0, 0);
    int failed = 0;
    memset(&push->lists[i], 0, sizeof list);
    merge(push->slot, &list);
    for (uint32_t p = 0; !failed && p < list.count; p++) {
        Weight weight = list.entry[p];
        if (weight.place == i) {
            own = weight;
            continue;
        }
        for (uint32_t a = 0; !failed && a < push->takes; a++) {
            const Taking *edge = &push->taking[a];
            failed = add_pair(push, edge->place, weight.place,
                              scaled_weight(edge->partial, weight),
                              edge->place == weight.place);
        }
    }
    for (uint32_t a = 0; !failed && own.place != NOWHERE && a < push->takes; a++) {
        Weight share = scaled_weight(push->taking[a].partial, own);
        for (uint32_t b = 0; !failed && b <= a; b++) {
            uint32_t j = push->taking[a].place, k = push->taking[b].place;
            failed = add_pair(push, j, k, scaled_weight(push->taking[b].partial, share),
                              a != b && j == k);
        }
    }
    free_weights(&list);
    return failed;
}

static const Taking *taking_of(const Pushing *push, uint32_t position)
{
    uint32_t a = 0;
    while (a < push->takes && push->taking[a].position < position)
        a++;
    return a < push->takes && push->taking[a].position == position ? &push->taking[a]
                                                                   : NULL;
}

static int add_second(Pushing *push, uint32_t i, const Taking *a, const Taking *b, Weight c)
{
    return add_pair(push, a->place, b->place, scaled_weight(c, push->bars[i]),
                    a != b && a->place == b->place);
}

/* One second partial, by the rule for a on duals; 0 where C cannot run it. */
static int second_on_duals(const Pushing *push, uint32_t i, const Taking *a,
                           const Taking *b, Weight *found)
{
    Node *node = push->graph->nodes[i];
    Dual at[MOST_PLACES], second;
    at[0] = dual_number(node->data);
    at[0].kind = VALUE;
    if (b->partial.there)
        add_dot(&at[0], b->partial.number);
    for (uint32_t k = 0; k < node->count; k++)
        at[k + 1] = dual_number(number_of(node->edges[k].operand));
    at[b->position + 1].kind = VALUE;
    add_dot(&at[b->position + 1], 1.0);
    if (!partial_on_duals(row_of(node), a->position, at, &second))
        return 0;
    *found = weight_of(0, second.dot, second.kind == VALUE && second.has_dot);
    return 1;
}

/* 0 where C cannot run a rule, before any pair has got its share. */
static int seconds_in_c(Pushing *push, uint32_t i, int *failed)
{
    Node *node = push->graph->nodes[i];
    const Facts *facts = facts_of(push, row_of(node), node->count);
    Weight found[MOST_CELLS];
    if (!facts || (facts->lopsided && facts->cells))
        return 0;
    for (int pass = 0; pass < 2; pass++)
        for (unsigned c = 0; c < facts->cells && !*failed; c++) {
            const Taking *a = taking_of(push, facts->first[c]);
            const Taking *b = taking_of(push, facts->second[c]);
            if (!a || !b)
                continue;
            if (pass)
                *failed = add_second(push, i, a, b, found[c]);
            else if (facts->fixed)
                found[c] = weight_of(0, 1.0, 1);
            else if (!second_on_duals(push, i, a, b, &found[c]))
                return 0;
        }
    return 1;
}

static PyObject *positions_of(const Pushing *push)
{
    PyObject *list = PyList_New(0);
    int failed = 0;
    for (uint32_t a = 0; list && !failed && a < push->takes; a++)
        failed = append(list, PyLong_FromUnsignedLong(push->taking[a].position));
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* (a, b, number or None), as Python gives it. */
static int read_second(Pushing *push, uint32_t i, PyObject *item)
{
    PyObject *number;
    const Taking *a, *b;
    unsigned int first, second;
    Weight c;
    if (!PyArg_ParseTuple(item, "IIO", &first, &second, &number))
        return -1;
    a = taking_of(push, first);
    b = taking_of(push, second);
    c = weight_of(0, number == Py_None ? 0.0 : PyFloat_AsDouble(number), number != Py_None);
    if (PyErr_Occurred() || !a || !b)
        return PyErr_Occurred() ? -1 : 0;
    return add_second(push, i, a, b, c);
}

static int seconds_in_python(Pushing *push, uint32_t i)
{
    PyObject *positions = positions_of(push), *found = NULL;
    int failed = 1;
    if (positions)
        found = PyObject_CallFunctionObjArgs(
            push->seconds, (PyObject *)push->graph->nodes[i], positions, NULL);
    if (found && !PyList_Check(found))
        PyErr_SetString(PyExc_TypeError, "seconds: they must be a list");
    else if (found)
        failed = 0;
    for (Py_ssize_t k = 0; !failed && k < PyList_Size(found); k++)
        failed = read_second(push, i, PyList_GetItem(found, k));
    Py_XDECREF(positions);
    Py_XDECREF(found);
    return failed;
}

static int push_bar_down(Pushing *push, uint32_t i)
{
    int failed = 0;
    if (push->takes && !seconds_in_c(push, i, &failed))
        failed = PyErr_Occurred() ? -1 : seconds_in_python(push, i);
    for (uint32_t a = 0; !failed && a < push->takes; a++) {
        const Taking *edge = &push->taking[a];
        Weight *bar = &push->bars[edge->place];
        Weight share = scaled_weight(edge->partial, push->bars[i]);
        if (bar->place == NOWHERE)
            *bar = share;
        else
            add_weight(bar, share);
        bar->place = edge->place;
    }
    return failed;
}

static int push_all(Pushing *push)
{
    int failed = 0;
    for (uint32_t i = push->graph->size; !failed && i-- > 0;) {
        int has_bar = push->bars[i].place != NOWHERE;
        if (!is_inner(push->graph, i) || !(has_bar || push->lists[i].count))
            continue;
        failed = require_current(push->graph, push->graph->nodes[i]) < 0 ||
                 take_edges(push, i) || push_pairs_down(push, i) ||
                 (has_bar && push_bar_down(push, i));
    }
    return failed;
}

/* ---- from Python and back --------------------------------------------------------------- */

static int begin_pushing(Pushing *push, Graph *graph, PyObject *tell, PyObject *seconds)
{
    size_t size = (size_t)graph->size + 1;
    memset(push, 0, sizeof *push);
    push->graph = graph;
    push->tell = tell;
    push->seconds = seconds;
    push->known = PyMem_Calloc(MOST_ROWS, sizeof *push->known);
    push->bars = PyMem_Malloc(size * sizeof *push->bars);
    push->lists = PyMem_Calloc(size, sizeof *push->lists);
    push->slot = PyMem_Malloc(size * sizeof *push->slot);
    push->heap = PyMem_Malloc(size * sizeof *push->heap);
    if (!push->known || !push->bars || !push->lists || !push->slot || !push->heap) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < size; i++) {
        push->bars[i] = weight_of(NOWHERE, 0.0, 0);
        push->slot[i] = NOWHERE;
    }
    return 0;
}

static void end_pushing(Pushing *push)
{
    if (push->lists)
        forget_lists(push->lists, push->graph->size);
    PyMem_Free(push->known);
    PyMem_Free(push->bars);
    PyMem_Free(push->lists);
    PyMem_Free(push->slot);
    PyMem_Free(push->heap);
    PyMem_Free(push->taking);
}

/* The number of each input by place, NOWHERE for other places. */
static uint32_t *number_inputs(const Graph *graph)
{
    uint32_t *numbers = PyMem_Malloc(((size_t)graph->size + 1) * sizeof *numbers);
    for (uint32_t i = 0; numbers && i < graph->size; i++)
        numbers[i] = NOWHERE;
    for (Py_ssize_t i = PyTuple_Size(graph->inputs); numbers && i-- > 0;)
        numbers[place_of_any(graph, PyTuple_GetItem(graph->inputs, i))] = (uint32_t)i;
    return numbers ? numbers : (uint32_t *)PyErr_NoMemory();
}

/* Three bytes: rows and columns as int32, and numbers; `of` says which list is which row,
   by place, if that is not its own number. */
static PyObject *packed(const Graph *graph, const Weights *lists, Py_ssize_t n, int inputs)
{
    uint32_t *numbers = number_inputs(graph);
    PyObject *rows = NULL, *columns = NULL, *found = NULL;
    size_t count = 0, next = 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (!inputs || (numbers && numbers[i] != NOWHERE))
            count += lists[i].count;
    if (numbers) {
        rows = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(int32_t)));
        columns = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(int32_t)));
        found = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(double)));
    }
    for (Py_ssize_t i = 0; rows && columns && found && i < n; i++)
        for (uint32_t k = 0; (!inputs || numbers[i] != NOWHERE) && k < lists[i].count; k++) {
            Weight entry = lists[i].entry[k];
            int32_t row = inputs ? (int32_t)numbers[i] : (int32_t)i;
            int32_t column = (int32_t)numbers[entry.place];
            double number = entry.there ? entry.number + 0.0 : 0.0;
            memcpy(PyBytes_AsString(rows) + next * sizeof row, &row, sizeof row);
            memcpy(PyBytes_AsString(columns) + next * sizeof row, &column, sizeof row);
            memcpy(PyBytes_AsString(found) + next * sizeof number, &number, sizeof number);
            next++;
        }
    PyMem_Free(numbers);
    return rows && columns && found
               ? Py_BuildValue("NNN", rows, columns, found)
               : (Py_XDECREF(rows), Py_XDECREF(columns), Py_XDECREF(found), NULL);
}

/* Whether C may walk it: nothing is from outside, and each node has one result. */
static int may_push(Graph *graph)
{
    return graph->whole && !graph->live && !graph->calls && need_marks(graph) == 0;
}

static Graph *graph_in(PyObject *x)
{
    if (Py_TYPE(x) == GraphType)
        return (Graph *)x;
    PyErr_SetString(PyExc_TypeError, "push: the graph must be one in C");
    return NULL;
}

static PyObject *pairs_of(Pushing *push, uint32_t start)
{
    push->bars[start] = weight_of(start, 1.0, 1);
    if (push_all(push))
        return NULL;
    for (uint32_t i = 0; i < push->graph->size; i++)
        merge(push->slot, &push->lists[i]);
    return packed(push->graph, push->lists, push->graph->size, 1);
}

/* push_pairs(graph, y, facts, seconds) */
static PyObject *push_pairs(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given, *y, *tell, *seconds, *found = NULL;
    Graph *graph;
    Pushing push;
    if (!PyArg_ParseTuple(args, "OOOO:push_pairs", &given, &y, &tell, &seconds) ||
        !(graph = graph_in(given)))
        return NULL;
    if (!may_push(graph) || !is_there(place_of_any(graph, y))) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    if (begin_pushing(&push, graph, tell, seconds) == 0)
        found = pairs_of(&push, place_of_any(graph, y));
    end_pushing(&push);
    return found;
}
