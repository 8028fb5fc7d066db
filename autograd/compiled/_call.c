/* Calls of ready functions: from Python objects to machine code and back, in C.

   jit.py says what a compiled function does; this is the short way through it, for calls
   that look like one of the last. The numbers of the arguments are read by a list of steps
   made once for their form, the code of a path runs on them, and other steps build the
   result. Whatever does not fit in every detail (another form, a thread that is watched,
   a branch no one has taken) goes to Python's `__call__`, which can do it all and sees it
   untouched: nothing has happened yet.

   step    one part of a form: a number, a container and how many items it has, …
   ready   a path that can be called from here: its steps, its code, its branches
   mapped  a path that can be called on a batch: in arrays, or summed over its lanes
   operand a Value or number that a node is made of, where a path is called on Values

   Nothing is kept between calls but what was there before, so calls from many threads,
   and calls within calls, do not meet. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#ifndef Py_LIMITED_API
#error "compile with -DPy_LIMITED_API=0x030B0000: one binary for 3.11 and later"
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#define MOST_AXES 32 /* of an array that is read here */
#define ON_STACK 512 /* doubles that a call keeps on the stack */
#define MOST_COPIED 65536 /* doubles of a batch that lie in no rows */
#define MOST_KNOWN 32 /* forms of the last calls, which C can repeat */

typedef PyObject *(*Vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);
typedef int32_t (*Code)(const double *in, double *out, double *workspace);
typedef int32_t (*Rolled)(void *context, const double *in, double *out);

static struct {
    PyObject *call, *map;      /* Compiled.__call__ and Batched.__call__ of Python */
    PyObject *watchers;        /* a dict, empty while no thread is watched */
    PyObject *value, *node;    /* the type Value, and what makes one of its parts */
    PyObject *data, *contents; /* the names of its number, and of what a cell holds */
    PyObject *array, *float64; /* types of NumPy */
    PyObject *scalars;         /* a set of its other types of numbers */
    PyObject *empty;           /* numpy.empty */
    PyObject *items, *build;   /* what takes other containers apart, and makes them */
} python;

static int (*read_value)(PyObject *, double *); /* of the engine in C: as `number_of` */

/* Likewise, the results of a call of that row on operands that it takes over. */
static PyObject *(*make_components)(PyObject *row, const double *ys, size_t k,
                                    PyObject **operands, const double *numbers, size_t n);

static PyTypeObject *CompiledType, *BatchedType, *ReadyType, *MappedType, *PlacesType;

/* ---- steps -------------------------------------------------------------------------- */

enum { NUMBER, STATIC, LIST, TUPLE, NAMED, DICT, OTHER, ARRAY, ROWS, LANES, TRUTH, KINDS };

/* A form is a list of steps in the order of its numbers: behind a container come those of
   its items, unless all of these are numbers (plain). ROWS is an array, LANES a list, with
   an item for each lane of a batch. With an array, and with both in a result, comes the
   shape of an item; with a list among the arguments, the steps of a lane follow. OTHER
   containers are taken apart, and put together, by Python. */

typedef struct {
    int kind, plain;
    Py_ssize_t count;  /* of items, axes or keys */
    PyObject *object;  /* what is static, the type of a named tuple, keys, a shape, a form */
    Py_ssize_t *shape; /* of an array */
} Step;

typedef struct {
    Step *steps;
    Py_ssize_t count;
} Steps;

static void free_steps(Steps *steps)
{
    for (Py_ssize_t i = 0; i < steps->count; i++) {
        Py_CLEAR(steps->steps[i].object);
        PyMem_Free(steps->steps[i].shape);
    }
    PyMem_Free(steps->steps);
    steps->steps = NULL;
    steps->count = 0;
}

static int visit_steps(const Steps *steps, visitproc visit, void *arg)
{
    for (Py_ssize_t i = 0; i < steps->count; i++)
        Py_VISIT(steps->steps[i].object);
    return 0;
}

static int make_shape(Step *step)
{
    step->count = PyTuple_Size(step->object);
    if (step->count < 0)
        return -1;
    if (step->count > MOST_AXES) {
        PyErr_SetString(PyExc_ValueError, "Ready: an array must have at most 32 axes");
        return -1;
    }
    step->shape = PyMem_Calloc((size_t)step->count + 1, sizeof(Py_ssize_t));
    if (!step->shape) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < step->count; i++) {
        PyObject *length = PyTuple_GetItem(step->object, i);
        step->shape[i] = length ? PyLong_AsSsize_t(length) : -1;
        if (step->shape[i] < 0)
            return -1;
    }
    return 0;
}

static int make_step(Step *step, PyObject *given)
{
    if (!PyArg_ParseTuple(given, "inOp:Ready", &step->kind, &step->count, &step->object,
                          &step->plain)) {
        step->object = NULL;
        return -1;
    }
    Py_INCREF(step->object);
    if (step->kind < 0 || step->kind >= KINDS || step->count < 0 ||
        (step->kind == DICT && PyTuple_Size(step->object) != step->count)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError,
                            "Ready: a step must be (kind, count, object, plain)");
        return -1;
    }
    if (step->kind == ARRAY || step->kind == ROWS ||
        (step->kind == LANES && step->object != Py_None))
        return make_shape(step);
    return 0;
}

/* Read a list of such tuples, in the order of the numbers. */
static int make_steps(Steps *steps, PyObject *given)
{
    Py_ssize_t count = PyList_Size(given);
    if (count < 0)
        return -1;
    steps->steps = PyMem_Calloc((size_t)count + 1, sizeof(Step));
    if (!steps->steps) {
        PyErr_NoMemory();
        return -1;
    }
    for (; steps->count < count; steps->count++)
        if (make_step(&steps->steps[steps->count], PyList_GetItem(given, steps->count)) < 0) {
            steps->count++; /* so that what it holds already is freed */
            return -1;
        }
    return 0;
}

static Py_ssize_t product(const Step *step)
{
    Py_ssize_t total = 1;
    for (Py_ssize_t axis = 0; axis < step->count; axis++)
        total *= step->shape[axis];
    return total;
}

/* Numbers that the steps hold, so that no result reads or writes beyond them. */
static Py_ssize_t numbers_in(const Steps *steps)
{
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; i < steps->count; i++) {
        const Step *step = &steps->steps[i];
        if (step->plain)
            total += step->count;
        else
            total += step->shape ? product(step) : step->kind == NUMBER || step->kind == TRUTH;
    }
    return total;
}

/* Errors say that nothing is there, but Ctrl-C is for the caller. */
static void forget_error(void)
{
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear();
}

typedef struct {
    int64_t slot, columns, address, stride;
} Group; /* columns of a batch that lie side by side */

/* ---- numbers in arrays ------------------------------------------------------------------ */

typedef double (*Read)(const char *);

#define READ(name, type)                                                                   \
    static double name(const char *from)                                                   \
    {                                                                                      \
        type number;                                                                       \
        memcpy(&number, from, sizeof number);                                              \
        return (double)number;                                                             \
    }

READ(read_double, double)
READ(read_float, float)
READ(read_int8, int8_t)
READ(read_int16, int16_t)
READ(read_int32, int32_t)
READ(read_int64, int64_t)
READ(read_uint8, uint8_t)
READ(read_uint16, uint16_t)
READ(read_uint32, uint32_t)
READ(read_uint64, uint64_t)

/* What reads the numbers of a buffer, if they are of this machine: whole ones by their
   size, since what "l" stands for differs. Truths are numbers within an array only. */
static Read reader_of(const Py_buffer *view, Py_ssize_t axes)
{
    static const Read whole[] = {read_int8,  read_int16,  read_int32,  read_int64,
                                 read_uint8, read_uint16, read_uint32, read_uint64};
    const char *format = view->format;
    int size = 0;
    if (!format || !format[0] || format[1])
        return NULL;
    if (format[0] == 'd')
        return read_double;
    if (format[0] == 'f')
        return read_float;
    if (format[0] == '?')
        return axes ? read_uint8 : NULL;
    while (size < 4 && view->itemsize != (Py_ssize_t)1 << size)
        size++;
    if (size < 4 && strchr("bhilq", format[0]))
        return whole[size];
    return size < 4 && strchr("BHILQ", format[0]) ? whole[4 + size] : NULL;
}

static double *copy_axis(double *to, const Py_buffer *view, Read read, int axis,
                         const char *from)
{
    Py_ssize_t stride = view->strides[axis];
    for (Py_ssize_t i = 0; i < view->shape[axis]; i++, from += stride) {
        if (axis + 1 < view->ndim)
            to = copy_axis(to, view, read, axis + 1, from);
        else
            *to++ = read(from);
    }
    return to;
}

/* Whether numbers lie side by side, in the order of C, from that axis on. */
static int is_packed(const Py_buffer *view, int axis)
{
    Py_ssize_t stride = view->itemsize;
    for (int i = view->ndim - 1; i >= axis; i--) {
        if (view->strides[i] != stride)
            return 0;
        stride *= view->shape[i];
    }
    return 1;
}

/* Write all numbers of a buffer down, in the order of C. */
static void copy_numbers(double *to, const Py_buffer *view, Read read)
{
    if (read == read_double && is_packed(view, 0))
        memcpy(to, view->buf, (size_t)view->len);
    else if (view->ndim)
        copy_axis(to, view, read, 0, view->buf);
    else
        *to = read(view->buf);
}

/* Look into an array of NumPy; whether it is one. */
static int look_into(PyObject *x, Py_buffer *view)
{
    if ((PyObject *)Py_TYPE(x) != python.array)
        return 0;
    if (PyObject_GetBuffer(x, view, PyBUF_RECORDS_RO) == 0)
        return 1;
    PyErr_Clear();
    return 0;
}

