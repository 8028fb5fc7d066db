/* Sweeps under a trace: Traced of traced.py, which is the reference; read it first.

   The rules run by their lines, as in any sweep that records, but a trace writes down the
   comparisons in them as well, and no line branches on a number that it writes down. So
   what a rule computes follows from the kinds of what it is given, and lines are kept for
   each; only numbers that no trace has written down may be guarded, and are looked at
   before the first step is taken, since what is on the tape stays there.

   Lines run on Values here, for a sweep that makes nodes. Where it needs none, `_slots.h`
   finds lines by what is here, and runs them without.

   kind      of z or of an operand, as in rules.py: A_FLOAT, A_CONSTANT, which is a Value
             that is not written down, or A_SLOT, one that is
   lowered   put in a leaf of its own, which stands for a number */

typedef struct {
    PyObject_HEAD
    Recorder *recorder;
    PyObject *graph;
} Traced;

static PyTypeObject *TracedType;

/* The recorder of who finds partials; NULL if that is no trace. */
INLINE Recorder *recorder_of(PyObject *partials_of)
{
    return Py_TYPE(partials_of) == TracedType ? ((Traced *)partials_of)->recorder : NULL;
}

/* x itself where it depends on Values from outside, or is no Value; else its number, or
   what stands for that in a trace. */
static PyObject *lowered_for(const Graph *graph, PyObject *x, Recorder *recorder)
{
    if (!recorder || !is_value(x) || is_live(graph, x))
        return lowered(graph, x, Py_None);
    return number_of_value(recorder, x);
}

/* ---- what a rule is given ------------------------------------------------------------------ */

enum { A_FLOAT, A_CONSTANT, A_SLOT, KIND_BITS = 2, ANY_KIND = 3 };
enum { MOST_GIVEN = MOST_OPERANDS + 1 };

typedef struct {
    Recorder *recorder;
    Node *node;
    unsigned count, kinds; /* of z and the operands: KIND_BITS for each */
    unsigned waiting, held; /* a bit for each: is to be lowered once it is used; was */
    Item items[MOST_PLACES];
} Given;

INLINE PyObject *given_object(const Given *given, unsigned place)
{
    return place ? given->node->edges[place - 1].operand : (PyObject *)given->node;
}

INLINE unsigned kind_at(unsigned kinds, unsigned place)
{
    return kinds >> KIND_BITS * place & ANY_KIND;
}

/* Find the kind of what is at that place. */
static int look_at(Given *given, unsigned place, int live)
{
    PyObject *x = given_object(given, place);
    const Entry *entry = is_value(x) ? known_entry(given->recorder, x) : NULL;
    int slot = entry && has_slot(entry);
    if (is_value(x) && !entry)
        return -1;
    given->items[place].number = number_of(x);
    given->items[place].object = live || !is_value(x) ? x : NULL;
    given->waiting |= (unsigned)(slot && !live) << place;
    given->kinds |= (unsigned)(slot                  ? A_SLOT
                               : live && is_value(x) ? A_CONSTANT
                                                     : A_FLOAT)
                    << KIND_BITS * place;
    return 0;
}

static int look_at_all(const Graph *graph, uint32_t i, Given *given)
{
    const uint32_t *operand = graph->operand + graph->first[i];
    int failed = look_at(given, 0, graph->marks[i] & LIVE);
    for (unsigned k = 0; !failed && k < given->node->count; k++) {
        int live = operand[k] == OUTSIDE ||
                   (is_there(operand[k]) && graph->marks[operand[k]] & LIVE);
        failed = look_at(given, k + 1, live);
    }
    return failed;
}

/* Have what a line uses lowered. */
static int lower_used(Given *given, const Line *line)
{
    unsigned todo = given->waiting & line->uses;
    for (unsigned place = 0; todo >> place; place++) {
        if (!(todo >> place & 1))
            continue;
        given->items[place].object =
            number_of_value(given->recorder, given_object(given, place));
        if (!given->items[place].object)
            return -1;
        given->waiting &= ~(1u << place);
        given->held |= 1u << place;
    }
    return 0;
}

/* Leaves, and floats that were made on the way. */
static void drop_given(Given *given)
{
    for (unsigned place = 0; place < given->count; place++)
        if (given->held >> place & 1 ||
            given->items[place].object != given_object(given, place))
            Py_XDECREF(given->items[place].object);
}

/* ---- lines for these kinds ------------------------------------------------------------------ */

