/* Rules in C, on Values: the lines of `rules.py`, which say what rows a rule applies.

   A rule of the table is written down by Python at first, once for each way that its
   branches go, and then run here: what stands on a Value is recorded, all else computed.
   Python runs the rule itself where it is no such line, where its numbers go yet another
   way, and where someone watches. */

enum { MOST_PLACES = 60, MOST_CONSTANTS = 32, MOST_LINES = 24 };

/* What is at a place: a Value, or a number, for which there may be a float. */
typedef struct {
    PyObject *object;
    double number;
} Item;

typedef struct {
    Row *row; /* NULL: a guard */
    uint8_t operand[MOST_OPERANDS]; /* places, and behind them constants */
    uint8_t holds;
    uint8_t traced; /* whether a trace writes it down: see `_traced.h` */
} Step;

typedef struct {
    unsigned count, constants;
    unsigned kinds, uses; /* in a trace: of what is given, and what is used of that */
    Step *steps; /* guards among them, each before what depends on it */
    uint8_t result;
    Item constant[MOST_CONSTANTS];
} Line;

/* The lines of the rule for one operand of a row; they stay as long as the process. */
struct Lines {
    PyObject *rule; /* which they are of: the row may have got another since */
    unsigned count;
    int closed; /* no more are to be asked for */
    const Line *line[MOST_LINES];
};

/* ---- lines from Python ---------------------------------------------------------------- */

static void free_line(Line *line)
{
    while (line->constants)
        Py_DECREF(line->constant[--line->constants].object);
    PyMem_Free(line->steps);
    PyMem_Free(line);
}

/* The operand that stands for that place or constant; -1 if there are too many. */
static int read_operand(Line *line, PyObject *x)
{
    Item *constant = &line->constant[line->constants];
    if (PyLong_CheckExact(x)) {
        long place = PyLong_AsLong(x);
        return 0 <= place && place < MOST_PLACES ? (int)place : -1;
    }
    if (!PyFloat_CheckExact(x) || line->constants == MOST_CONSTANTS)
        return -1;
    Py_INCREF(x);
    constant->object = x;
    constant->number = PyFloat_AsDouble(x);
    return MOST_PLACES + (int)line->constants++;
}

/* Whether a step, a row with a tuple of operands, can be run here. */
static int read_step(Line *line, PyObject *row, PyObject *operands)
{
    Step *step = &line->steps[line->count];
    if (Py_TYPE(row) != RowType || !((Row *)row)->kernel || !PyTuple_Check(operands) ||
        PyTuple_Size(operands) != ((Row *)row)->kernel->arity)
        return 0;
    step->row = (Row *)row; /* of the table, which lives as long as the process */
    for (Py_ssize_t k = 0; k < PyTuple_Size(operands); k++) {
        int operand = read_operand(line, PyTuple_GetItem(operands, k));
        if (operand < 0)
            return 0;
        step->operand[k] = (uint8_t)operand;
    }
    line->count++;
    return 1;
}

static int read_guards(Line *line, PyObject *guards, Py_ssize_t *next, Py_ssize_t before)
{
    for (; *next < PyList_Size(guards); ++*next) {
        Step *step = &line->steps[line->count];
        int at, place, holds;
        if (!PyArg_ParseTuple(PyList_GetItem(guards, *next), "iip", &at, &place, &holds))
            return 0;
        if (at > before)
            break;
        step->row = NULL;
        step->operand[0] = (uint8_t)place;
        step->holds = (uint8_t)holds;
        line->count++;
    }
    return 1;
}

static int read_steps(Line *line, PyObject *steps, PyObject *guards, PyObject *result)
{
    Py_ssize_t n = PyList_Size(steps), guard = 0;
    int place;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *row, *operands;
        if (!read_guards(line, guards, &guard, i) ||
            !PyArg_ParseTuple(PyList_GetItem(steps, i), "OO", &row, &operands) ||
            !read_step(line, row, operands))
            return 0;
    }
    if (!read_guards(line, guards, &guard, n) || (place = read_operand(line, result)) < 0)
        return 0;
    line->result = (uint8_t)place;
    return 1;
}

/* The line that Python has written; NULL without an error if C cannot run it. */
static Line *read_line(PyObject *written)
{
    PyObject *steps, *guards, *result;
    Line *line;
    if (!PyTuple_Check(written) ||
        !PyArg_ParseTuple(written, "O!O!O", &PyList_Type, &steps, &PyList_Type, &guards,
                          &result))
        return NULL;
    if (PyList_Size(steps) >= MOST_PLACES || !(line = PyMem_Calloc(1, sizeof *line)))
        return NULL;
    line->steps = PyMem_Calloc((size_t)(PyList_Size(steps) + PyList_Size(guards)) + 1,
                               sizeof *line->steps);
    if (line->steps && read_steps(line, steps, guards, result))
        return line;
    free_line(line);
    return NULL;
}

/* ---- lines that run ------------------------------------------------------------------- */

INLINE int is_comparison(const Row *row)
{
    switch (row->number) {
    case ROW_less: case ROW_less_equal: case ROW_greater: case ROW_greater_equal:
    case ROW_equal: case ROW_not_equal:
        return 1;
    default:
        return 0;
    }
}

/* The object at a place, lent; it gets one if it has none. */
INLINE PyObject *object_of(Item *item)
{
    if (!item->object)
        item->object = PyFloat_FromDouble(item->number);
    return item->object;
}

