/* What Python asks of a recorder, and the type. Read `_record.h` first. */

/* ---- slots ------------------------------------------------------------------------------- */

/* As Python has it: from outside, they count down from -1. */
static PyObject *slot_as_int(int32_t slot)
{
    return PyLong_FromLong(slot < FROM_OUTSIDE ? slot : FROM_OUTSIDE - 1 - slot);
}

static PyObject *recorder_operand(PyObject *self, PyObject *x)
{
    const Entry *entry;
    if (!is_value(x))
        return PyNumber_Float(x);
    if (!(entry = known_entry((Recorder *)self, x)))
        return NULL;
    return has_slot(entry) ? slot_as_int(entry->slot) : get_data(x, NULL);
}

static int require_value(PyObject *x)
{
    if (is_value(x))
        return 0;
    PyErr_SetString(PyExc_TypeError, "Recorder: it must be a Value");
    return -1;
}

/* close_over(x) */
static PyObject *recorder_close_over(PyObject *self, PyObject *x)
{
    Recorder *recorder = (Recorder *)self;
    int32_t k = (int32_t)recorder->outside.count;
    if (require_value(x) < 0)
        return NULL;
    if (((Node *)x)->made >= recorder->since || entry_of(recorder, (Node *)x)) {
        PyErr_SetString(PyExc_ValueError, "close_over: it must be new, and from outside");
        return NULL;
    }
    if (k >= FROM_OUTSIDE - 1)
        return PyErr_NoMemory();
    if (have_room(&recorder->outside, 1, sizeof(Entry)) < 0 ||
        have_place(&recorder->closed_at) < 0 || PyList_Append(recorder->closed, x) < 0)
        return NULL;
    add_number(&recorder->closed_at, (uintptr_t)x);
    ((Entry *)recorder->outside.at)[k] = (Entry){.slot = FROM_OUTSIDE + k, .known = 1};
    recorder->outside.count++;
    Py_RETURN_NONE;
}

