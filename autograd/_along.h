/* The derivative of a gradient in one direction: `along` of graph.py, for `hvp` of plain
   numbers. It is, bit for bit, what recording the reverse sweep and pushing tangents
   through it gives, without recording it. Every number that would be a Value has its
   tangent with it from the start:

   the nodes of f      their tangents, by one walk up
   adjoints, shares    a walk down, on duals; rules run on duals, by their lines

   Graphs with rows whose rules C does not run are left to the general way. */

/* What a sweep that records has at hand. */
typedef struct {
    double number, dot;
    uint8_t kind; /* ABSENT … */
    uint8_t has_dot;
    uint8_t constant; /* a Value that depends on nothing: see `settled` */
} Dual;

enum { ABSENT, NONE, NUMBER_ALONE, VALUE };

static Dual dual_number(double x)
{
    Dual dual = {x, 0.0, NUMBER_ALONE, 0, 0};
    return dual;
}

static Dual dual_none(void)
{
    Dual dual = {0.0, 0.0, NONE, 0, 0};
    return dual;
}

INLINE void add_dot(Dual *z, double share)
{
    z->dot = z->has_dot ? z->dot + share : share;
    z->has_dot = 1;
}

/* What recording a row gives; no operand is ABSENT or NONE. */
static Dual record_dual(const Row *row, const Dual **xs)
{
    double numbers[MOST_OPERANDS], partials[MOST_OPERANDS];
    int n = row->kernel->arity;
    unsigned values = 0;
    Dual z = dual_number(0.0);
    for (int k = 0; k < n; k++) {
        numbers[k] = xs[k]->number;
        values |= (unsigned)(xs[k]->kind == VALUE) << k;
    }
    if (!values || is_comparison(row)) {
        z.number = row->kernel->compute(numbers);
        return z;
    }
    z.number = row->kernel->record(numbers, partials, values);
    z.kind = VALUE;
    z.constant = 1;
    for (int k = 0; k < n; k++) {
        if (!(values >> k & 1) || (row->select && partials[k] == 0.0))
            continue;
        z.constant = 0;
        if (xs[k]->has_dot)
            add_dot(&z, partials[k] * xs[k]->dot);
    }
    return z;
}

/* As the rows mul and add record. */
static Dual product_of_duals(Dual x, Dual y)
{
    Dual z = {x.number * y.number, 0.0, NUMBER_ALONE, 0, 0};
    if (x.kind == VALUE && x.has_dot)
        add_dot(&z, y.number * x.dot);
    if (y.kind == VALUE && y.has_dot)
        add_dot(&z, x.number * y.dot);
    z.kind = x.kind == VALUE || y.kind == VALUE ? VALUE : NUMBER_ALONE;
    return z;
}

static Dual sum_of_duals(Dual x, Dual y)
{
    Dual z = {x.number + y.number, 0.0, NUMBER_ALONE, 0, 0};
    if (x.kind == VALUE && x.has_dot)
        add_dot(&z, x.dot);
    if (y.kind == VALUE && y.has_dot)
        add_dot(&z, y.dot);
    z.kind = x.kind == VALUE || y.kind == VALUE ? VALUE : NUMBER_ALONE;
    return z;
}

static Dual identity_of(Dual x)
{
    x.constant = 0; /* as it has a parent now */
    return x;
}

static Dual settled_dual(Dual x)
{
    return x.kind == VALUE && x.constant ? dual_number(x.number) : x;
}

static int is_one_alone(Dual x) { return x.kind == NUMBER_ALONE && x.number == 1.0; }

/* See `share_of`. */
static Dual share_of_duals(Node *node, Dual partial, Dual bar)
{
    if (bar.kind == NONE || partial.kind == NONE)
        return dual_none();
    if (is_one_alone(bar))
        return partial;
    if (!is_one_alone(partial))
        return product_of_duals(partial, bar);
    return row_of(node)->select ? identity_of(bar) : bar;
}

/* See `accumulate`. */
static void accumulate_dual(Dual *sum, Dual share)
{
    if (sum->kind == ABSENT)
        *sum = share;
    else if (sum->kind != NONE && share.kind != NONE)
        *sum = sum_of_duals(*sum, share);
    else
        *sum = identity_of(share.kind == NONE ? *sum : share);
}

/* ---- rules on duals --------------------------------------------------------------------- */