/* Whether an array has the shape of the step behind its first `lanes` axes. */
static int has_shape(const Py_buffer *view, const Step *step, int lanes)
{
    if (view->ndim != step->count + lanes)
        return 0;
    for (Py_ssize_t i = 0; i < step->count; i++)
        if (view->shape[i + lanes] != step->shape[i])
            return 0;
    return 1;
}

/* ---- numbers out of arguments --------------------------------------------------------- */

typedef struct {
    const Step *at, *end;
    double *to, *full;
    double *first;      /* where slot 0 is */
    PyObject **operands; /* to be kept for a node; NULL where Values do not fit */
    int skims;          /* looks at containers alone, not at their numbers */
    Py_ssize_t lanes;   /* of a batch; -1 until there is one */
    Group *group;       /* where the next one is to be written */
    void **buffer;      /* where to keep the next buffer, which the caller frees */
    Py_buffer *view;    /* and the next view, which the caller releases */
} Reader;

static int take(Reader *reader, PyObject *x);

/* The number of a Value; whether it has one. */
static int number_of(PyObject *value, double *number)
{
    if (read_value)
        return read_value(value, number);
    PyObject *data = PyObject_GetAttr(value, python.data);
    int fits = data && PyFloat_CheckExact(data);
    if (fits)
        *number = PyFloat_AsDouble(data);
    Py_XDECREF(data);
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError)) /* left over */
        PyErr_Clear();
    return fits;
}

static int take_array(Reader *reader, const Step *step, PyObject *x)
{
    Py_buffer view;
    Read read;
    int fits;
    if (!look_into(x, &view))
        return 0;
    read = reader_of(&view, step->count);
    fits = read && has_shape(&view, step, 0);
    if (fits && !reader->skims) {
        Py_ssize_t total = product(step);
        fits = total <= reader->full - reader->to;
        if (fits && total)
            copy_numbers(reader->to, &view, read);
        if (fits)
            reader->to += total;
    }
    PyBuffer_Release(&view);
    return fits;
}

static int read_of_array(PyObject *x, double *to)
{
    Py_buffer view;
    Read read;
    if (!look_into(x, &view))
        return 0;
    read = view.ndim ? NULL : reader_of(&view, 0);
    if (read)
        *to = read(view.buf);
    PyBuffer_Release(&view);
    return read != NULL;
}

/* What is a number, but no float: a Value, or one of Python or NumPy of which float() runs
   no other Python. */
static int read_other(Reader *reader, PyObject *x, double *to)
{
    PyObject *kind = (PyObject *)Py_TYPE(x);
    int known;
    if (kind == python.value) {
        if (!reader->operands || !number_of(x, to))
            return 0;
        Py_INCREF(x);
        reader->operands[to - reader->first] = x;
        return 1;
    }
    if (kind == python.array)
        return read_of_array(x, to);
    if (!PyLong_CheckExact(x) && PySet_Contains(python.scalars, kind) != 1)
        return 0;
    *to = PyFloat_AsDouble(x);
    known = !PyErr_Occurred();
    PyErr_Clear();
    return known;
}

INLINE int read_number(Reader *reader, PyObject *x, double *to)
{
    if (!PyFloat_CheckExact(x) && (PyObject *)Py_TYPE(x) != python.float64)
        return read_other(reader, x, to);
    *to = PyFloat_AsDouble(x);
    return 1;
}

static int take_number(Reader *reader, PyObject *x)
{
    if (reader->skims)
        return 1;
    return reader->to < reader->full && read_number(reader, x, reader->to++);
}

/* Only texts are compared: whatever else is static has to be the same object. */
static int is_same(PyObject *x, PyObject *known)
{
    return x == known || (PyUnicode_CheckExact(x) && PyUnicode_CheckExact(known) &&
                          PyUnicode_Compare(x, known) == 0);
}

typedef PyObject *(*Get)(PyObject *, Py_ssize_t);

/* Numbers side by side: nothing can change them meanwhile. */
INLINE int take_numbers(Reader *reader, PyObject *x, Py_ssize_t count, Get get)
{
    double *to = reader->to;
    if (reader->skims)
        return 1;
    if (count > reader->full - to)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!read_number(reader, get(x, i), to + i))
            return 0;
    reader->to += count;
    return 1;
}

INLINE int take_items(Reader *reader, const Step *step, PyObject *x, Py_ssize_t count, Get get)
{
    if (count != step->count)
        return 0;
    if (step->plain)
        return take_numbers(reader, x, count, get);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = get(x, i);
        if (!item)
            PyErr_Clear(); /* the list has become shorter */
        if (!item || !take(reader, item))
            return 0;
    }
    return 1;
}

static int take_list(Reader *reader, const Step *step, PyObject *x)
{
    return take_items(reader, step, x, PyList_Size(x), PyList_GetItem);
}

static int take_tuple(Reader *reader, const Step *step, PyObject *x)
{
    return take_items(reader, step, x, PyTuple_Size(x), PyTuple_GetItem);
}

static int take_dict(Reader *reader, const Step *step, PyObject *x)
{
    PyObject *key, *item;
    Py_ssize_t place = 0, i = 0;
    if (PyDict_Size(x) != step->count)
        return 0;
    while (i < step->count && PyDict_Next(x, &place, &key, &item))
        if (!is_same(key, PyTuple_GetItem(step->object, i++)) ||
            !(step->plain ? take_number(reader, item) : take(reader, item)))
            return 0;
    return i == step->count;
}

/* Python says whether it is a container like the one known, and takes it apart. */
static int take_other(Reader *reader, const Step *step, PyObject *x)
{
    PyObject *items = NULL;
    int fits;
    if ((PyObject *)Py_TYPE(x) == PyTuple_GetItem(step->object, 0))
        items = PyObject_CallFunctionObjArgs(python.items, step->object, x, NULL);
    fits = items && PyList_CheckExact(items) && take_list(reader, step, items);
    Py_XDECREF(items);
    forget_error();
    return fits;
}

static int is_of_length(Reader *reader, Py_ssize_t lanes)
{
    if (reader->lanes < 0)
        reader->lanes = lanes;
    return lanes > 0 && lanes == reader->lanes;
}

static int add_group(Reader *reader, Py_ssize_t columns, const void *from, Py_ssize_t stride)
{
    Group group = {reader->to - reader->first, columns, (int64_t)(intptr_t)from, stride};
    if (columns > reader->full - reader->to)
        return 0;
    if (columns)
        *reader->group++ = group;
    reader->to += columns;
    return 1;
}

/* Room for rows of numbers, which is freed with the others; NULL if there is none. */
static double *new_rows(Reader *reader, Py_ssize_t row)
{
    Py_ssize_t most = PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(double);
    double *rows = NULL;
    if (row && reader->lanes <= most / row)
        rows = PyMem_Malloc((size_t)(reader->lanes * row) * sizeof(double));
    if (rows)
        *reader->buffer++ = rows;
    return rows;
}

/* Whether each row has its doubles side by side, where the code can read them. */
static int is_in_place(const Py_buffer *view)
{
    Py_ssize_t size = sizeof(double);
    return !((uintptr_t)view->buf % sizeof(double) || view->strides[0] % size) &&
           is_packed(view, 1);
}

static int take_rows(Reader *reader, const Step *step, PyObject *x)
{
    Py_buffer *view = reader->view;
    Py_ssize_t columns = product(step);
    double *rows;
    Read read;
    int fits;
    if (!look_into(x, view))
        return 0;
    read = reader_of(view, step->count);
    fits = read && has_shape(view, step, 1) && is_of_length(reader, view->shape[0]);
    if (reader->skims)
        PyBuffer_Release(view);
    else
        reader->view++;
    if (!fits || reader->skims)
        return fits;
    if (read == read_double && is_in_place(view))
        return add_group(reader, columns, view->buf, view->strides[0]);
    if (!columns)
        return 1;
    if (read == read_double && reader->lanes > MOST_COPIED / columns)
        return 0; /* Python has the code read each column where it is */
    rows = new_rows(reader, columns);
    if (rows)
        copy_numbers(rows, view, read);
    return rows && add_group(reader, columns, rows, columns * (Py_ssize_t)sizeof(double));
}

/* Read each lane into a row. */
static int take_lanes(Reader *reader, const Step *step, PyObject *x)
{
    const Step *first = reader->at;
    double *rows, *to = reader->to, *full = reader->full;
    int fits = 1;
    if (!PyList_CheckExact(x) || !is_of_length(reader, PyList_Size(x)))
        return 0;
    if (reader->skims)
        return take(reader, PyList_GetItem(x, 0));
    rows = new_rows(reader, step->count);
    if (!rows)
        return 0;
    reader->to = rows;
    for (Py_ssize_t i = 0; fits && i < reader->lanes; i++) {
        PyObject *lane = PyList_GetItem(x, i);
        reader->at = first;
        reader->full = rows + (i + 1) * step->count;
        fits = lane && take(reader, lane) && reader->to == reader->full;
    }
    forget_error();
    reader->to = to;
    reader->full = full;
    return fits && add_group(reader, step->count, rows,
                             step->count * (Py_ssize_t)sizeof(double));
}

static int take_container(Reader *reader, const Step *step, PyObject *x)
{
    switch (step->kind) {
    case LIST:
        return PyList_CheckExact(x) && take_list(reader, step, x);
    case TUPLE:
        return PyTuple_CheckExact(x) && take_tuple(reader, step, x);
    case NAMED:
        return (PyObject *)Py_TYPE(x) == step->object && take_tuple(reader, step, x);
    case DICT:
        return PyDict_CheckExact(x) && take_dict(reader, step, x);
    case LANES:
        return take_lanes(reader, step, x);
    default:
        return take_other(reader, step, x);
    }
}

/* Whether x fits the next steps; writes its numbers down. Other containers may run Python,
   which may take x out of where it was found. */