/* Note which steps a trace writes down, and what is used of what is given. */
static void note_kinds(Line *line, const Given *given)
{
    uint8_t is_slot[MOST_PLACES] = {0};
    unsigned next = given->count;
    line->kinds = given->kinds;
    line->uses = line->result < given->count ? 1u << line->result : 0;
    for (unsigned k = 0; k < given->count; k++)
        is_slot[k] = kind_at(given->kinds, k) == A_SLOT;
    for (unsigned i = 0; i < line->count; i++) {
        Step *step = &line->steps[i];
        for (int k = 0; step->row && k < step->row->kernel->arity; k++) {
            unsigned operand = step->operand[k];
            step->traced |= operand < MOST_PLACES && is_slot[operand];
            line->uses |= operand < given->count ? 1u << operand : 0;
        }
        if (step->row)
            is_slot[next++] = step->traced;
    }
}

/* Compute what guards look at, and whether they hold. */
static int guards_hold(const Line *line, const Given *given)
{
    double numbers[MOST_PLACES];
    unsigned next = given->count;
    for (unsigned k = 0; k < given->count; k++)
        numbers[k] = given->items[k].number;
    for (unsigned i = 0; i < line->count; i++) {
        const Step *step = &line->steps[i];
        double xs[MOST_OPERANDS];
        if (!step->row) {
            if ((numbers[step->operand[0]] != 0.0) != step->holds)
                return 0;
            continue;
        }
        for (int k = 0; !step->traced && k < step->row->kernel->arity; k++)
            xs[k] = step->operand[k] < MOST_PLACES
                        ? numbers[step->operand[k]]
                        : line->constant[step->operand[k] - MOST_PLACES].number;
        numbers[next++] = step->traced ? NAN : step->row->kernel->compute(xs);
        keep_quiet(numbers[next - 1]);
    }
    return 1;
}

static int has_guards(const Line *line)
{
    for (unsigned i = 0; i < line->count; i++)
        if (!line->steps[i].row)
            return 1;
    return 0;
}

static Line *new_traced_line(struct Lines *lines, const Given *given)
{
    char kinds[MOST_GIVEN];
    PyObject *bytes;
    Line *line;
    for (unsigned k = 0; k < given->count; k++)
        kinds[k] = (char)kind_at(given->kinds, k);
    if (!(bytes = PyBytes_FromStringAndSize(kinds, (Py_ssize_t)given->count)))
        return NULL;
    line = new_line(lines, given->items, given->count, bytes);
    Py_DECREF(bytes);
    if (line)
        note_kinds(line, given);
    return line;
}

/* The line of the rule for an operand; NULL without an error where Python is to run it. */
static const Line *traced_line(Row *row, unsigned k, const Given *given)
{
    PyObject *rule = rule_of(row, k);
    struct Lines *lines = rule ? lines_of(row, MOST_OPERANDS + k, rule) : NULL;
    unsigned tried = 0;
    if (!lines)
        return NULL;
    do
        for (; tried < lines->count; tried++) {
            const Line *line = lines->line[tried];
            if (line->kinds == given->kinds &&
                (!has_guards(line) || guards_hold(line, given)))
                return line;
        }
    while (add_line(lines, new_traced_line(lines, given)));
    return NULL;
}

/* ---- lines that run -------------------------------------------------------------------------- */

/* As `run_step`; a comparison that is written down gives a truth. */
static int run_traced_step(Recorder *recorder, const Step *step, Item **items, Item *result)
{
    PyObject *node;
    if (!step->traced || !is_comparison(step->row))
        return run_step(step, items, result);
    if (!(node = record_items(step->row, items)))
        return -1;
    result->number = ((Node *)node)->data;
    result->object = truth_of(recorder, node);
    Py_DECREF(node);
    return result->object ? 0 : -1;
}

static PyObject *run_traced_line(Given *given, const Line *line)
{
    Item *items = given->items;
    unsigned next = given->count;
    int failed = lower_used(given, line);
    PyObject *result = NULL;
    for (unsigned i = 0; i < line->count && !failed; i++) {
        const Step *step = &line->steps[i];
        Item *operands[MOST_OPERANDS];
        if (!step->row)
            continue;
        for (int k = 0; k < step->row->kernel->arity; k++)
            operands[k] = item_of(line, items, step->operand[k]);
        failed = run_traced_step(given->recorder, step, operands, &items[next]);
        next += !failed;
    }
    if (!failed && (result = object_of(item_of(line, items, line->result))))
        Py_INCREF(result);
    while (next-- > given->count)
        Py_XDECREF(items[next].object);
    return result;
}