/* fix(x) */
static PyObject *recorder_fix(PyObject *self, PyObject *x)
{
    Recorder *recorder = (Recorder *)self;
    if (require_value(x) < 0)
        return NULL;
    if (((Node *)x)->made < recorder->since || entry_of(recorder, (Node *)x)) {
        PyErr_SetString(PyExc_ValueError, "fix: it must be new, and made in this run");
        return NULL;
    }
    if (!enter(recorder, (Node *)x, FIXED))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *recorder_has_made(PyObject *self, PyObject *x)
{
    const Recorder *recorder = (Recorder *)self;
    const Entry *entry = is_value(x) && ((Node *)x)->made >= recorder->since
                             ? entry_of(recorder, (Node *)x)
                             : NULL;
    return PyBool_FromLong(entry && has_slot(entry));
}

static PyObject *recorder_follows(PyObject *self, PyObject *x)
{
    int is = follows((Recorder *)self, x);
    return is < 0 ? NULL : PyBool_FromLong(is);
}

/* A leaf with the number of x, in the same slot. */
static PyObject *leaf_of(Recorder *recorder, PyObject *x)
{
    const Entry *entry = known_entry(recorder, x);
    int32_t slot = entry ? entry->slot : FIXED;
    PyObject *leaf;
    if (is_leftover(x))
        return refuse_leftover();
    leaf = entry ? new_leaf(((Node *)x)->data) : NULL;
    if (leaf && !enter(recorder, (Node *)leaf, slot))
        Py_CLEAR(leaf);
    return leaf;
}

static PyObject *recorder_leaf(PyObject *self, PyObject *x)
{
    return require_value(x) < 0 ? NULL : leaf_of((Recorder *)self, x);
}

/* ---- what stands for a plain number -------------------------------------------------------- */

/* copies(xs): see recorder.py. */
static PyObject *recorder_copies(PyObject *self, PyObject *xs)
{
    Recorder *recorder = (Recorder *)self;
    PyObject *items = PySequence_Tuple(xs), *list = items ? PyList_New(0) : NULL;
    int failed = 0;
    for (Py_ssize_t i = 0; list && !failed && i < PyTuple_Size(items); i++) {
        PyObject *x = PyTuple_GetItem(items, i);
        failed = append(list, stands_for_number(recorder, x) ? leaf_of(recorder, x)
                                                             : copy_of(x));
    }
    Py_XDECREF(items);
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* The leaf that stands for the number of x, made once. */
static PyObject *number_leaf(Recorder *recorder, PyObject *x)
{
    Entry *entry = entry_of(recorder, (Node *)x);
    PyObject *leaf;
    if (entry->leaf) {
        leaf = ((PyObject **)recorder->kept.at)[entry->leaf - 1];
        Py_INCREF(leaf);
        return leaf;
    }
    if (!(leaf = leaf_of(recorder, x)))
        return NULL;
    entry_of(recorder, (Node *)leaf)->is_number = 1;
    entry_of(recorder, (Node *)x)->leaf = (unsigned)recorder->kept.count;
    return leaf;
}

/* x cut from its graph: a float, or a Value that stands for one. */
static PyObject *number_of_value(Recorder *recorder, PyObject *x)
{
    const Entry *entry = known_entry(recorder, x);
    if (!entry)
        return NULL;
    if (!has_slot(entry))
        return get_data(x, NULL);
    if (!entry->is_number)
        return number_leaf(recorder, x);
    Py_INCREF(x);
    return x;
}

static PyObject *recorder_number(PyObject *self, PyObject *x)
{
    return require_value(x) < 0 ? NULL : number_of_value((Recorder *)self, x);
}

/* The result of a comparison, which stands for a bool. */
static PyObject *truth_of(Recorder *recorder, PyObject *x)
{
    PyObject *truth = number_of_value(recorder, x);
    if (truth && is_value(truth))
        entry_of(recorder, (Node *)truth)->is_truth = 1;
    return truth;
}

static PyObject *recorder_truth(PyObject *self, PyObject *x)
{
    return require_value(x) < 0 ? NULL : truth_of((Recorder *)self, x);
}

static PyObject *recorder_is_number(PyObject *self, PyObject *x)
{
    return PyBool_FromLong(stands_for_number((Recorder *)self, x));
}

static PyObject *recorder_is_truth(PyObject *self, PyObject *x)
{
    const Entry *entry = is_value(x) ? entry_of((Recorder *)self, (Node *)x) : NULL;
    return PyBool_FromLong(entry && entry->is_truth);
}

/* outside(xs): those that are Values when f runs eagerly, as well. */
static PyObject *recorder_outside(PyObject *self, PyObject *xs)
{
    PyObject *items = PySequence_Tuple(xs), *list = items ? PyList_New(0) : NULL;
    int failed = 0;
    for (Py_ssize_t i = 0; list && !failed && i < PyTuple_Size(items); i++) {
        PyObject *x = PyTuple_GetItem(items, i);
        if (is_value(x) && !stands_for_number((Recorder *)self, x))
            failed = PyList_Append(list, x);
    }
    Py_XDECREF(items);
    if (failed)
        Py_CLEAR(list);
    return list;
}

/* ---- what comes of it ---------------------------------------------------------------------- */

/* A code in the tape, where those from outside stand between arguments and results. */
INLINE int32_t final_code(const Recorder *recorder, int32_t code)
{
    int32_t more = (int32_t)recorder->outside.count;
    return code < recorder->own    ? code
           : code < FROM_OUTSIDE   ? code + more
                                   : code - FROM_OUTSIDE + recorder->own;
}

/* final(slot) */
static PyObject *recorder_final(PyObject *self, PyObject *given)
{
    Recorder *recorder = (Recorder *)self;
    long slot = PyLong_AsLong(given);
    if (slot == -1 && PyErr_Occurred())
        return NULL;
    if (slot < -(long)recorder->outside.count || slot >= FROM_OUTSIDE) {
        PyErr_SetString(PyExc_ValueError, "final: it must be a slot");
        return NULL;
    }
    return PyLong_FromLong(
        final_code(recorder, (int32_t)(slot < 0 ? FROM_OUTSIDE - 1 - slot : slot)));
}

static PyObject *as_bytes(const Growing *array, size_t count, size_t size)
{
    return PyBytes_FromStringAndSize(array->at, (Py_ssize_t)(count * size));
}

/* These codes as they are in the tape. */
static PyObject *final_codes(const Recorder *recorder, const int32_t *codes, size_t count)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof *codes));
    int32_t *to = bytes ? (int32_t *)(void *)PyBytes_AsString(bytes) : NULL;
    for (size_t i = 0; to && i < count; i++)
        to[i] = final_code(recorder, codes[i]);
    return bytes;
}

/* The number of what is a constant; -1.0 with an error where it has none. */
static double constant_number(PyObject *y)
{
    PyObject *number = is_value(y) ? get_data(y, NULL) : PyNumber_Float(y);
    double x = number ? PyFloat_AsDouble(number) : -1.0;
    Py_XDECREF(number);
    return x;
}