static int take(Reader *reader, PyObject *x)
{
    const Step *step = reader->at++;
    int fits;
    if (step >= reader->end)
        return 0;
    switch (step->kind) {
    case NUMBER:
        return take_number(reader, x);
    case STATIC:
        return is_same(x, step->object);
    case ARRAY:
        return take_array(reader, step, x);
    case ROWS:
        return take_rows(reader, step, x);
    default:
        Py_INCREF(x);
        fits = take_container(reader, step, x);
        Py_DECREF(x);
        return fits;
    }
}

/* ---- numbers into a result -------------------------------------------------------------- */

typedef struct {
    const Step *at;
    const double *from;
    Py_ssize_t lanes; /* of a batch, whose columns are not there yet */
    Group *group;     /* where to say where they belong */
    int64_t slot;
    PyObject *const *array; /* the next one of such columns, now that they are there */
    PyObject *node;    /* what comes in place of the one number, or NULL */
    PyObject *results; /* a list of what comes in place of the numbers, or NULL */
    Py_ssize_t result; /* the next one */
} Builder;

static PyObject *give(Builder *builder);

static PyObject *give_result(Builder *builder)
{
    PyObject *item = builder->node;
    if (builder->results)
        item = PyList_GetItem(builder->results, builder->result++);
    Py_XINCREF(item);
    return item;
}

static PyObject *give_number(Builder *builder)
{
    if (builder->node || builder->results)
        return give_result(builder);
    return PyFloat_FromDouble(*builder->from++);
}

static PyObject *give_truth(Builder *builder)
{
    double truth = builder->results ? builder->from[builder->result++] : *builder->from++;
    return PyBool_FromLong(truth != 0.0);
}

static PyObject *give_item(Builder *builder, const Step *step)
{
    return step->plain ? give_number(builder) : give(builder);
}

typedef int (*Set)(PyObject *, Py_ssize_t, PyObject *);

INLINE PyObject *give_items(Builder *builder, const Step *step, PyObject *made, Set set)
{
    int numbers = step->plain && !builder->node && !builder->results;
    for (Py_ssize_t i = 0; made && i < step->count; i++) {
        PyObject *item = numbers ? PyFloat_FromDouble(builder->from[i])
                                 : give_item(builder, step);
        if (!item || set(made, i, item) < 0)
            Py_CLEAR(made);
    }
    builder->from += numbers ? step->count : 0;
    return made;
}

static PyObject *give_list(Builder *builder, const Step *step)
{
    return give_items(builder, step, PyList_New(step->count), PyList_SetItem);
}

static PyObject *give_tuple(Builder *builder, const Step *step)
{
    return give_items(builder, step, PyTuple_New(step->count), PyTuple_SetItem);
}

/* A named tuple by tuple's own __new__: that of the kind would run a second time on what
   it has made. */
static PyObject *give_named(Builder *builder, const Step *step)
{
    newfunc new = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    PyObject *named = NULL, *args = NULL, *tuple = give_tuple(builder, step);
    if (tuple && (args = PyTuple_Pack(1, tuple)))
        named = new((PyTypeObject *)step->object, args, NULL);
    Py_XDECREF(args);
    Py_XDECREF(tuple);
    return named;
}

static PyObject *give_dict(Builder *builder, const Step *step)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < step->count; i++) {
        PyObject *item = give_item(builder, step);
        if (!item || PyDict_SetItem(dict, PyTuple_GetItem(step->object, i), item) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(item);
    }
    return dict;
}

static PyObject *give_other(Builder *builder, const Step *step)
{
    PyObject *made = NULL, *items = give_list(builder, step);
    if (items)
        made = PyObject_CallFunctionObjArgs(python.build, step->object, items, NULL);
    Py_XDECREF(items);
    return made;
}

/* A new array of that shape, and where its numbers are: no one else has it, so it stays
   where it is. */
static PyObject *new_array(PyObject *shape, char **memory, Py_ssize_t *bytes)
{
    PyObject *array = PyObject_CallFunctionObjArgs(python.empty, shape, NULL);
    Py_buffer view;
    if (!array || PyObject_GetBuffer(array, &view, PyBUF_CONTIG) < 0) {
        Py_XDECREF(array);
        return NULL;
    }
    *memory = view.buf;
    *bytes = view.len;
    PyBuffer_Release(&view);
    return array;
}

static PyObject *give_array(Builder *builder, const Step *step)
{
    char *memory;
    Py_ssize_t bytes;
    PyObject *array = new_array(step->object, &memory, &bytes);
    if (!array)
        return NULL;
    memcpy(memory, builder->from, (size_t)bytes);
    builder->from += bytes / (Py_ssize_t)sizeof(double);
    return array;
}

/* The shape of so many lanes of a shape. */
static PyObject *shape_of(Py_ssize_t lanes, PyObject *lane)
{
    PyObject *length = PyLong_FromSsize_t(lanes), *first, *shape;
    if (!length || !PyTuple_Size(lane))
        return length; /* which NumPy takes for a shape of one axis */
    first = PyTuple_Pack(1, length);
    shape = first ? PySequence_Concat(first, lane) : NULL;
    Py_DECREF(length);
    Py_XDECREF(first);
    return shape;
}

/* An array with a row for each lane, to be filled afterwards. */
static PyObject *make_rows(Builder *builder, const Step *step)
{
    PyObject *shape = shape_of(builder->lanes, step->object), *array = NULL;
    Group group = {builder->slot, product(step), 0, 0};
    char *memory;
    Py_ssize_t bytes;
    if (shape)
        array = new_array(shape, &memory, &bytes);
    Py_XDECREF(shape);
    if (!array || !group.columns)
        return array;
    group.address = (int64_t)(intptr_t)memory;
    group.stride = group.columns * (int64_t)sizeof(double);
    builder->slot += group.columns;
    *builder->group++ = group;
    return array;
}

static PyObject *give_rows(Builder *builder, const Step *step)
{
    PyObject *array = *builder->array++, *list, *function;
    if (step->kind == ROWS) {
        Py_INCREF(array);
        return array;
    }
    function = PyObject_GetAttrString(array, "tolist");
    list = function ? PyObject_CallFunctionObjArgs(function, NULL) : NULL;
    Py_XDECREF(function);
    return list;
}

static PyObject *give(Builder *builder)
{
    const Step *step = builder->at++;
    switch (step->kind) {
    case NUMBER:
        return give_number(builder);
    case TRUTH:
        return give_truth(builder);
    case STATIC:
        Py_INCREF(step->object);
        return step->object;
    case LIST:
        return give_list(builder, step);
    case TUPLE:
        return give_tuple(builder, step);
    case NAMED:
        return give_named(builder, step);
    case DICT:
        return give_dict(builder, step);
    case ROWS:
    case LANES:
        return give_rows(builder, step);
    case ARRAY:
        return give_array(builder, step);
    default:
        return give_other(builder, step);
    }
}

/* ---- where Values were found: see places.py ------------------------------------------ */

enum { ITEM, ENTRY, CELL, ATTRIBUTE, SIZE, KEYS, CALL };

typedef struct {
    long kind;
    Py_ssize_t number; /* an index, or a size */
    PyObject *holder, *key, *held;
} Place;

typedef struct {
    PyObject_HEAD
    PyObject *all; /* a list of them, as Python has them */
    Place *places; /* which borrow from that list */
    Py_ssize_t count;
} Places;

static int make_place(Place *place, PyObject *given)
{
    PyObject *held;
    if (!PyArg_ParseTuple(given, "lOOO:Places", &place->kind, &place->holder, &place->key,
                          &held))
        return -1;
    place->held = held;
    if (place->kind == ITEM || place->kind == SIZE)
        place->number = PyLong_AsSsize_t(place->kind == ITEM ? place->key : held);
    return PyErr_Occurred() ? -1 : 0;
}

/* set(list): these from now on. */
static PyObject *places_set(PyObject *self, PyObject *all)
{
    Places *places = (Places *)self;
    Place *before = places->places, *new;
    PyObject *kept = PySequence_List(all);
    Py_ssize_t count = kept ? PyList_Size(kept) : 0;
    new = kept ? PyMem_Calloc((size_t)count + 1, sizeof(Place)) : NULL;
    for (Py_ssize_t i = 0; new && i < count; i++)
        if (make_place(&new[i], PyList_GetItem(kept, i)) < 0) {
            PyMem_Free(new);
            new = NULL;
        }
    if (!new) {
        Py_XDECREF(kept);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    places->places = new;
    places->count = count;
    all = places->all;
    places->all = kept;
    PyMem_Free(before);
    Py_XDECREF(all);
    Py_RETURN_NONE;
}

/* What a place that is no item holds by now, a new reference; NULL for nothing. This may
   run any Python. */
static PyObject *held_by(const Place *place)
{
    PyObject *now = NULL;
    if (place->kind == ENTRY && PyDict_Check(place->holder)) {
        now = PyDict_GetItemWithError(place->holder, place->key);
        Py_XINCREF(now);
    } else if (place->kind == CELL)
        now = PyObject_GetAttr(place->holder, python.contents);
    else if (place->kind == ATTRIBUTE)
        now = PyObject_GetAttr(place->holder, place->key);
    else if (place->kind == CALL)
        now = PyObject_CallFunctionObjArgs(place->holder, place->key, NULL);
    forget_error();
    return now;
}

/* Whether a dict has other keys than those in a tuple, or in another order. */
static int has_other_keys(PyObject *dict, PyObject *keys)
{
    PyObject *key;
    Py_ssize_t at = 0, i = 0, count = PyTuple_Check(keys) ? PyTuple_Size(keys) : -1;
    if (!PyDict_Check(dict) || PyDict_Size(dict) != count)
        return 1;
    while (i < count && PyDict_Next(dict, &at, &key, NULL))
        if (key != PyTuple_GetItem(keys, i++))
            return 1;
    return i < count;
}

static int is_changed(const Place *place)
{
    PyObject *now;
    if (place->kind == ITEM)
        return !PyList_Check(place->holder) || place->number < 0 ||
               place->number >= PyList_Size(place->holder) ||
               PyList_GetItem(place->holder, place->number) != place->held;
    if (place->kind == SIZE)
        return PyObject_Size(place->holder) != place->number;
    if (place->kind == KEYS)
        return has_other_keys(place->holder, place->held);
    now = held_by(place);
    Py_XDECREF(now); /* whatever is held is held by the place as well */
    return now != place->held;
}

/* The first place that holds something else by now, or -1; with an error if Ctrl-C came
   while it was looked at. */
static Py_ssize_t first_changed(PyObject *self)
{
    Places *places = (Places *)self;
    PyObject *all = places->all;
    Py_ssize_t found = -1;
    if (!places->count)
        return -1;
    Py_INCREF(all);
    for (Py_ssize_t i = 0; found < 0 && i < places->count; i++) {
        Place place = places->places[i]; /* others may be set meanwhile */
        if (is_changed(&place) || places->all != all)
            found = i;
    }
    Py_DECREF(all);
    forget_error();
    return found;
}

static PyObject *places_changed(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t found = first_changed(self);
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(found);
}

static PyObject *places_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                            PyObject *Py_UNUSED(keywords))
{
    Places *self = (Places *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self && !(self->all = PyList_New(0)))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int places_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Places *)self)->all);
    return 0;
}