static int is_wanted(const Graph *graph, uint32_t i, uint32_t k);

/* Run the rules for all operands that are wanted, once there is a line for each: 1 if
   they have run, 0 where Python is to run them, and -1 with an error. */
static int run_traced(const Graph *graph, uint32_t i, Given *given, PyObject **into)
{
    Row *row = row_of(given->node);
    const Line *line[MOST_OPERANDS] = {NULL};
    for (uint32_t k = 0; k < given->node->count; k++)
        if (is_wanted(graph, i, k) && !fixed_partial(row, k) &&
            !(line[k] = traced_line(row, k, given)))
            return PyErr_Occurred() ? -1 : 0;
    for (uint32_t k = 0; k < given->node->count; k++) {
        if (!is_wanted(graph, i, k))
            continue;
        into[k] = line[k] ? run_traced_line(given, line[k]) : held(fixed_partial(row, k));
        if (!into[k])
            return -1;
    }
    return 1;
}

static int rerun_traced(const Graph *graph, uint32_t i, Recorder *recorder, PyObject **into)
{
    Given given;
    Node *node = graph->nodes[i];
    Row *row = row_of(node);
    int done;
    if (!row->kernel || node->count != (uint32_t)row->arity)
        return 0;
    given.recorder = recorder;
    given.node = node;
    given.count = node->count + 1;
    given.kinds = given.waiting = given.held = 0;
    for (unsigned k = 0; k < given.count; k++)
        given.items[k].object = given_object(&given, k);
    done = look_at_all(graph, i, &given) < 0 ? -1 : run_traced(graph, i, &given, into);
    drop_given(&given);
    return done;
}

/* ---- selects ----------------------------------------------------------------------------- */

/* 1.0 where a partial that is written down is zero. */
static PyObject *absence_of(Recorder *recorder, PyObject *partial)
{
    PyObject *args[2] = {number_of_value(recorder, partial), PyFloat_FromDouble(0.0)};
    PyObject *absent = args[0] && args[1] ? apply_row(ROW_equal, args, 2) : NULL;
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    return absent;
}

/* Make the partial of a select, which this takes over, absent where it is zero. */
static PyObject *choice(Recorder *recorder, PyObject *partial)
{
    int is = follows(recorder, partial);
    if (is > 0)
        return new_share(partial, absence_of(recorder, partial), NULL);
    if (is == 0 && !(is_plain(partial) && number_of(partial) == 0.0))
        return partial;
    Py_DECREF(partial);
    return is < 0 ? NULL : held(Py_None);
}

static int choose(Recorder *recorder, PyObject **partials, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (partials[k] && !(partials[k] = choice(recorder, partials[k])))
            return -1;
    return 0;
}

/* ---- the type ------------------------------------------------------------------------------- */

static PyObject *traced_call(PyObject *self, PyObject *args, PyObject *names);
static PyObject *traced_derivatives(PyObject *self, PyObject *args);

static PyMethodDef traced_methods[] = {
    {"derivatives", traced_derivatives, METH_VARARGS, "What to hand out of adjoints."},
    {NULL, NULL, 0, NULL}};

/* Traced(recorder, graph) */
static PyObject *traced_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    PyObject *recorder, *graph;
    Traced *self;
    if (!PyArg_ParseTuple(args, "O!O!:Traced", RecorderType, &recorder, GraphType, &graph) ||
        !(self = (Traced *)PyType_GenericAlloc(type, 0)))
        return NULL;
    self->recorder = (Recorder *)held(recorder);
    self->graph = held(graph);
    return (PyObject *)self;
}

static int traced_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)((Traced *)self)->recorder);
    Py_VISIT(((Traced *)self)->graph);
    return 0;
}

static void traced_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)((Traced *)self)->recorder);
    Py_XDECREF(((Traced *)self)->graph);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyType_Slot traced_slots[] = {
    {Py_tp_new, traced_new},
    {Py_tp_dealloc, traced_dealloc},
    {Py_tp_traverse, traced_traverse},
    {Py_tp_call, traced_call},
    {Py_tp_methods, traced_methods},
    {0, NULL}};

static PyType_Spec traced_spec = {
    .name = "autograd.traced.Traced",
    .basicsize = sizeof(Traced),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = traced_slots};