INLINE const Dual *dual_at(const Line *line, const Dual *at, unsigned operand, Dual *room)
{
    if (operand < MOST_PLACES)
        return &at[operand];
    *room = dual_number(line->constant[operand - MOST_PLACES].number);
    return room;
}

/* Whether the guards hold; then the result is what the line gives. */
static int run_line_on_duals(const Line *line, Dual *at, unsigned given, Dual *result)
{
    Dual room[MOST_OPERANDS];
    unsigned next = given;
    for (unsigned i = 0; i < line->count; i++) {
        const Step *step = &line->steps[i];
        const Dual *xs[MOST_OPERANDS];
        if (!step->row) {
            if ((at[step->operand[0]].number != 0.0) != step->holds)
                return 0;
            continue;
        }
        for (int k = 0; k < step->row->kernel->arity; k++)
            xs[k] = dual_at(line, at, step->operand[k], &room[k]);
        at[next++] = record_dual(step->row, xs);
    }
    *result = *dual_at(line, at, line->result, room);
    return 1;
}

/* Have the rule written down for these numbers. */
static int add_line_for(struct Lines *lines, const Dual *at, unsigned given)
{
    Item items[MOST_OPERANDS + 1];
    for (unsigned i = 0; i < given; i++) {
        items[i].object = NULL;
        items[i].number = at[i].number;
    }
    return add_line(lines, new_line(lines, items, given, NULL));
}

/* 1 with the partial; 0 where C cannot run the rule. */
static int partial_on_duals(Row *row, uint32_t k, Dual *at, Dual *partial)
{
    unsigned given = (unsigned)row->arity + 1, tried = 0;
    struct Lines *lines;
    PyObject *rule = rule_of(row, k);
    if (!rule || !(lines = lines_of(row, k, rule)))
        return 0;
    do
        for (; tried < lines->count; tried++)
            if (run_line_on_duals(lines->line[tried], at, given, partial))
                return 1;
    while (add_line_for(lines, at, given));
    return 0;
}

/* ---- the walks ---------------------------------------------------------------------------- */

/* By place: the tangent of each node of f, and the adjoint of those that the sweep meets. */
typedef struct {
    Sums dots;
    Dual *bars;
} Along;

/* A node of f as it is lowered: see `lowered`. */
INLINE Dual dual_of(const Graph *graph, const Along *along, PyObject *x, uint32_t place)
{
    Dual dual = dual_number(number_of(x));
    if (!is_there(place) || !(graph->marks[place] & LIVE))
        return dual;
    dual.kind = VALUE; /* and no constant: what is live has a parent */
    dual.has_dot = (uint8_t)has_sum(&along->dots, place);
    dual.dot = dual.has_dot ? along->dots.total[place] : 0.0;
    return dual;
}

/* z and the operands, for a rule. */
static void lower_duals(const Graph *graph, const Along *along, uint32_t i, Dual *at)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    at[0] = dual_of(graph, along, (PyObject *)node, i);
    for (uint32_t k = 0; k < node->count; k++)
        at[k + 1] = dual_of(graph, along, node->edges[k].operand, operand[k]);
}

/* The partial of a live node for one operand; 0 where C cannot tell. */
static int partial_along(const Graph *graph, const Along *along, uint32_t i, uint32_t k,
                         Dual *at, Dual *partial)
{
    Node *node = graph->nodes[i];
    Row *row = row_of(node);
    PyObject *fixed = fixed_partial(row, k);
    if (fixed) {
        *partial = dual_number(PyFloat_AsDouble(fixed));
        return 1;
    }
    if (row->is_dot) {
        uint32_t other = (k + node->count / 2) % node->count;
        *partial = dual_of(graph, along, node->edges[other].operand,
                           graph->operand[graph->first[i] + other]);
        return 1;
    }
    if (!row->kernel || node->count != (uint32_t)row->arity)
        return 0;
    if (at->kind == ABSENT)
        lower_duals(graph, along, i, at);
    if (!partial_on_duals(row, k, at, partial))
        return 0;
    *partial = settled_dual(*partial);
    return 1;
}

/* Hand one adjoint down; 0 where C cannot run a rule. */
static int pull_along(const Graph *graph, Along *along, uint32_t i)
{
    Dual at[MOST_PLACES], bar = along->bars[i];
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    int live = graph->marks[i] & LIVE;
    at->kind = ABSENT;
    for (uint32_t k = 0; k < node->count; k++) {
        Dual partial = dual_none();
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS) || never(node, k))
            continue;
        if (bar.kind == NONE || left_out(&node->edges[k]))
            ;
        else if (!live)
            partial = dual_number(node->edges[k].partial);
        else if (!partial_along(graph, along, i, k, at, &partial))
            return 0;
        accumulate_dual(&along->bars[operand[k]], share_of_duals(node, partial, bar));
    }
    return 1;
}