static int places_clear(PyObject *self)
{
    ((Places *)self)->count = 0;
    Py_CLEAR(((Places *)self)->all);
    return 0;
}

static void places_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    places_clear(self);
    PyMem_Free(((Places *)self)->places);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef places_methods[] = {
    {"set", places_set, METH_O, "These from now on."},
    {"changed", places_changed, METH_NOARGS, "The first that holds something else, or -1."},
    {NULL, NULL, 0, NULL}};

static PyMemberDef places_members[] = {
    {"all", T_OBJECT_EX, offsetof(Places, all), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};

static PyType_Slot places_slots[] = {
    {Py_tp_new, places_new},
    {Py_tp_dealloc, places_dealloc},
    {Py_tp_traverse, places_traverse},
    {Py_tp_clear, places_clear},
    {Py_tp_methods, places_methods},
    {Py_tp_members, places_members},
    {0, NULL}};

static PyType_Spec places_spec = {
    .name = "autograd.compiled.places.Places",
    .basicsize = sizeof(Places),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = places_slots};

/* ---- a call -------------------------------------------------------------------------- */

typedef struct {
    PyObject *const *args;
    Py_ssize_t n, total; /* those without a name come first */
    PyObject *names;     /* a tuple of the others' names, or NULL for none */
} Call;

static void replace(PyObject **place, PyObject *new)
{
    PyObject *before = *place;
    Py_XINCREF(new);
    *place = new;
    Py_XDECREF(before);
}

INLINE int has_names(const Call *call, PyObject *names)
{
    Py_ssize_t count = call->total - call->n;
    if (PyTuple_Size(names) != count)
        return 0;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_same(PyTuple_GetItem(call->names, i), PyTuple_GetItem(names, i)))
            return 0;
    return 1;
}

/* Read the arguments; whether they fit. */
static int take_arguments(Reader *reader, const Steps *takes, const Call *call)
{
    reader->at = takes->steps;
    reader->end = takes->steps + takes->count;
    for (Py_ssize_t i = 0; i < call->total; i++)
        if (!take(reader, call->args[i]))
            return 0;
    return reader->at == reader->end;
}

/* Whether they may fit, as far as their containers tell. */
static int may_take(const Steps *takes, const Call *call)
{
    Py_buffer view;
    Reader reader = {.skims = 1, .lanes = -1, .view = &view};
    return take_arguments(&reader, takes, call);
}

/* ---- a path that is ready ----------------------------------------------------------------- */

typedef struct Ready Ready;

struct Ready {
    PyObject_HEAD
    Code code;
    void *context; /* of rolled code, which is called with it; or NULL */
    Py_ssize_t inputs, outputs, workspace, guards;
    Steps takes, gives;
    Ready **branches; /* for each guard, the path that holds where it fails, or NULL */
    PyObject *path;   /* of Python */
    PyObject *owner;  /* which keeps the code in memory: the path may get better code */
    long long taken, until; /* calls after which Python has a look */
    int slow; /* it takes so long that other threads should run meanwhile */
    PyObject *places; /* Places: where f found what it rests on */
    PyObject *names;  /* a tuple: of the last arguments */

    /* Where Values take part, the code gives the value, the partial for each input, and
       for each 0.0 if it is there; the result is a node. If there are several results,
       it gives their numbers, and the row makes nodes of them. Otherwise `row` is NULL. */
    PyObject *row;
    PyObject *closed;  /* a list of the Values that follow the arguments' numbers */
    PyObject *sources; /* bytes: for each input, whether the value depends on it */
    Py_ssize_t own;    /* inputs that are arguments */
    int several;       /* whether there are several results */
    PyObject *kinds;   /* bytes: operands that were Values when all results were nodes */
};

/* Whether the steps have as many numbers as the code. */
static int is_whole(const Ready *ready)
{
    Py_ssize_t given = numbers_in(&ready->gives), taken = numbers_in(&ready->takes);
    if (!ready->row)
        return taken == ready->inputs && given == ready->outputs;
    for (Py_ssize_t i = 0; i < ready->gives.count; i++)
        if (ready->gives.steps[i].kind == ARRAY)
            return 0;
    return taken == ready->own && ready->own <= ready->inputs &&
           ready->outputs == (given == 1 ? 1 + 2 * ready->inputs : given) &&
           PyBytes_Size(ready->sources) == ready->inputs;
}

static void keep_node(Ready *ready, PyObject *row, PyObject *closed, PyObject *sources)
{
    Py_INCREF(row);
    Py_INCREF(closed);
    Py_INCREF(sources);
    ready->row = row;
    ready->closed = closed;
    ready->sources = sources;
}

/* Ready(path, (address, context, owner), (inputs, outputs, workspace, guards), takes, names,
   gives, slow, places), and for nodes row, closed, sources and own */
