/* Arrays from Python as what is rolled: read, and checked, before anything is made.

   Every number that is an index here is one that code later follows without a look. */

typedef struct {
    Given given;
    Py_buffer row, start, operand, constants, outputs;
    int32_t *code;
    Guard *guard;
    PyObject *callbacks; /* a list of functions */
} Taken;

static void let_go(Taken *taken)
{
    PyBuffer_Release(&taken->row);
    PyBuffer_Release(&taken->start);
    PyBuffer_Release(&taken->operand);
    PyBuffer_Release(&taken->constants);
    PyBuffer_Release(&taken->outputs);
    PyMem_Free(taken->code);
    PyMem_Free(taken->guard);
    Py_CLEAR(taken->callbacks);
}

/* ---- arrays -------------------------------------------------------------------------- */

/* One array of numbers of a type, at most so many; how many, or -1. */
static int32_t take_array(PyObject *array, const char *name, const char *types,
                          Py_ssize_t size, Py_buffer *buffer)
{
    if (PyObject_GetBuffer(array, buffer, PyBUF_CONTIG_RO | PyBUF_FORMAT) < 0)
        return -1;
    const char *format = buffer->format ? buffer->format : "B";
    if (*format == '@' || *format == '=')
        format++;
    if (buffer->itemsize != size || strlen(format) != 1 || !strchr(types, *format) ||
        (buffer->len && (uintptr_t)buffer->buf % (size_t)size)) {
        PyErr_Format(PyExc_ValueError,
                     "Rolled: %s must be an array of type '%c', but has items of '%s'; "
                     "use array.array",
                     name, types[0], buffer->format ? buffer->format : "B");
        return -1;
    }
    if (buffer->len / size > MOST) {
        PyErr_Format(PyExc_ValueError,
                     "Rolled: %s must have at most %d items, but has %zd; split the "
                     "program",
                     name, (int)MOST, buffer->len / size);
        return -1;
    }
    return (int32_t)(buffer->len / size);
}

static int take_arrays(Taken *taken, PyObject *row, PyObject *start, PyObject *operand,
                       PyObject *constants, PyObject *outputs)
{
    Given *given = &taken->given;
    given->count = take_array(row, "row", "H", 2, &taken->row);
    if (given->count < 0)
        return -1;
    int32_t starts = take_array(start, "start", "il", 4, &taken->start);
    if (starts < 0)
        return -1;
    int32_t places = take_array(operand, "operand", "il", 4, &taken->operand);
    if (places < 0)
        return -1;
    given->constants = take_array(constants, "constants", "d", 8, &taken->constants);
    if (given->constants < 0)
        return -1;
    given->outputs = take_array(outputs, "outputs", "il", 4, &taken->outputs);
    if (given->outputs < 0)
        return -1;
    given->row = taken->row.buf;
    given->start = taken->start.buf;
    given->operand = taken->operand.buf;
    given->constant = taken->constants.buf;
    given->output = taken->outputs.buf;
    if (starts != given->count + 1 || given->start[0] != 0 ||
        given->start[given->count] != places) {
        PyErr_Format(PyExc_ValueError,
                     "Rolled: start must go from 0 to the %d operands in %d steps; write "
                     "where each operation's operands begin, and where the last ones end",
                     (int)places, (int)given->count);
        return -1;
    }
    return 0;
}

/* ---- rows ---------------------------------------------------------------------------- */

static int refuse_row(PyObject *error, PyObject *given)
{
    PyErr_Format(error,
                 "Rolled: a row must be one of the numbers in kinds, or a function, but is "
                 "%R; pass the function", given);
    return -1;
}

static int take_code(Taken *taken, PyObject *given, int32_t *code)
{
    if (PyLong_Check(given)) {
        int overflow;
        long kind = PyLong_AsLongAndOverflow(given, &overflow);
        *code = (int32_t)kind;
        if (kind >= 0 && kind < CALLBACK && kind != SUM)
            return 0;
        return refuse_row(PyExc_ValueError, given);
    }
    if (!PyCallable_Check(given))
        return refuse_row(PyExc_TypeError, given);
    *code = CALLBACK + (int32_t)PyList_Size(taken->callbacks);
    return PyList_Append(taken->callbacks, given);
}