/* All of it; 0 where C cannot run a rule. */
static int walk_along(const Graph *graph, Along *along, PyObject *y, const uint8_t *found)
{
    uint32_t place = place_of_any(graph, y);
    push_numbers(graph, &along->dots);
    if (is_there(place))
        along->bars[place] = dual_number(1.0);
    for (uint32_t i = graph->size; i-- > 0;) {
        const Dual *bar = &along->bars[i];
        if (bar->kind == ABSENT || !(found[i] & FOUND) || !(graph->marks[i] & DEPENDS) ||
            graph->marks[i] & INPUT)
            continue;
        if (!pull_along(graph, along, i))
            return 0;
    }
    return 1;
}

static PyObject *list_along(const Graph *graph, const Along *along)
{
    Py_ssize_t n = PyTuple_Size(graph->inputs);
    PyObject *list = PyList_New(0);
    int failed = 0;
    for (Py_ssize_t i = 0; list && !failed && i < n; i++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(graph->inputs, i));
        const Dual *bar = &along->bars[place];
        double dot = bar->kind == VALUE && bar->has_dot ? bar->dot : 0.0;
        failed = append(list, PyFloat_FromDouble(dot + 0.0));
    }
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* Whether nothing is from outside but the leaves that the inputs are copies of. */
static int stands_on_leaves(const Graph *graph)
{
    Py_ssize_t n = PyTuple_Size(graph->inputs);
    for (Py_ssize_t i = 0; i < n; i++) {
        Node *input = (Node *)PyTuple_GetItem(graph->inputs, i);
        if (input->count != 1 || !is_leaf((Node *)input->edges[0].operand) ||
            require_current(graph, input) < 0)
            return 0;
    }
    return PyList_Size(graph->older) == n && graph->whole && !graph->calls;
}

static int begin_along(const Graph *graph, Along *along, PyObject *x_dots)
{
    along->bars = PyMem_Calloc((size_t)graph->size + 1, sizeof *along->bars);
    if (!along->bars) {
        PyErr_NoMemory();
        return -1;
    }
    if (init_sums(&along->dots, graph->size) < 0) {
        PyMem_Free(along->bars);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(x_dots); i++)
        add_to(&along->dots, place_of_any(graph, PyTuple_GetItem(graph->inputs, i)),
               PyFloat_AsDouble(PyTuple_GetItem(x_dots, i)));
    return 0;
}

/* The tangents of y's gradient; NULL without an error where C cannot run a rule. */
static PyObject *find_along(const Graph *graph, PyObject *y, PyObject *x_dots)
{
    PyObject *list = NULL, *ys = tuple_of(NULL, &y, 1);
    uint8_t *found = PyMem_Calloc((size_t)graph->size + 1, 1);
    Along along;
    if (!found)
        PyErr_NoMemory();
    else if (ys && begin_along(graph, &along, x_dots) == 0) {
        find_below(graph, found, ys, graph->whole);
        if (walk_along(graph, &along, y, found))
            list = list_along(graph, &along);
        free_sums(&along.dots);
        PyMem_Free(along.bars);
    }
    PyMem_Free(found);
    Py_XDECREF(ys);
    return list;
}

/* along(y, x_dots): the tangents of y's gradient where those of the inputs are given, as
   floats; None where that is for the general way to find. */
static PyObject *graph_along(PyObject *self, PyObject *args)
{
    Graph *graph = (Graph *)self;
    PyObject *y, *given, *x_dots, *list = NULL;
    if (!PyArg_ParseTuple(args, "OO!:along", &y, &PyList_Type, &given) ||
        !(x_dots = PyList_AsTuple(given)))
        return NULL;
    if (!alert && all_floats(x_dots) && stands_on_leaves(graph) &&
        PyTuple_Size(x_dots) == PyTuple_Size(graph->inputs) && need_marks(graph) == 0)
        list = find_along(graph, y, x_dots);
    Py_DECREF(x_dots);
    if (list || PyErr_Occurred())
        return list;
    Py_RETURN_NONE;
}
