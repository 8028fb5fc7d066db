/* A reverse sweep under a trace that needs no nodes: it is written down at once.

   Under a trace there are two ways to sweep, and `walk` in `_sweep.h` takes one. In
   general adjoints are Values: partials come from `_traced.h`, shares and sums from
   `_again.h` and `_share.h`, and each step is a node, shown to the recorder, which an
   outer derivative may pass through. Where no Value from outside has a say, what a sweep
   gives stands for plain numbers, and none will: then nodes are of no use. Here adjoints
   and partials are numbers with slots, and each step goes to the recorder itself: the same
   instructions, in the same order, at a fraction of the time and memory.

   So what is said of Values there is said of slots here, function by function; the lines
   of rules are those of `_traced.h`. Read Share in absent.py, and `_again.h`, first.

   slotted   a number, and the slot that it has on the tape if it is no constant
   bar       an adjoint, or a partial: a slotted number, a share that may be absent, or
             nothing, as it was left out, or as none has come yet */

enum { NO_SLOT = -1 };

typedef struct {
    double number;
    int32_t slot;
} Slotted;

/* A share that may be absent; the total is what a sum begins with that it is the first of. */
typedef struct {
    Slotted share, absent, total;
    int has_total;
    PyObject *object; /* lent, while results are made: of two inputs it is one share */
} Shared;

enum { NOT_THERE, IS_LEFT_OUT, A_NUMBER, A_SHARE };

typedef struct {
    Slotted x;
    uint32_t shared; /* the place of a share */
    uint8_t kind;
} Bar;

/* What a graph keeps from sweep to sweep: partials by edge, and the shares among them. */
struct Slots {
    Bar *partials;
    Growing shares;
};

INLINE int is_on_tape(Slotted x) { return x.slot >= 0; }

static const Slotted ZERO = {0.0, NO_SLOT}, MINUS_ZERO = {-0.0, NO_SLOT};

/* A plain number, or a Value that the trace knows, or meets. */
static int slotted(Recorder *recorder, PyObject *x, Slotted *found)
{
    const Entry *entry = is_value(x) ? known_entry(recorder, x) : NULL;
    if (is_value(x) && !entry)
        return -1;
    *found = (Slotted){number_of(x), entry && has_slot(entry) ? entry->slot : NO_SLOT};
    return 0;
}

INLINE Bar number_bar(Slotted x) { return (Bar){x, 0, A_NUMBER}; }

INLINE int is_one_bar(const Bar *bar)
{
    return bar->kind == A_NUMBER && !is_on_tape(bar->x) && bar->x.number == 1.0;
}

/* ---- what is written down --------------------------------------------------------------- */

/* Write an instruction down. */
static int append_step(Recorder *recorder, const Row *row, const Slotted *xs, unsigned n,
                       int32_t *slot)
{
    int32_t place = place_of_row(recorder, (PyObject *)row);
    if (place < 0 || have_room_for(recorder, n) < 0)
        return -1;
    for (unsigned k = 0; k < n; k++) {
        int32_t code =
            is_on_tape(xs[k]) ? xs[k].slot : constant_code(recorder, xs[k].number);
        if (!is_on_tape(xs[k]) && code == FROM_OUTSIDE)
            return -1;
        next_codes(recorder)[k] = code;
    }
    *slot = next_slot(recorder);
    add_instruction(recorder, place, n);
    return 0;
}

/* A row on slotted numbers: written down, unless all are constants. */
static int apply_step(Recorder *recorder, const Row *row, const Slotted *xs, unsigned n,
                      Slotted *z)
{
    double numbers[MOST_OPERANDS];
    int on_tape = 0;
    for (unsigned k = 0; k < n; k++) {
        numbers[k] = xs[k].number;
        on_tape |= is_on_tape(xs[k]);
    }
    z->number = row->kernel->compute(numbers);
    z->slot = NO_SLOT;
    keep_quiet(z->number);
    return on_tape ? append_step(recorder, row, xs, n, &z->slot) : 0;
}

static int apply_two_steps(Recorder *recorder, unsigned row, Slotted x, Slotted y, Slotted *z)
{
    Slotted xs[2] = {x, y};
    return apply_step(recorder, table[row], xs, 2, z);
}

static int apply_three_steps(Recorder *recorder, unsigned row, Slotted x, Slotted y, Slotted w,
                             Slotted *z)
{
    Slotted xs[3] = {x, y, w};
    return apply_step(recorder, table[row], xs, 3, z);
}