/* What each row is: a kind, or a function. */
static int take_codes(Taken *taken, PyObject *rows)
{
    Py_ssize_t count = PyTuple_Size(rows);
    taken->callbacks = PyList_New(0);
    taken->code = room_for((size_t)count, sizeof *taken->code);
    if (!taken->callbacks)
        return -1;
    if (!taken->code) {
        PyErr_NoMemory();
        return -1;
    }
    if (count > UINT16_MAX - KINDS) {
        PyErr_Format(PyExc_ValueError,
                     "Rolled: rows must be at most %d, but are %zd; split the program",
                     (int)(UINT16_MAX - KINDS), count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (take_code(taken, PyTuple_GetItem(rows, i), &taken->code[i]) < 0)
            return -1;
    taken->given.code = taken->code;
    return 0;
}

/* ---- operations ---------------------------------------------------------------------- */

/* Whether so many operands are what a row of this code takes. */
INLINE int takes(int32_t code, int32_t count)
{
    if (code >= CALLBACK || code >= ROW_KINDS)
        return code != DOT || count % 2 == 0;
    return kinds[code].operands == count;
}

INLINE int is_known(const Given *given, int32_t x, int32_t slots)
{
    return x < slots && x >= -given->constants;
}

static int refuse_operation(int32_t k, const char *what)
{
    PyErr_Format(PyExc_ValueError,
                 "Rolled: operation %d must have %s, but has others; give the arrays of a "
                 "tape", (int)k, what);
    return -1;
}

static int check_operations(const Given *given, Py_ssize_t rows)
{
    for (int32_t k = 0; k < given->count; k++) {
        int32_t start = given->start[k], stop = given->start[k + 1];
        if (given->row[k] >= rows)
            return refuse_operation(k, "a row among those given");
        if (start > stop || stop > given->start[given->count] ||
            !takes(given->code[given->row[k]], stop - start))
            return refuse_operation(k, "as many operands as its row");
        for (int32_t i = start; i < stop; i++)
            if (!is_known(given, given->operand[i], given->inputs + k))
                return refuse_operation(k, "operands that come before it");
    }
    for (int32_t i = 0; i < given->outputs; i++)
        if (!is_known(given, given->output[i], given->inputs + given->count)) {
            PyErr_Format(PyExc_ValueError,
                         "Rolled: output %d must be a slot or a constant, but is %d; give "
                         "the arrays of a tape", (int)i, (int)given->output[i]);
            return -1;
        }
    return 0;
}

/* ---- guards -------------------------------------------------------------------------- */

static int take_guard(const Given *given, PyObject *item, int32_t before, Guard *guard)
{
    int after, slot, expected;
    PyObject *place;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "Rolled: a guard must be a Guard, but is not one; "
                                         "give the arrays of a tape");
        return -1;
    }
    if (!PyArg_ParseTuple(item, "iip|O:Guard", &after, &slot, &expected, &place))
        return -1;
    if (after < before || after > given->count || slot < 0 ||
        slot >= given->inputs + after) {
        PyErr_Format(PyExc_ValueError,
                     "Rolled: a guard must look at what is there by then, in order, but "
                     "looks at slot %d after operation %d; give the arrays of a tape",
                     slot, after);
        return -1;
    }
    guard->after = after;
    guard->slot = slot;
    guard->expected = expected;
    return 0;
}

static int take_guards(Taken *taken, PyObject *guards)
{
    Given *given = &taken->given;
    Py_ssize_t count = PyTuple_Size(guards);
    taken->guard = room_for((size_t)count, sizeof *taken->guard);
    if (!taken->guard) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (take_guard(given, PyTuple_GetItem(guards, i),
                       i ? taken->guard[i - 1].after : 0, &taken->guard[i]) < 0)
            return -1;
    given->guard = taken->guard;
    given->guards = (int32_t)count;
    return 0;
}

/* Read all that there is, and check it; -1 with an error. */
static int take(Taken *taken, int inputs, PyObject *rows, PyObject *const *arrays,
                PyObject *guards)
{
    memset(taken, 0, sizeof *taken);
    if (inputs < 0 || inputs > MOST) {
        PyErr_Format(PyExc_ValueError,
                     "Rolled: inputs must be from 0 to %d, but are %d; split the program",
                     (int)MOST, inputs);
        return -1;
    }
    taken->given.inputs = inputs;
    if (take_arrays(taken, arrays[0], arrays[1], arrays[2], arrays[3], arrays[4]) < 0 ||
        take_codes(taken, rows) < 0 ||
        check_operations(&taken->given, PyTuple_Size(rows)) < 0)
        return -1;
    return take_guards(taken, guards);
}