/* The code of an output: its slot, or a constant. */
static int code_of_output(Recorder *recorder, PyObject *y, int32_t *code)
{
    const Entry *entry = is_value(y) ? known_entry(recorder, y) : NULL;
    double x;
    if (is_value(y) && !entry)
        return -1;
    if (entry && has_slot(entry)) {
        *code = entry->slot;
        return 0;
    }
    x = constant_number(y);
    if (x == -1.0 && PyErr_Occurred())
        return -1;
    *code = constant_code(recorder, x);
    return *code == FROM_OUTSIDE ? -1 : 0;
}

static PyObject *codes_of_outputs(Recorder *recorder, PyObject *ys)
{
    size_t n = (size_t)PyTuple_Size(ys);
    int32_t *codes = PyMem_Calloc(n + 1, sizeof *codes);
    PyObject *bytes = NULL;
    int failed = !codes;
    if (failed)
        PyErr_NoMemory();
    for (size_t i = 0; !failed && i < n; i++)
        failed = code_of_output(recorder, PyTuple_GetItem(ys, (Py_ssize_t)i), &codes[i]);
    if (!failed)
        bytes = final_codes(recorder, codes, n);
    PyMem_Free(codes);
    return bytes;
}

/* The parts as a tuple, whose references it takes over; NULL if one is missing. */
static PyObject *pack(PyObject **parts, Py_ssize_t n)
{
    PyObject *tuple = PyTuple_New(n);
    int failed = !tuple;
    for (Py_ssize_t i = 0; i < n; i++)
        if (failed || !parts[i]) {
            failed = 1;
            Py_XDECREF(parts[i]);
        } else
            PyTuple_SetItem(tuple, i, parts[i]);
    if (failed)
        Py_CLEAR(tuple);
    return tuple;
}

/* recorded(outputs) -> (rows, row, start, operand, constants, outputs) */
static PyObject *recorder_recorded(PyObject *self, PyObject *given)
{
    Recorder *recorder = (Recorder *)self;
    PyObject *ys = PySequence_Tuple(given);
    PyObject *outputs = ys ? codes_of_outputs(recorder, ys) : NULL;
    size_t count = recorder->row.count;
    Py_XDECREF(ys);
    if (!outputs || have_room(&recorder->start, 1, sizeof(int32_t)) < 0) {
        Py_XDECREF(outputs);
        return NULL;
    }
    PyObject *parts[] = {PyList_AsTuple(recorder->rows),
                         as_bytes(&recorder->row, count, sizeof(uint16_t)),
                         as_bytes(&recorder->start, count + 1, sizeof(int32_t)),
                         final_codes(recorder, recorder->operand.at, recorder->operand.count),
                         as_bytes(&recorder->constants, recorder->constants.count,
                                  sizeof(double)),
                         outputs};
    return pack(parts, sizeof parts / sizeof *parts);
}

/* Take a Value its number. */
static void leave_over(Node *node)
{
    leftovers += !(node->traits & LEFTOVER);
    node->traits |= LEFTOVER;
    node->data = NAN;
}

/* close() */
static PyObject *recorder_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Recorder *recorder = (Recorder *)self;
    for (size_t i = 0; i < recorder->kept.count; i++)
        leave_over(((Node **)recorder->kept.at)[i]);
    set_alert();
    Py_RETURN_NONE;
}

/* ---- the type ------------------------------------------------------------------------------- */

/* Its arguments: new leaves, that stand for numbers. */
static int make_arguments(Recorder *recorder, PyObject *xs)
{
    Py_ssize_t n = PyTuple_Size(xs);
    if (n >= FROM_OUTSIDE) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *x = PyObject_CallFunctionObjArgs((PyObject *)ValueType,
                                                   PyTuple_GetItem(xs, i), NULL);
        Entry *entry = x ? enter(recorder, (Node *)x, (int32_t)i) : NULL;
        int failed = !entry || PyList_Append(recorder->arguments, x) < 0;
        Py_XDECREF(x);
        if (failed)
            return -1;
        entry->is_number = 1;
    }
    recorder->own = (int32_t)n;
    return 0;
}