/* ---- shares and sums of them: see `_share.h` --------------------------------------------- */

INLINE Shared *shared_at(const struct Slots *slots, uint32_t place)
{
    return (Shared *)slots->shares.at + place;
}

static int new_shared(struct Slots *slots, Slotted share, Slotted absent, Bar *bar)
{
    if (have_room(&slots->shares, 1, sizeof(Shared)) < 0)
        return -1;
    *shared_at(slots, (uint32_t)slots->shares.count) = (Shared){share, absent, ZERO, 0, NULL};
    *bar = (Bar){ZERO, (uint32_t)slots->shares.count++, A_SHARE};
    return 0;
}

static int total_of(Recorder *recorder, struct Slots *slots, uint32_t place, Slotted *total)
{
    Shared *shared = shared_at(slots, place);
    if (!shared->has_total &&
        apply_three_steps(recorder, ROW_where, shared->absent, MINUS_ZERO, shared->share,
                          &shared->total) < 0)
        return -1;
    shared->has_total = 1;
    *total = shared->total;
    return 0;
}

static int is_same(Slotted x, Slotted y)
{
    return is_on_tape(x) && x.slot == y.slot;
}

static int product_of_bars(Recorder *recorder, struct Slots *slots, Bar x, Bar y, Bar *z)
{
    Slotted share, absent;
    if (x.kind == A_NUMBER && y.kind == A_NUMBER) {
        z->kind = A_NUMBER;
        return apply_two_steps(recorder, ROW_mul, x.x, y.x, &z->x);
    }
    if (apply_two_steps(recorder, ROW_mul,
                        x.kind == A_SHARE ? shared_at(slots, x.shared)->share : x.x,
                        y.kind == A_SHARE ? shared_at(slots, y.shared)->share : y.x,
                        &share) < 0)
        return -1;
    absent = shared_at(slots, x.kind == A_SHARE ? x.shared : y.shared)->absent;
    if (x.kind == y.kind && !is_same(absent, shared_at(slots, y.shared)->absent) &&
        apply_two_steps(recorder, ROW_maximum, absent, shared_at(slots, y.shared)->absent,
                        &absent) < 0)
        return -1;
    return new_shared(slots, share, absent, z);
}

/* The sum of two shares that may both be absent. */
static int sum_of_both(Recorder *recorder, struct Slots *slots, Bar x, Bar y, Bar *z)
{
    Shared before = *shared_at(slots, x.shared), more = *shared_at(slots, y.shared);
    Slotted start, total, absent;
    if (is_same(before.absent, more.absent))
        return apply_two_steps(recorder, ROW_add, before.share, more.share, &total) < 0
                   ? -1
                   : new_shared(slots, total, more.absent, z);
    if (total_of(recorder, slots, x.shared, &start) < 0 ||
        apply_three_steps(recorder, ROW__add_unless, more.absent, start, more.share, &total) <
            0 ||
        apply_two_steps(recorder, ROW_mul, before.absent, more.absent, &absent) < 0 ||
        new_shared(slots, total, absent, z) < 0)
        return -1;
    shared_at(slots, z->shared)->total = total;
    shared_at(slots, z->shared)->has_total = 1;
    return 0;
}

static int sum_of_bars(Recorder *recorder, struct Slots *slots, Bar x, Bar y, Bar *z)
{
    Slotted start = x.x;
    if (x.kind == A_SHARE && y.kind == A_SHARE)
        return sum_of_both(recorder, slots, x, y, z);
    z->kind = A_NUMBER;
    if (y.kind == A_SHARE) {
        const Shared *share = shared_at(slots, y.shared);
        return apply_three_steps(recorder, ROW__add_unless, share->absent, x.x, share->share,
                                 &z->x);
    }
    if (x.kind == A_SHARE && total_of(recorder, slots, x.shared, &start) < 0)
        return -1;
    return apply_two_steps(recorder, ROW_add, start, y.x, &z->x);
}

/* As `identity` of a Value; what is none stays as it is. */
static int passed_on(Recorder *recorder, Bar *bar)
{
    Slotted x = bar->x;
    if (bar->kind != A_NUMBER || !is_on_tape(x))
        return 0;
    return apply_step(recorder, table[ROW_identity], &x, 1, &bar->x);
}