static PyObject *ready_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *path, *owner, *takes, *names, *gives, *places;
    PyObject *row = NULL, *closed = NULL, *sources = NULL;
    unsigned long long address, context;
    Py_ssize_t inputs, outputs, workspace, guards, own = 0;
    int slow;
    Ready *self;
    if (keywords && PyDict_Size(keywords)) {
        PyErr_SetString(PyExc_TypeError, "Ready: no argument must be named");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O(KKO)(nnnn)OO!OpO!|OO!Sn:Ready", &path, &address,
                          &context, &owner, &inputs, &outputs, &workspace, &guards, &takes, &PyTuple_Type,
                          &names, &gives, &slow, PlacesType, &places, &row, &PyList_Type, &closed, &sources,
                          &own))
        return NULL;
    self = (Ready *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(path);
    self->path = path;
    Py_INCREF(owner);
    self->owner = owner;
    self->code = (Code)(uintptr_t)address;
    self->context = (void *)(uintptr_t)context;
    self->until = LLONG_MAX;
    self->inputs = inputs;
    self->outputs = outputs;
    self->workspace = workspace;
    self->guards = guards;
    self->slow = slow;
    Py_INCREF(places);
    self->places = places;
    Py_INCREF(names);
    self->names = names;
    self->own = own;
    if (sources)
        keep_node(self, row, closed, sources);
    if (make_steps(&self->takes, takes) < 0 || make_steps(&self->gives, gives) < 0) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    self->several = numbers_in(&self->gives) > 1;
    self->branches = PyMem_Calloc((size_t)guards + 1, sizeof(Ready *));
    if (!self->branches || !is_whole(self)) {
        if (self->branches)
            PyErr_SetString(PyExc_ValueError, "Ready: steps must have each number");
        else
            PyErr_NoMemory();
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static int ready_traverse(PyObject *self, visitproc visit, void *arg)
{
    Ready *ready = (Ready *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(ready->path);
    Py_VISIT(ready->owner);
    Py_VISIT(ready->row);
    Py_VISIT(ready->closed);
    Py_VISIT(ready->places);
    for (Py_ssize_t i = 0; ready->branches && i < ready->guards; i++)
        Py_VISIT(ready->branches[i]);
    return visit_steps(&ready->takes, visit, arg) || visit_steps(&ready->gives, visit, arg);
}

/* Steps stay until the end: a call that is under way may still build its result. */
static int ready_clear(PyObject *self)
{
    Ready *ready = (Ready *)self;
    for (Py_ssize_t i = 0; ready->branches && i < ready->guards; i++)
        Py_CLEAR(ready->branches[i]);
    Py_CLEAR(ready->path);
    Py_CLEAR(ready->row);
    Py_CLEAR(ready->closed);
    Py_CLEAR(ready->places);
    return 0;
}

static void ready_dealloc(PyObject *self)
{
    Ready *ready = (Ready *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ready_clear(self);
    Py_CLEAR(ready->owner);
    Py_CLEAR(ready->sources);
    Py_CLEAR(ready->kinds);
    Py_CLEAR(ready->names);
    free_steps(&ready->takes);
    free_steps(&ready->gives);
    PyMem_Free(ready->branches);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static void keep(Ready **place, Ready *ready) { replace((PyObject **)place, (PyObject *)ready); }

/* leads(guard, other): where that guard fails, the other path holds. */
static PyObject *ready_leads(PyObject *self, PyObject *args)
{
    Ready *ready = (Ready *)self, *other;
    Py_ssize_t guard;
    if (!PyArg_ParseTuple(args, "nO!:leads", &guard, ReadyType, &other))
        return NULL;
    if (guard < 0 || guard >= ready->guards) {
        PyErr_SetString(PyExc_IndexError, "leads: guard must be one of the path's");
        return NULL;
    }
    keep(&ready->branches[guard], other);
    Py_RETURN_NONE;
}

static PyMethodDef ready_methods[] = {
    {"leads", ready_leads, METH_VARARGS, "Say which path holds where a guard fails."},
    {NULL, NULL, 0, NULL}};

static PyMemberDef ready_members[] = {
    {"taken", T_LONGLONG, offsetof(Ready, taken), READONLY, NULL},
    {"until", T_LONGLONG, offsetof(Ready, until), 0, NULL},
    {"path", T_OBJECT_EX, offsetof(Ready, path), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot ready_slots[] = {
    {Py_tp_new, ready_new},
    {Py_tp_dealloc, ready_dealloc},
    {Py_tp_traverse, ready_traverse},
    {Py_tp_clear, ready_clear},
    {Py_tp_methods, ready_methods},
    {Py_tp_members, ready_members},
    {0, NULL}};

static PyType_Spec ready_spec = {
    .name = "autograd.compiled._call.Ready",
    .basicsize = sizeof(Ready),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = ready_slots};

/* ---- a batch, ready ----------------------------------------------------------------- */

#define MOST_ARGUMENTS 14 /* of the loop over a batch */

typedef struct Room Room;

struct Room { /* what one call at a time works in; Python made it */
    Room *next;
    PyObject *keep; /* owns the memory */
    double *shared, *workspace;
    int count;
    uint64_t arguments[MOST_ARGUMENTS];
    signed char place[MOST_ARGUMENTS]; /* which one of PLACES comes here, or -1 */
};

/* The arguments that are not the same at each call, by their names in Python. */
enum { LANE_COUNT, INS, OUTS, FAILED, SUMS, PLACES };
static const char *const place_names[PLACES] = {"n", "ins", "outs", "failed", "sums"};

typedef struct {
    PyObject_HEAD
    Code prologue; /* what all lanes share */
    uintptr_t loop;
    Py_ssize_t inputs, outputs, guards, fields, ins, outs; /* the last two, groups */
    Py_ssize_t block;         /* lanes that are summed together; 0 if none are */
    Py_ssize_t most, patient; /* lanes from which on Python, or the GIL, has a say */
    int mean;
    Steps takes, gives;
    PyObject *dense;     /* bytes: for each group, whether it is one dense column */
    PyObject *way;       /* of Python: it keeps the code in memory, too */
    PyObject *closed;    /* Values that the function closes over: while there are none */
    PyObject *places;    /* Places: where f found what else it rests on */
    PyObject *make_room; /* gives (keep, shared, workspace, arguments) */
    Room *rooms;         /* that no call works in */
    long long taken;     /* lanes */
} Mapped;

static void free_room(Room *room)
{
    Py_CLEAR(room->keep);
    PyMem_Free(room);
}

static int read_argument(Room *room, PyObject *given)
{
    if (room->count == MOST_ARGUMENTS) {
        PyErr_SetString(PyExc_ValueError, "Mapped: a loop has at most 14 arguments");
        return -1;
    }
    room->place[room->count] = -1;
    if (PyLong_Check(given))
        room->arguments[room->count] = PyLong_AsUnsignedLongLong(given);
    else
        for (signed char i = 0; i < PLACES; i++)
            if (PyUnicode_Check(given) &&
                PyUnicode_CompareWithASCIIString(given, place_names[i]) == 0)
                room->place[room->count] = i;
    if (!PyLong_Check(given) && room->place[room->count] < 0)
        PyErr_SetString(PyExc_ValueError, "Mapped: no such argument of a loop");
    room->count++;
    return PyErr_Occurred() ? -1 : 0;
}

static Room *make_room(Mapped *mapped)
{
    PyObject *made = PyObject_CallObject(mapped->make_room, NULL), *arguments;
    unsigned long long shared, workspace;
    Room *room = made ? PyMem_Calloc(1, sizeof(Room)) : NULL;
    if (!room) {
        Py_XDECREF(made);
        return made ? (Room *)PyErr_NoMemory() : NULL;
    }
    room->keep = made;
    if (PyArg_ParseTuple(made, "OKKO!:Mapped", &room->keep, &shared, &workspace, &PyList_Type,
                         &arguments)) {
        int failed = 0;
        room->shared = (double *)(uintptr_t)shared;
        room->workspace = (double *)(uintptr_t)workspace;
        for (Py_ssize_t i = 0; !failed && i < PyList_Size(arguments); i++)
            failed = read_argument(room, PyList_GetItem(arguments, i));
        if (!failed) {
            Py_INCREF(room->keep);
            Py_DECREF(made);
            return room;
        }
    }
    room->keep = made;
    free_room(room);
    return NULL;
}

static Room *enter_room(Mapped *mapped)
{
    Room *room = mapped->rooms;
    if (!room)
        return make_room(mapped);
    mapped->rooms = room->next;
    return room;
}

static void leave_room(Mapped *mapped, Room *room)
{
    room->next = mapped->rooms;
    mapped->rooms = room;
}

/* The memory of one call: groups, then what the loop writes, in one piece. */
typedef struct {
    Room *room;
    Group *ins, *outs;
    Py_buffer *views;
    void **buffers;
    PyObject **arrays; /* of results */
    Py_ssize_t lanes, blocks;
    double *sums;
    int32_t *failed;
} Work;

static int begin_work(Work *work, const Mapped *mapped)
{
    size_t ins = (size_t)mapped->ins + 1, outs = (size_t)mapped->outs + 1;
    size_t of_ins = sizeof(Group) + sizeof(Py_buffer) + sizeof(void *);
    size_t of_outs = sizeof(Group) + sizeof(PyObject *);
    char *memory = PyMem_Calloc(1, ins * of_ins + outs * of_outs);
    if (!memory) {
        PyErr_NoMemory();
        return -1;
    }
    work->ins = (Group *)memory;
    work->outs = work->ins + ins;
    work->views = (Py_buffer *)(work->outs + outs);
    work->buffers = (void **)(work->views + ins);
    work->arrays = (PyObject **)(work->buffers + ins);
    work->sums = NULL;
    return 0;
}

static void end_work(Work *work, const Mapped *mapped)
{
    for (Py_ssize_t i = 0; i < mapped->ins; i++) {
        PyMem_Free(work->buffers[i]);
        if (work->views[i].obj)
            PyBuffer_Release(&work->views[i]);
    }
    for (Py_ssize_t i = 0; i < mapped->outs; i++)
        Py_XDECREF(work->arrays[i]);
    PyMem_Free(work->ins);
    PyMem_Free(work->sums);
}

/* Whether the arguments fit: their numbers are in the room then, or in the groups. */
static int read_batch(Mapped *mapped, Work *work, const Call *call)
{
    Reader reader = {.to = work->room->shared,
                     .full = work->room->shared + mapped->inputs,
                     .first = work->room->shared,
                     .lanes = -1,
                     .group = work->ins,
                     .buffer = work->buffers,
                     .view = work->views};
    const char *dense = PyBytes_AsString(mapped->dense);
    Py_ssize_t groups;
    if (!take_arguments(&reader, &mapped->takes, call))
        return 0;
    groups = reader.group - work->ins;
    if (groups != PyBytes_Size(mapped->dense))
        return 0;
    for (Py_ssize_t i = 0; reader.lanes > 1 && i < groups; i++) {
        const Group *group = &work->ins[i]; /* the stride of one lane says nothing */
        if ((group->columns == 1 && group->stride == sizeof(double)) != (dense[i] != 0))
            return 0;
    }
    work->lanes = reader.lanes;
    return reader.lanes < mapped->most;
}

/* The groups as the loop wants them: its version may leave out the first fields. */
static void pack_groups(const Mapped *mapped, Group *groups, Py_ssize_t count)
{
    size_t fields = (size_t)mapped->fields, size = fields * sizeof(int64_t);
    char *to = (char *)groups;
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t all[4] = {groups[i].slot, groups[i].columns, groups[i].address,
                          groups[i].stride};
        memcpy(to, all + 4 - fields, size);
        to += size;
    }
}

typedef uint64_t U;
typedef void (*Loop12)(U, U, U, U, U, U, U, U, U, U, U, U);
typedef void (*Loop13)(U, U, U, U, U, U, U, U, U, U, U, U, U);
typedef void (*Loop14)(U, U, U, U, U, U, U, U, U, U, U, U, U, U);

static void loop(const Mapped *mapped, const Work *work)
{
    const Room *room = work->room;
    U places[PLACES] = {(U)work->lanes, (U)(uintptr_t)work->ins, (U)(uintptr_t)work->outs,
                        (U)(uintptr_t)work->failed, (U)(uintptr_t)work->sums};
    U x[MOST_ARGUMENTS];
    for (int i = 0; i < room->count; i++)
        x[i] = room->place[i] < 0 ? room->arguments[i] : places[(int)room->place[i]];
    mapped->prologue(room->shared, room->shared, room->workspace);
    if (room->count == 12)
        ((Loop12)mapped->loop)(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9],
                               x[10], x[11]);
    else if (room->count == 13)
        ((Loop13)mapped->loop)(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9],
                               x[10], x[11], x[12]);
    else
        ((Loop14)mapped->loop)(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9],
                               x[10], x[11], x[12], x[13]);
}

/* Compute, or sum the blocks; whether no lane has left the path. */
static int run_batch(Mapped *mapped, Work *work)
{
    size_t sums = 0, lanes = (size_t)work->lanes;
    if (mapped->block) {
        work->blocks = (work->lanes + mapped->block - 1) / mapped->block;
        sums = (size_t)work->blocks * (size_t)mapped->outputs * sizeof(double);
    }
    work->sums = PyMem_Malloc(sums + lanes * sizeof(int32_t));
    if (!work->sums)
        return 0;
    work->failed = (int32_t *)((char *)work->sums + sums);
    memset(work->sums, 0, sums);
    memset(work->failed, 0xff, lanes * sizeof(int32_t)); /* -1 */
    pack_groups(mapped, work->ins, mapped->ins);
    pack_groups(mapped, work->outs, mapped->outs);
    if (work->lanes >= mapped->patient) {
        Py_BEGIN_ALLOW_THREADS
        loop(mapped, work);
        Py_END_ALLOW_THREADS
    } else
        loop(mapped, work);
    if (mapped->guards)
        for (size_t i = 0; i < lanes; i++)
            if (work->failed[i] >= 0)
                return 0;
    return 1;
}

/* The sum of n finite numbers, a stride apart, rounded once (Shewchuk, 1997); whether it
   came out finite. Each partial holds the bits that the next larger one has no room for. */
static int sum_exactly(double *x, Py_ssize_t n, Py_ssize_t stride)
{
    double partials[64], high = 0.0, low = 0.0;
    int count = 0;
    for (Py_ssize_t k = 0; k < n; k++) {
        double rest = x[k * stride];
        int kept = 0;
        for (int i = 0; i < count; i++) {
            double larger = rest, smaller = partials[i];
            if (fabs(larger) < fabs(smaller)) {
                larger = partials[i];
                smaller = rest;
            }
            rest = larger + smaller;
            low = smaller - (rest - larger);
            if (low != 0.0)
                partials[kept++] = low;
        }
        if (!isfinite(rest) || kept == 63)
            return 0;
        partials[kept] = rest;
        count = kept + 1;
    }
    high = partials[--count];
    low = 0.0;
    while (count && low == 0.0) {
        double sum = high + partials[--count];
        low = partials[count] - (sum - high);
        high = sum;
    }
    /* Half-way cases: what is left decides, if it lies on the same side. */
    if (count && ((low < 0.0 && partials[count - 1] < 0.0) ||
                  (low > 0.0 && partials[count - 1] > 0.0))) {
        double sum = high + 2.0 * low;
        if (sum - high == 2.0 * low)
            high = sum;
    }
    *x = high;
    return 1;
}

/* Leave the totals, or means, where the sums of the first block were. */
static int add_blocks(const Mapped *mapped, Work *work)
{
    for (Py_ssize_t j = 0; j < mapped->outputs; j++) {
        if (work->blocks > 1 && !sum_exactly(work->sums + j, work->blocks, mapped->outputs))
            return 0;
        work->sums[j] += 0.0; /* never -0.0 */
        if (mapped->mean)
            work->sums[j] /= (double)work->lanes;
    }
    return 1;
}

static PyObject *totals(Mapped *mapped, Work *work)
{
    Builder builder = {.at = mapped->gives.steps};
    if (!run_batch(mapped, work) || !add_blocks(mapped, work))
        return NULL;
    builder.from = work->sums;
    return give(&builder);
}

static PyObject *lanes(Mapped *mapped, Work *work)
{
    Builder maker = {.lanes = work->lanes, .group = work->outs};
    Builder builder = {.at = mapped->gives.steps, .array = work->arrays};
    PyObject **array = work->arrays;
    for (Py_ssize_t i = 0; i < mapped->gives.count; i++)
        if (mapped->gives.steps[i].shape &&
            !(*array++ = make_rows(&maker, &mapped->gives.steps[i])))
            return NULL;
    return run_batch(mapped, work) ? give(&builder) : NULL;
}

/* The result of a batch; NULL without an error if Python has to see to it. */
static PyObject *call_mapped(Mapped *mapped, const Call *call, int *fits)
{
    Work work;
    PyObject *result = NULL;
    if (call->names || begin_work(&work, mapped) < 0)
        return NULL;
    work.room = enter_room(mapped);
    *fits = work.room && read_batch(mapped, &work, call) && !PyList_Size(mapped->closed) &&
            first_changed(mapped->places) < 0;
    if (*fits)
        result = mapped->block ? totals(mapped, &work) : lanes(mapped, &work);
    if (result)
        mapped->taken += work.lanes;
    if (work.room)
        leave_room(mapped, work.room);
    end_work(&work, mapped);
    return result;
}

static Py_ssize_t groups_in(const Steps *steps)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < steps->count; i++)
        count += steps->steps[i].kind == ROWS || steps->steps[i].kind == LANES;
    return count;
}

/* Mapped(way, (prologue, loop, make_room), (inputs, outputs, guards, block, fields),
          takes, gives, dense, closed, places, mean, most, patient) */
static PyObject *mapped_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *way, *takes, *gives, *room, *dense, *closed, *places;
    unsigned long long prologue, loop;
    Py_ssize_t inputs, outputs, guards, block, fields, most, patient;
    int mean;
    Mapped *self;
    if (keywords && PyDict_Size(keywords)) {
        PyErr_SetString(PyExc_TypeError, "Mapped: no argument must be named");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O(KKO)(nnnnn)OOSO!O!pnn:Mapped", &way, &prologue, &loop,
                          &room, &inputs, &outputs, &guards, &block, &fields, &takes,
                          &gives, &dense, &PyList_Type, &closed, PlacesType, &places,
                          &mean, &most, &patient))
        return NULL;
    if (block < 0 || fields < 1 || fields > 4) {
        PyErr_SetString(PyExc_ValueError, "Mapped: a block or a group has no such size");
        return NULL;
    }
    self = (Mapped *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(way);
    Py_INCREF(room);
    Py_INCREF(dense);
    Py_INCREF(closed);
    Py_INCREF(places);
    self->closed = closed;
    self->places = places;
    self->way = way;
    self->make_room = room;
    self->dense = dense;
    self->prologue = (Code)(uintptr_t)prologue;
    self->loop = (uintptr_t)loop;
    self->inputs = inputs;
    self->outputs = outputs;
    self->guards = guards;
    self->block = block;
    self->fields = fields;
    self->mean = mean;
    self->most = most;
    self->patient = patient;
    if (make_steps(&self->takes, takes) == 0 && make_steps(&self->gives, gives) == 0) {
        self->ins = groups_in(&self->takes);
        self->outs = groups_in(&self->gives);
        if (numbers_in(&self->takes) == inputs && numbers_in(&self->gives) == outputs)
            return (PyObject *)self;
        PyErr_SetString(PyExc_ValueError, "Mapped: steps must have each number");
    }
    Py_DECREF((PyObject *)self);
    return NULL;
}