/* Recorder(xs), which is initialised once. */
static int recorder_init(PyObject *self, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    Recorder *recorder = (Recorder *)self;
    PyObject *given, *xs;
    int failed;
    if (!connected() || !PyArg_ParseTuple(args, "O:Recorder", &given))
        return -1;
    if (recorder->rows) {
        PyErr_SetString(PyExc_TypeError, "Recorder: it must be initialised once");
        return -1;
    }
    recorder->since = ++now;
    if (!(recorder->arguments = PyList_New(0)) || !(recorder->closed = PyList_New(0)) ||
        !(recorder->rows = PyList_New(0)) || !(xs = PySequence_Tuple(given)))
        return -1;
    failed = make_arguments(recorder, xs);
    Py_DECREF(xs);
    return failed;
}

static int recorder_traverse(PyObject *self, visitproc visit, void *arg)
{
    Recorder *recorder = (Recorder *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(recorder->arguments);
    Py_VISIT(recorder->closed);
    Py_VISIT(recorder->rows);
    for (size_t i = 0; recorder->has_foreign && i < recorder->kept.count; i++)
        Py_VISIT(((PyObject **)recorder->kept.at)[i]);
    return 0;
}

/* Its entries go first: they are of Values that it keeps. */
static int recorder_clear(PyObject *self)
{
    Recorder *recorder = (Recorder *)self;
    Growing kept = recorder->kept;
    for (size_t i = 0; i < recorder->pages.count; i++)
        PyMem_Free(((Entry **)recorder->pages.at)[i]);
    drop(&recorder->pages);
    drop(&recorder->outside);
    drop_numbers(&recorder->closed_at);
    memset(&recorder->kept, 0, sizeof recorder->kept);
    for (size_t i = 0; i < kept.count; i++)
        Py_DECREF(((PyObject **)kept.at)[i]);
    PyMem_Free(kept.at);
    Py_CLEAR(recorder->arguments);
    Py_CLEAR(recorder->closed);
    return 0;
}

static void recorder_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Recorder *recorder = (Recorder *)self;
    PyObject_GC_UnTrack(self);
    forget_recorder();
    recorder_clear(self);
    Py_CLEAR(recorder->rows);
    drop(&recorder->row);
    drop(&recorder->start);
    drop(&recorder->operand);
    drop(&recorder->constants);
    drop_numbers(&recorder->row_at);
    drop_numbers(&recorder->constant_at);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *recorder_count(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(((Recorder *)self)->row.count);
}

static PyGetSetDef recorder_attributes[] = {
    {"count", recorder_count, NULL, "How many instructions there are so far.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMemberDef recorder_members[] = {
    {"since", T_LONGLONG, offsetof(Recorder, since), READONLY, NULL},
    {"arguments", T_OBJECT_EX, offsetof(Recorder, arguments), READONLY, NULL},
    {"closed", T_OBJECT_EX, offsetof(Recorder, closed), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyMethodDef recorder_methods[] = {
    {"see_value", recorder_see_value, METH_O, "Write a new node down."},
    {"operand", recorder_operand, METH_O, "The slot of x, or its number."},
    {"close_over", recorder_close_over, METH_O, "Take x for one more input."},
    {"fix", recorder_fix, METH_O, "Take x for a constant."},
    {"has_made", recorder_has_made, METH_O, "Whether x is of this run, and has a slot."},
    {"follows", recorder_follows, METH_O, "Whether x depends on an input."},
    {"leaf", recorder_leaf, METH_O, "A leaf with the number of x, in the same slot."},
    {"copies", recorder_copies, METH_O, "Fresh inputs of these numbers and Values."},
    {"number", recorder_number, METH_O, "x cut from its graph."},
    {"truth", recorder_truth, METH_O, "x cut from its graph, as a truth."},
    {"is_number", recorder_is_number, METH_O, "Whether x stands for a float."},
    {"is_truth", recorder_is_truth, METH_O, "Whether x stands for a bool."},
    {"outside", recorder_outside, METH_O, "Those that are Values eagerly, as well."},
    {"recorded", recorder_recorded, METH_O, "The instructions and outputs as arrays."},
    {"final", recorder_final, METH_O, "That slot in the tape."},
    {"close", recorder_close, METH_NOARGS, "Take the Values of this run their numbers."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot recorder_slots[] = {
    {Py_tp_init, recorder_init},
    {Py_tp_dealloc, recorder_dealloc},
    {Py_tp_traverse, recorder_traverse},
    {Py_tp_clear, recorder_clear},
    {Py_tp_getset, recorder_attributes},
    {Py_tp_methods, recorder_methods},
    {Py_tp_members, recorder_members},
    {0, NULL}};

static PyType_Spec recorder_spec = {
    .name = "autograd.recorder.Recorder",
    .basicsize = sizeof(Recorder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = recorder_slots};