/* As `share_of` in `_again.h`. */
static int share_in_slots(Recorder *recorder, struct Slots *slots, Node *node, Bar partial,
                          Bar bar, Bar *share)
{
    *share = partial;
    if (bar.kind == IS_LEFT_OUT || partial.kind == IS_LEFT_OUT) {
        share->kind = IS_LEFT_OUT;
        return 0;
    }
    if (is_one_bar(&bar))
        return 0;
    if (!is_one_bar(&partial))
        return product_of_bars(recorder, slots, partial, bar, share);
    *share = bar;
    return row_of(node)->select ? passed_on(recorder, share) : 0;
}

/* As `accumulate` in `_again.h`. */
static int add_in_slots(Recorder *recorder, struct Slots *slots, Bar *sum, Bar share)
{
    Bar before = *sum;
    if (before.kind == NOT_THERE) {
        *sum = share;
        return 0;
    }
    if (before.kind != IS_LEFT_OUT && share.kind != IS_LEFT_OUT)
        return sum_of_bars(recorder, slots, before, share, sum);
    if (before.kind == IS_LEFT_OUT)
        *sum = share;
    return passed_on(recorder, sum);
}

/* ---- partials ------------------------------------------------------------------------------ */

/* What a step of a line takes: what is given, or came before, or a constant. */
static Slotted slotted_at(const Line *line, const Slotted *at, unsigned operand)
{
    return operand < MOST_PLACES
               ? at[operand]
               : (Slotted){line->constant[operand - MOST_PLACES].number, NO_SLOT};
}

/* Run a line of `_traced.h` on slotted numbers. */
static int run_line_in_slots(Recorder *recorder, const Line *line, const Slotted *given,
                             unsigned count, Slotted *result)
{
    Slotted at[MOST_PLACES];
    unsigned next = count;
    memcpy(at, given, count * sizeof *at);
    for (unsigned i = 0; i < line->count; i++) {
        const Row *row = line->steps[i].row;
        Slotted xs[MOST_OPERANDS];
        if (!row)
            continue;
        for (int k = 0; k < row->kernel->arity; k++)
            xs[k] = slotted_at(line, at, line->steps[i].operand[k]);
        if (apply_step(recorder, row, xs, (unsigned)row->kernel->arity, &at[next++]) < 0)
            return -1;
    }
    *result = slotted_at(line, at, line->result);
    return 0;
}

/* What was found on Values, without them. */
static int bar_of_object(Recorder *recorder, struct Slots *slots, PyObject *x, Bar *bar)
{
    Bar share, absent;
    if (!x || x == Py_None) {
        bar->kind = IS_LEFT_OUT;
        return 0;
    }
    if (is_share(x))
        return bar_of_object(recorder, slots, ((Share *)x)->share, &share) < 0 ||
                       bar_of_object(recorder, slots, ((Share *)x)->absent, &absent) < 0
                   ? -1
                   : new_shared(slots, share.x, absent.x, bar);
    if (!is_plain(x)) {
        PyErr_SetString(PyExc_TypeError, "jit: a partial must be a number");
        return -1;
    }
    *bar = number_bar(ZERO);
    return slotted(recorder, x, &bar->x);
}

static int bars_of_objects(Graph *graph, uint32_t i, Recorder *recorder, Bar *partials)
{
    Node *node = graph->nodes[i];
    PyObject *buffer[SHORT] = {NULL}, **found = buffer;
    int failed;
    if (node->count > SHORT && !(found = PyMem_Calloc(node->count, sizeof *found))) {
        PyErr_NoMemory();
        return -1;
    }
    failed = rerun(graph, i, recorder, found);
    if (!failed && row_of(node)->select)
        failed = choose(recorder, found, node->count);
    for (uint32_t k = 0; !failed && k < node->count; k++)
        failed = bar_of_object(recorder, graph->slots, found[k], &partials[k]);
    forget(found, node->count);
    if (found != buffer)
        PyMem_Free(found);
    return failed;
}