static int mapped_traverse(PyObject *self, visitproc visit, void *arg)
{
    Mapped *mapped = (Mapped *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(mapped->way);
    Py_VISIT(mapped->make_room);
    Py_VISIT(mapped->closed);
    Py_VISIT(mapped->places);
    for (Room *room = mapped->rooms; room; room = room->next)
        Py_VISIT(room->keep);
    return visit_steps(&mapped->takes, visit, arg) || visit_steps(&mapped->gives, visit, arg);
}

static int mapped_clear(PyObject *self)
{
    Mapped *mapped = (Mapped *)self;
    Py_CLEAR(mapped->way);
    Py_CLEAR(mapped->make_room);
    Py_CLEAR(mapped->closed);
    Py_CLEAR(mapped->places);
    while (mapped->rooms) {
        Room *room = mapped->rooms;
        mapped->rooms = room->next;
        free_room(room);
    }
    return 0;
}

static void mapped_dealloc(PyObject *self)
{
    Mapped *mapped = (Mapped *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mapped_clear(self);
    Py_CLEAR(mapped->dense);
    free_steps(&mapped->takes);
    free_steps(&mapped->gives);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMemberDef mapped_members[] = {
    {"taken", T_LONGLONG, offsetof(Mapped, taken), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot mapped_slots[] = {
    {Py_tp_new, mapped_new},
    {Py_tp_dealloc, mapped_dealloc},
    {Py_tp_traverse, mapped_traverse},
    {Py_tp_clear, mapped_clear},
    {Py_tp_members, mapped_members},
    {0, NULL}};

static PyType_Spec mapped_spec = {
    .name = "autograd.compiled._call.Mapped",
    .basicsize = sizeof(Mapped),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = mapped_slots};

/* ---- the function ------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Vectorcall call;
    PyObject *dict, *weak;
    PyObject *ready; /* a Ready or a Mapped: how the last call went, if C can repeat it */
    PyObject *known[MOST_KNOWN]; /* for the last forms, the latest first */
} Compiled; /* or a Batched, which is one of Python's too */

INLINE int32_t run_code(const Ready *ready, double *numbers)
{
    double *out = numbers + ready->inputs;
    if (ready->context)
        return ((Rolled)ready->code)(ready->context, numbers, out);
    return ready->code(numbers, out, out + ready->outputs);
}

static int32_t run(const Ready *ready, double *numbers)
{
    int32_t failed;
    if (!ready->slow)
        return run_code(ready, numbers);
    Py_BEGIN_ALLOW_THREADS
    failed = run_code(ready, numbers);
    Py_END_ALLOW_THREADS
    return failed;
}

enum { ELSEWHERE = -2 }; /* these arguments are for Python */

/* Read the Values that the path closes over; whether it has Values at all. */
static int take_closed(const Ready *ready, Reader *reader)
{
    int any = 0;
    for (Py_ssize_t i = ready->own; i < ready->inputs; i++) {
        Py_ssize_t place = i - ready->own;
        if (place >= PyList_Size(ready->closed) ||
            !take_number(reader, PyList_GetItem(ready->closed, place)))
            return 0;
    }
    for (Py_ssize_t i = 0; i < ready->inputs; i++)
        any |= reader->operands[i] != NULL;
    return any;
}

/* Run a path on the arguments; gives the guard that failed, -1, or ELSEWHERE. */
static int32_t attempt(const Ready *ready, const Call *call, double *numbers,
                       PyObject **operands)
{
    Reader reader = {.to = numbers,
                     .full = numbers + ready->inputs,
                     .first = numbers,
                     .operands = operands};
    if (ready->taken >= ready->until || !has_names(call, ready->names) ||
        !take_arguments(&reader, &ready->takes, call) ||
        first_changed(ready->places) >= 0 ||
        (operands && !take_closed(ready, &reader)))
        return ELSEWHERE;
    return run(ready, numbers);
}

static int depends_on_values(const Ready *ready, PyObject *const *operands)
{
    const char *source = PyBytes_AsString(ready->sources);
    for (Py_ssize_t i = 0; i < ready->inputs; i++)
        if (source[i] && operands[i])
            return 1;
    return 0;
}

/* The operands of a node, and its partials: None for numbers and what is left out. */
static int fill_node(const Ready *ready, const double *numbers, PyObject **operands,
                     PyObject *inputs, PyObject *partials)
{
    const double *bars = numbers + ready->inputs + 1, *absent = bars + ready->inputs;
    for (Py_ssize_t i = 0; i < ready->inputs; i++) {
        PyObject *partial, *operand = operands[i];
        if (operand && absent[i] == 0.0)
            partial = PyFloat_FromDouble(bars[i]);
        else {
            partial = Py_None;
            Py_INCREF(partial);
        }
        operands[i] = NULL;
        if (!operand)
            operand = PyFloat_FromDouble(numbers[i]);
        PyTuple_SetItem(partials, i, partial);
        PyTuple_SetItem(inputs, i, operand);
        if (!operand || !partial)
            return -1;
    }
    return 0;
}

static PyObject *make_node(const Ready *ready, const double *numbers, PyObject **operands)
{
    PyObject *inputs = PyTuple_New(ready->inputs), *partials = PyTuple_New(ready->inputs);
    PyObject *z = PyFloat_FromDouble(numbers[ready->inputs]), *node = NULL;
    if (inputs && partials && z &&
        fill_node(ready, numbers, operands, inputs, partials) == 0)
        node = PyObject_CallFunctionObjArgs(python.node, ready->row, z, inputs, partials,
                                            NULL);
    Py_XDECREF(inputs);
    Py_XDECREF(partials);
    Py_XDECREF(z);
    return node;
}

static PyObject *floats_of(const double *numbers, Py_ssize_t n)
{
    PyObject *tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; i++) {
        PyObject *x = PyFloat_FromDouble(numbers[i]);
        if (!x || PyTuple_SetItem(tuple, i, x) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* The operands, which it takes over, and floats in the place of numbers. */
static PyObject *take_over(const Ready *ready, const double *numbers, PyObject **operands)
{
    PyObject *inputs = PyTuple_New(ready->inputs);
    for (Py_ssize_t i = 0; inputs && i < ready->inputs; i++) {
        PyObject *x = operands[i] ? operands[i] : PyFloat_FromDouble(numbers[i]);
        operands[i] = NULL;
        if (!x || PyTuple_SetItem(inputs, i, x) < 0)
            Py_CLEAR(inputs);
    }
    return inputs;
}

/* Whether the operands are Values where they were when all results were nodes. */
static int makes_nodes(const Ready *ready, PyObject *const *operands)
{
    const char *kinds = ready->kinds ? PyBytes_AsString(ready->kinds) : NULL;
    for (Py_ssize_t i = 0; kinds && i < ready->inputs; i++)
        if (kinds[i] != (operands[i] != NULL))
            return 0;
    return kinds && make_components;
}

static PyObject *kinds_of(const Ready *ready, PyObject *const *operands)
{
    PyObject *kinds = PyBytes_FromStringAndSize(NULL, ready->inputs);
    for (Py_ssize_t i = 0; kinds && i < ready->inputs; i++)
        PyBytes_AsString(kinds)[i] = operands[i] != NULL;
    return kinds;
}

/* What row.results gives for several: a list; from a tuple, all are nodes. */
static PyObject *make_results(Ready *ready, const double *numbers, PyObject **operands)
{
    const double *outputs = numbers + ready->inputs;
    PyObject *kinds, *inputs, *found, *ys, *results = NULL;
    if (makes_nodes(ready, operands))
        return make_components(ready->row, outputs, (size_t)ready->outputs, operands,
                               numbers, (size_t)ready->inputs);
    kinds = kinds_of(ready, operands);
    ys = floats_of(outputs, ready->outputs);
    inputs = take_over(ready, numbers, operands);
    if (kinds && ys && inputs) {
        found = PyObject_CallMethod(ready->row, "results", "OOO", ys, inputs, kinds);
        results = found ? PySequence_List(found) : NULL;
        if (found && PyTuple_CheckExact(found))
            replace(&ready->kinds, kinds);
        Py_XDECREF(found);
    }
    if (results && PyList_Size(results) != ready->outputs) {
        PyErr_SetString(PyExc_ValueError, "results: there must be one for each output");
        Py_CLEAR(results);
    }
    Py_XDECREF(kinds);
    Py_XDECREF(ys);
    Py_XDECREF(inputs);
    return results;
}

static PyObject *build(Ready *ready, const double *numbers, PyObject **operands)
{
    Builder builder = {.at = ready->gives.steps, .from = numbers + ready->inputs};
    PyObject *result;
    if (operands && ready->several) {
        builder.results = make_results(ready, numbers, operands);
        if (!builder.results)
            return NULL;
    } else if (operands && depends_on_values(ready, operands)) {
        builder.node = make_node(ready, numbers, operands);
        if (!builder.node)
            return NULL;
    }
    result = give(&builder);
    Py_XDECREF(builder.node);
    Py_XDECREF(builder.results);
    return result;
}

static void drop(const Ready *ready, PyObject **operands)
{
    for (Py_ssize_t i = 0; operands && i < ready->inputs; i++)
        Py_XDECREF(operands[i]);
    PyMem_Free(operands);
}

/* The result of one path, whose number of doubles is known; other if its guard fails. */
static PyObject *call_path(Ready *ready, const Call *call, Ready **other, int *fits)
{
    double room[ON_STACK], *numbers = room;
    Py_ssize_t size = ready->inputs + ready->outputs + ready->workspace;
    PyObject *result = NULL, **operands = NULL;
    int32_t failed;
    if (ready->row) {
        operands = PyMem_Calloc((size_t)ready->inputs + 1, sizeof(PyObject *));
        if (!operands)
            return PyErr_NoMemory();
    }
    if (size > ON_STACK) {
        numbers = PyMem_Malloc((size_t)size * sizeof(double));
        if (!numbers) {
            PyMem_Free(operands);
            return PyErr_NoMemory();
        }
    }
    failed = attempt(ready, call, numbers, operands);
    *fits = failed != ELSEWHERE;
    if (failed == -1)
        result = build(ready, numbers, operands);
    else if (failed >= 0 && failed < ready->guards)
        keep(other, ready->branches[failed]);
    drop(ready, operands);
    if (numbers != room)
        PyMem_Free(numbers);
    return result;
}

/* Whether two are for calls of one form: on paths of one tree. */
static int are_alike(PyObject *x, PyObject *y)
{
    return x == y || (Py_TYPE(x) == ReadyType && Py_TYPE(y) == ReadyType &&
                      ((Ready *)x)->places == ((Ready *)y)->places &&
                      !((Ready *)x)->row == !((Ready *)y)->row);
}

/* Try this one first from now on, in the place of one that is like it. */
static void prefer(Compiled *self, PyObject *ready)
{
    PyObject *moved = ready;
    if (self->ready != ready)
        replace(&self->ready, ready);
    if (self->known[0] == ready)
        return;
    Py_INCREF(ready);
    for (int i = 0; moved && i < MOST_KNOWN; i++) {
        PyObject *here = self->known[i];
        self->known[i] = moved;
        moved = here;
        if (here && are_alike(here, ready))
            break;
    }
    Py_XDECREF(moved);
}

static void forget(Compiled *self)
{
    for (int i = 0; i < MOST_KNOWN; i++)
        replace(&self->known[i], NULL);
    replace(&self->ready, NULL);
}

/* The result by ready paths alone, of which this is the first to try. */
INLINE PyObject *call_ready(Compiled *self, Ready *first, const Call *call, int *fits)
{
    Ready *ready = NULL;
    PyObject *result = NULL;
    keep(&ready, first);
    while (ready) {
        Ready *other = NULL;
        result = call_path(ready, call, &other, fits);
        if (!other)
            break;
        Py_DECREF((PyObject *)ready);
        ready = other;
    }
    if (result) {
        ready->taken++;
        prefer(self, (PyObject *)ready); /* the branch is likely to be taken again */
    }
    Py_XDECREF((PyObject *)ready);
    return result;
}

static const Steps *takes_of(PyObject *ready)
{
    return Py_TYPE(ready) == MappedType ? &((Mapped *)ready)->takes
                                        : &((Ready *)ready)->takes;
}

INLINE PyObject *call_one(Compiled *self, PyObject *ready, const Call *call, int *fits)
{
    PyObject *result;
    if (Py_TYPE(ready) == ReadyType)
        return call_ready(self, (Ready *)ready, call, fits);
    result = call_mapped((Mapped *)ready, call, fits);
    if (result)
        prefer(self, ready);
    return result;
}

/* The result by what is known; NULL without an error if Python has to see to it. */
static PyObject *call_known(Compiled *self, const Call *call)
{
    PyObject *result = NULL;
    int fits = 0;
    for (int i = 0; i < MOST_KNOWN && self->known[i] && !fits; i++) {
        PyObject *ready = self->known[i];
        Py_INCREF(ready); /* Python may run, and forget it */
        if (i == 0 || may_take(takes_of(ready), call))
            result = call_one(self, ready, call, &fits);
        Py_DECREF(ready);
        if (result || PyErr_Occurred())
            break;
    }
    return result;
}

static PyObject *named(PyObject *const *items, PyObject *names)
{
    PyObject *keywords = PyDict_New();
    for (Py_ssize_t i = 0; keywords && i < PyTuple_Size(names); i++)
        if (PyDict_SetItem(keywords, PyTuple_GetItem(names, i), items[i]) < 0)
            Py_CLEAR(keywords);
    return keywords;
}

/* Python's function on (self, *args, **keywords). */
static PyObject *call_python(PyObject *self, const Call *call)
{
    PyObject *result = NULL, *positional, *keywords = NULL;
    PyObject *python_call = Py_TYPE(self) == BatchedType ? python.map : python.call;
    if (!python_call) {
        PyErr_SetString(PyExc_RuntimeError, "autograd.compiled._call: not connected");
        return NULL;
    }
    positional = PyTuple_New(call->n + 1);
    if (!positional)
        return NULL;
    Py_INCREF(self);
    PyTuple_SetItem(positional, 0, self);
    for (Py_ssize_t i = 0; i < call->n; i++) {
        Py_INCREF(call->args[i]);
        PyTuple_SetItem(positional, i + 1, call->args[i]);
    }
    if (!call->names || (keywords = named(call->args + call->n, call->names)))
        result = PyObject_Call(python_call, positional, keywords);
    Py_DECREF(positional);
    Py_XDECREF(keywords);
    return result;
}

static PyObject *compiled_vectorcall(PyObject *self, PyObject *const *args, size_t flagged,
                                     PyObject *names)
{
    Compiled *compiled = (Compiled *)self;
    Py_ssize_t n = (Py_ssize_t)(flagged & (SIZE_MAX >> 1)); /* the top bit is a flag */
    Py_ssize_t count = names ? PyTuple_Size(names) : 0;
    Call call = {args, n, n + count, count ? names : NULL};
    if (compiled->known[0] && python.array && python.watchers &&
        !PyDict_Size(python.watchers)) {
        PyObject *result = call_known(compiled, &call);
        if (result || PyErr_Occurred())
            return result;
    }
    return call_python(self, &call);
}

static PyObject *compiled_tp_call(PyObject *self, PyObject *args, PyObject *keywords)
{
    PyObject *result = NULL, *names = NULL, *all = PySequence_List(args);
    Py_ssize_t n = PyTuple_Size(args), total = n;
    PyObject **items = NULL;
    if (all && keywords && PyDict_Size(keywords)) {
        PyObject *values = PyDict_Values(keywords);
        names = PySequence_Tuple(keywords);
        if (!values || !names || PyList_SetSlice(all, n, n, values) < 0)
            Py_CLEAR(all);
        Py_XDECREF(values);
    }
    if (all) {
        total = PyList_Size(all);
        items = PyMem_Malloc(((size_t)total + 1) * sizeof(PyObject *));
        for (Py_ssize_t i = 0; items && i < total; i++)
            items[i] = PyList_GetItem(all, i);
        result = items ? compiled_vectorcall(self, items, (size_t)n, names)
                       : PyErr_NoMemory();
    }
    PyMem_Free(items);
    Py_XDECREF(names);
    Py_XDECREF(all);
    return result;
}

static PyObject *compiled_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                              PyObject *Py_UNUSED(keywords))
{
    Compiled *self = (Compiled *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self)
        self->call = compiled_vectorcall;
    return (PyObject *)self;
}

static int compiled_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Compiled *)self)->dict);
    Py_VISIT(((Compiled *)self)->ready);
    for (int i = 0; i < MOST_KNOWN; i++)
        Py_VISIT(((Compiled *)self)->known[i]);
    return 0;
}

static int compiled_clear(PyObject *self)
{
    Py_CLEAR(((Compiled *)self)->dict);
    forget((Compiled *)self);
    return 0;
}

static void compiled_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((Compiled *)self)->weak)
        PyObject_ClearWeakRefs(self);
    compiled_clear(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *get_ready(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *ready = ((Compiled *)self)->ready, *found = ready ? ready : Py_None;
    Py_INCREF(found);
    return found;
}

/* To delete it is to forget the other forms as well. */
static int set_ready(PyObject *self, PyObject *given, void *Py_UNUSED(closure))
{
    if (given && given != Py_None && Py_TYPE(given) != ReadyType &&
        Py_TYPE(given) != MappedType) {
        PyErr_SetString(PyExc_TypeError, "ready: it must be a Ready, a Mapped or None");
        return -1;
    }
    if (!given)
        forget((Compiled *)self);
    else if (given == Py_None)
        replace(&((Compiled *)self)->ready, NULL);
    else
        prefer((Compiled *)self, given);
    return 0;
}

static PyMemberDef compiled_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Compiled, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Compiled, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Compiled, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef compiled_attributes[] = {
    {"ready", get_ready, set_ready, "What C can call, or None.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot compiled_slots[] = {
    {Py_tp_new, compiled_new},
    {Py_tp_dealloc, compiled_dealloc},
    {Py_tp_traverse, compiled_traverse},
    {Py_tp_clear, compiled_clear},
    {Py_tp_call, compiled_tp_call},
    {Py_tp_members, compiled_members},
    {Py_tp_getset, compiled_attributes},
    {0, NULL}};

#define HAVE_VECTORCALL (1ul << 11) /* Py_TPFLAGS_HAVE_VECTORCALL, unnamed before 3.12 */

static PyType_Spec compiled_spec = {
    .name = "autograd.compiled.jit.Compiled",
    .basicsize = sizeof(Compiled),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | HAVE_VECTORCALL,
    .slots = compiled_slots};

static PyType_Spec batched_spec = {
    .name = "autograd.compiled.batch.Batched",
    .basicsize = sizeof(Compiled),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | HAVE_VECTORCALL,
    .slots = compiled_slots};

/* ---- the module ----------------------------------------------------------------------------- */

/* The function that a capsule of the engine lends, if there is one. */
static int borrow(PyObject *capsule, const char *name, void *function)
{
    void *found;
    if (capsule == Py_None)
        return 0;
    if (!(found = PyCapsule_GetPointer(capsule, name)))
        return -1;
    memcpy(function, &found, sizeof found);
    return 0;
}

/* connect(type, call, watchers, Value, _node, reader, maker, items, build): its function of
   Python, who watches which thread, how nodes are made, and containers taken apart. */
static PyObject *connect(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *type, *call, *watchers, *value, *node, *reader, *maker, *items, *build;
    if (!PyArg_ParseTuple(args, "OOO!OOOOOO:connect", &type, &call, &PyDict_Type, &watchers,
                          &value, &node, &reader, &maker, &items, &build) ||
        borrow(reader, "autograd._value.reader", &read_value) < 0 ||
        borrow(maker, "autograd._value.maker", &make_components) < 0)
        return NULL;
    replace(&python.value, value);
    replace(&python.node, node);
    replace(type == (PyObject *)BatchedType ? &python.map : &python.call, call);
    replace(&python.watchers, watchers);
    replace(&python.items, items);
    replace(&python.build, build);
    Py_RETURN_NONE;
}

/* know_numpy(ndarray, float64, scalars, empty) */
static PyObject *know_numpy(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *array, *float64, *scalars, *empty;
    if (!PyArg_ParseTuple(args, "OOO!O:know_numpy", &array, &float64, &PyFrozenSet_Type,
                          &scalars, &empty))
        return NULL;
    replace(&python.array, array);
    replace(&python.float64, float64);
    replace(&python.scalars, scalars);
    replace(&python.empty, empty);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"connect", connect, METH_VARARGS, "Take in what Python lends."},
    {"know_numpy", know_numpy, METH_VARARGS, "Take in what NumPy lends."},
    {NULL, NULL, 0, NULL}};

static int execute(PyObject *module)
{
    static int loaded = 0;
    if (loaded) {
        PyErr_SetString(
            PyExc_ImportError,
            "autograd.compiled._call serves one interpreter in a process, and once");
        return -1;
    }
    python.data = PyUnicode_InternFromString("_data");
    python.contents = PyUnicode_InternFromString("cell_contents");
    CompiledType = (PyTypeObject *)PyType_FromSpec(&compiled_spec);
    BatchedType = (PyTypeObject *)PyType_FromSpec(&batched_spec);
    ReadyType = (PyTypeObject *)PyType_FromSpec(&ready_spec);
    MappedType = (PyTypeObject *)PyType_FromSpec(&mapped_spec);
    PlacesType = (PyTypeObject *)PyType_FromSpec(&places_spec);
    if (!python.data || !python.contents || !CompiledType || !BatchedType || !ReadyType ||
        !MappedType || !PlacesType ||
        PyModule_AddObjectRef(module, "Places", (PyObject *)PlacesType) < 0 ||
        PyModule_AddObjectRef(module, "Compiled", (PyObject *)CompiledType) < 0 ||
        PyModule_AddObjectRef(module, "Batched", (PyObject *)BatchedType) < 0 ||
        PyModule_AddObjectRef(module, "Mapped", (PyObject *)MappedType) < 0 ||
        PyModule_AddObjectRef(module, "Ready", (PyObject *)ReadyType) < 0)
        return -1;
    loaded = 1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "autograd.compiled._call",
    .m_doc = "Calls of ready functions in C; autograd.compiled.jit says what they do.",
    .m_methods = functions,
    .m_slots = module_slots};

PyMODINIT_FUNC PyInit__call(void) { return PyModuleDef_Init(&definition); }