/* Record a row on items of which one is a Value at least. */
static PyObject *record_items(Row *row, Item **items)
{
    PyObject *args[MOST_OPERANDS];
    int n = row->kernel->arity, select = row->select;
    for (int k = 0; k < n; k++)
        if (!(args[k] = object_of(items[k])))
            return NULL;
    if (n == 1)
        return record_one(row, row->kernel->record, (Node *)args[0]);
    if (n == 2 && !select)
        return record_two(row->number, row->kernel->record, args[0], args[1],
                          is_value(args[0]), is_value(args[1]));
    return record_kernel(row, args);
}

static int run_step(const Step *step, Item **items, Item *result)
{
    double numbers[MOST_OPERANDS];
    int n = step->row->kernel->arity, values = 0;
    for (int k = 0; k < n; k++) {
        numbers[k] = items[k]->number;
        values |= items[k]->object && is_value(items[k]->object);
    }
    result->object = NULL;
    if (values && !is_comparison(step->row)) {
        if (!(result->object = record_items(step->row, items)))
            return -1;
        result->number = ((Node *)result->object)->data;
    } else {
        result->number = step->row->kernel->compute(numbers);
        keep_quiet(result->number);
    }
    return 0;
}

INLINE Item *item_of(const Line *line, Item *items, unsigned operand)
{
    return operand < MOST_PLACES ? &items[operand]
                                 : (Item *)&line->constant[operand - MOST_PLACES];
}

/* What a line gives for the items at its first places; NULL without an error where a
   guard does not hold. */
static PyObject *run_line(const Line *line, Item *items, unsigned given)
{
    unsigned next = given;
    int failed = 0, holds = 1;
    PyObject *result = NULL;
    for (unsigned i = 0; i < line->count && !failed && holds; i++) {
        const Step *step = &line->steps[i];
        Item *operands[MOST_OPERANDS];
        if (!step->row) {
            holds = (items[step->operand[0]].number != 0.0) == step->holds;
            continue;
        }
        for (int k = 0; k < step->row->kernel->arity; k++)
            operands[k] = item_of(line, items, step->operand[k]);
        failed = run_step(step, operands, &items[next]);
        next += !failed;
    }
    if (!failed && holds && (result = object_of(item_of(line, items, line->result))))
        Py_INCREF(result);
    while (next-- > given)
        Py_XDECREF(items[next].object);
    return result;
}

/* The partial for an operand that is the same everywhere, lent; NULL if there is none. */
static PyObject *fixed_partial(Row *row, uint32_t k)
{
    PyObject *fixed = row->fixed, *partial;
    if (!fixed || !PyTuple_Check(fixed) || (Py_ssize_t)k >= PyTuple_Size(fixed))
        return NULL;
    partial = PyTuple_GetItem(fixed, (Py_ssize_t)k);
    return PyFloat_CheckExact(partial) ? partial : NULL;
}

/* The rule for an operand, lent. */
static PyObject *rule_of(Row *row, uint32_t k)
{
    PyObject *rules = row->rules;
    int has = rules && PyTuple_Check(rules) && (Py_ssize_t)k < PyTuple_Size(rules);
    return has ? PyTuple_GetItem(rules, (Py_ssize_t)k) : NULL;
}

/* The lines of a rule of the table; NULL if there are none. Those for traces follow. */
static struct Lines *lines_of(Row *row, unsigned k, PyObject *rule)
{
    if (!row->lines)
        row->lines = PyMem_Calloc(2 * MOST_OPERANDS, sizeof *row->lines);
    if (!row->lines || k >= 2 * MOST_OPERANDS)
        return NULL;
    if (!row->lines[k].rule) {
        Py_INCREF(rule);
        row->lines[k].rule = rule;
    }
    return row->lines[k].rule == rule ? &row->lines[k] : NULL;
}

static PyObject *numbers_in(const Item *items, unsigned given)
{
    PyObject *list = PyList_New(0);
    int failed = 0;
    for (unsigned i = 0; list && !failed && i < given; i++)
        failed = append(list, PyFloat_FromDouble(items[i].number));
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* A rule written down by Python for these numbers; NULL if it is not to be run here. */
static Line *new_line(struct Lines *lines, const Item *items, unsigned given,
                      PyObject *kinds)
{
    PyObject *written = NULL, *numbers = lines->closed ? NULL : numbers_in(items, given);
    Line *line;
    if (numbers)
        written = PyObject_CallFunctionObjArgs(python.written, lines->rule, numbers, kinds,
                                               NULL);
    Py_XDECREF(numbers);
    if (!written)
        return NULL;
    line = read_line(written);
    Py_DECREF(written);
    PyErr_Clear(); /* of what could not be read */
    return line;
}

/* Keep one more line, if there is one; 0 if the rule is not to be run here. */
static int add_line(struct Lines *lines, Line *line)
{
    if (PyErr_Occurred())
        return 0;
    if (line && lines->count < MOST_LINES) /* others may have come while Python ran */
        lines->line[lines->count++] = line;
    else if (line)
        free_line(line);
    lines->closed = !line || lines->count == MOST_LINES;
    return line != NULL;
}

/* A rule by its lines; NULL without an error where Python is to run it. The items at the
   first places are z and the operands, and there is room for MOST_PLACES. */
static PyObject *run_rule(Row *row, unsigned k, PyObject *rule, Item *items)
{
    unsigned given = (unsigned)row->arity + 1, tried = 0;
    struct Lines *lines = lines_of(row, k, rule);
    if (!lines)
        return NULL;
    do
        for (; tried < lines->count; tried++) {
            PyObject *result = run_line(lines->line[tried], items, given);
            if (result || PyErr_Occurred())
                return result;
        }
    while (add_line(lines, new_line(lines, items, given, NULL)));
    return NULL;
}