/* Of a row whose rules have lines: 1 if they have run, 0 where Values are to do it. */
static int bars_by_lines(const Graph *graph, uint32_t i, Recorder *recorder, Bar *partials)
{
    Node *node = graph->nodes[i];
    Row *row = row_of(node);
    const Line *line[MOST_OPERANDS] = {NULL};
    Slotted at[MOST_GIVEN];
    Given given = {.recorder = recorder, .node = node, .count = node->count + 1};
    if (!row->kernel || node->count != (uint32_t)row->arity)
        return 0;
    for (unsigned place = 0; place < given.count; place++) {
        PyObject *x = given_object(&given, place);
        if (slotted(recorder, x, &at[place]) < 0)
            return -1;
        given.items[place] = (Item){x, at[place].number};
        given.kinds |= (unsigned)(is_on_tape(at[place]) ? A_SLOT : A_FLOAT)
                       << KIND_BITS * place;
    }
    for (uint32_t k = 0; k < node->count; k++)
        if (is_wanted(graph, i, k) && !fixed_partial(row, k) &&
            !(line[k] = traced_line(row, k, &given)))
            return PyErr_Occurred() ? -1 : 0;
    for (uint32_t k = 0; k < node->count; k++) {
        Slotted partial = ZERO;
        if (!is_wanted(graph, i, k))
            continue;
        if (!line[k])
            partial.number = PyFloat_AsDouble(fixed_partial(row, k));
        else if (run_line_in_slots(recorder, line[k], at, given.count, &partial) < 0)
            return -1;
        partials[k] = number_bar(partial);
    }
    return 1;
}

/* As `choice` in `_traced.h`. */
static int choice_in_slots(Recorder *recorder, struct Slots *slots, Bar *partial)
{
    Slotted x = partial->x, absent;
    if (partial->kind != A_NUMBER)
        return 0;
    if (!is_on_tape(x)) {
        partial->kind = x.number == 0.0 ? IS_LEFT_OUT : A_NUMBER;
        return 0;
    }
    return apply_two_steps(recorder, ROW_equal, x, ZERO, &absent) < 0
               ? -1
               : new_shared(slots, x, absent, partial);
}

/* Find the partials of a node that the trace follows. */
static int find_in_slots(Graph *graph, uint32_t i, Recorder *recorder, Bar *partials)
{
    Node *node = graph->nodes[i];
    int done = require_current(graph, node) < 0 ? -1 : 0;
    for (uint32_t k = 0; k < node->count; k++)
        partials[k].kind = IS_LEFT_OUT;
    if (!done && !row_of(node)->is_dot)
        done = bars_by_lines(graph, i, recorder, partials);
    if (done <= 0)
        return done < 0 ? -1 : bars_of_objects(graph, i, recorder, partials);
    for (uint32_t k = 0; row_of(node)->select && k < node->count; k++)
        if (choice_in_slots(recorder, graph->slots, &partials[k]) < 0)
            return -1;
    return 0;
}

/* The partials of a node, found once for all sweeps of a graph; those that were recorded,
   of what the trace does not follow. NULL with an error. */
static const Bar *partials_in_slots(Graph *graph, uint32_t i, Recorder *recorder)
{
    Node *node = graph->nodes[i];
    Bar *partials = graph->slots->partials + graph->first[i];
    int is_followed = follows(recorder, (PyObject *)node);
    if (is_followed < 0)
        return NULL;
    if (graph->marks[i] & IN_SLOTS)
        return partials;
    for (uint32_t k = 0; !is_followed && k < node->count; k++)
        partials[k] = left_out(&node->edges[k])
                          ? (Bar){ZERO, 0, IS_LEFT_OUT}
                          : number_bar((Slotted){node->edges[k].partial, NO_SLOT});
    if (is_followed && find_in_slots(graph, i, recorder, partials) < 0)
        return NULL;
    graph->marks[i] |= IN_SLOTS;
    return partials;
}

/* ---- the sweep ------------------------------------------------------------------------------- */

/* Hand the adjoint of one node down: see `pull_one`. */
static int pull_one_in_slots(Graph *graph, Bar *bars, uint32_t i, Recorder *recorder)
{
    Node *node = graph->nodes[i];
    const uint32_t *operand = graph->operand + graph->first[i];
    const Bar *partials = NULL;
    if (is_leaf(node) || graph->marks[i] & INPUT)
        return bars[i].kind != IS_LEFT_OUT ? input_reached(graph, i) : 0;
    if (bars[i].kind != IS_LEFT_OUT && !(partials = partials_in_slots(graph, i, recorder)))
        return -1;
    for (uint32_t k = 0; k < node->count; k++) {
        Bar share = {ZERO, 0, IS_LEFT_OUT};
        if (!is_there(operand[k]) || !(graph->marks[operand[k]] & DEPENDS) || never(node, k))
            continue;
        if ((partials && share_in_slots(recorder, graph->slots, node, partials[k], bars[i],
                                        &share) < 0) ||
            add_in_slots(recorder, graph->slots, &bars[operand[k]], share) < 0)
            return -1;
    }
    return 0;
}

/* A Value that stands for a number of the tape, or a float. */
static PyObject *object_in_slot(Recorder *recorder, Slotted x)
{
    PyObject *leaf;
    Entry *entry;
    if (!is_on_tape(x))
        return PyFloat_FromDouble(x.number);
    leaf = new_leaf(x.number);
    if (!leaf || !(entry = enter(recorder, (Node *)leaf, x.slot))) {
        Py_XDECREF(leaf);
        return NULL;
    }
    entry->is_number = 1;
    return leaf;
}

static PyObject *object_of_bar(const Graph *graph, Recorder *recorder, const Bar *bar,
                               PyObject *missing)
{
    Shared *shared;
    PyObject *total = NULL;
    if (bar->kind == NOT_THERE || bar->kind == IS_LEFT_OUT)
        return held(missing);
    if (bar->kind == A_NUMBER && !is_on_tape(bar->x))
        return PyFloat_FromDouble(bar->x.number + 0.0); /* never -0.0 */
    if (bar->kind == A_NUMBER)
        return object_in_slot(recorder, bar->x);
    shared = shared_at(graph->slots, bar->shared);
    if (shared->object)
        return held(shared->object);
    if (shared->has_total && !(total = object_in_slot(recorder, shared->total)))
        return NULL;
    shared->object = new_share(object_in_slot(recorder, shared->share),
                               object_in_slot(recorder, shared->absent), total);
    return shared->object;
}

static PyObject *list_in_slots(const Graph *graph, Recorder *recorder, const Bar *bars,
                               PyObject *missing)
{
    Py_ssize_t n = PyTuple_Size(graph->inputs);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t k = 0; list && k < n; k++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(graph->inputs, k));
        PyObject *x = object_of_bar(graph, recorder, &bars[place], missing);
        if (!x)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, k, x);
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(graph->inputs, k));
        if (bars[place].kind == A_SHARE)
            shared_at(graph->slots, bars[place].shared)->object = NULL;
    }
    return list;
}

/* Whether nothing is to be differentiated: all that is given stands for numbers. Calls, and
   who watches, are shown Values, and partials that were found as Values stay such. */
static int is_for_slots(const Graph *graph, const Sweep *sweep)
{
    Recorder *recorder = recorder_of(sweep->partials_of);
    if (!recorder || graph->live || graph->whole || graph->calls ||
        sweep->seen != Py_None || graph->again)
        return 0;
    for (Py_ssize_t k = 0; k < PyTuple_Size(sweep->bars); k++) {
        PyObject *bar = PyTuple_GetItem(sweep->bars, k);
        if (!PyFloat_CheckExact(bar) && !stands_for_number(recorder, bar))
            return 0;
    }
    return 1;
}

static int make_slots(Graph *graph)
{
    if (graph->slots)
        return 0;
    if (!(graph->slots = PyMem_Calloc(1, sizeof *graph->slots)) ||
        !(graph->slots->partials =
              PyMem_Calloc((size_t)graph->first[graph->size] + 1, sizeof(Bar)))) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static PyObject *pull_in_slots(Graph *graph, const Sweep *sweep)
{
    Recorder *recorder = recorder_of(sweep->partials_of);
    Bar *bars = PyMem_Calloc((size_t)graph->size + 1, sizeof *bars);
    PyObject *list = NULL;
    int failed = !bars;
    if (failed)
        PyErr_NoMemory();
    failed = failed || make_slots(graph) < 0;
    for (Py_ssize_t k = 0; !failed && k < PyTuple_Size(sweep->ys); k++) {
        uint32_t place = place_of_any(graph, PyTuple_GetItem(sweep->ys, k));
        Bar bar;
        if (!is_there(place))
            continue;
        failed = bar_of_object(recorder, graph->slots, PyTuple_GetItem(sweep->bars, k), &bar) <
                     0 ||
                 add_in_slots(recorder, graph->slots, &bars[place], bar) < 0;
    }
    for (uint32_t i = graph->size; !failed && i-- > 0;)
        if (bars[i].kind != NOT_THERE && sweep->found[i] & FOUND && graph->marks[i] & DEPENDS)
            failed = pull_one_in_slots(graph, bars, i, recorder);
    if (!failed)
        list = list_in_slots(graph, recorder, bars, sweep->missing);
    PyMem_Free(bars);
    return list;
}

static void free_slots(Graph *graph)
{
    if (!graph->slots)
        return;
    drop(&graph->slots->shares);
    PyMem_Free(graph->slots->partials);
    PyMem_Free(graph->slots);
    graph->slots = NULL;
}
