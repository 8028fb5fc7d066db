/* Rolled code: long straight lines of scalar operations, run as few loops.

   `Rolled` takes the arrays of a tape (see tape.py), rolls them (`_roll.h`), and runs what
   came out, for numbers from Python and for C that has its address: `entry`. The outputs
   are those of `Tape.run`, to the last bit. Guards are looked at when all has run, save
   where a row that only Python computes stands behind them: it is called only if they
   hold. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef Py_LIMITED_API
#error "compile with -DPy_LIMITED_API=0x030B0000: one binary for 3.11 and later"
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#define ONLY_VALUES
#include "../../_power.h"

#include "../../_rows.h"

#include "_rolled.h"

#include "_values.h"

#include "_roll.h"

#include "_plain.h"

#include "_blocks.h"

#include "_scalars.h"

#include "_sets.h"

#include "_check.h"

#include "_rooms.h"

#include "_given.h"

enum { LONG = 5000 }; /* operations from which on other threads get their turn */

enum { NO_KIND = -1 };

enum { PASSED = -1, NO_MEMORY = -2, RAISED = -3 };

static PyTypeObject *RolledType;
static int32_t add_unless; /* the kind of that row, or NO_KIND */

/* ---- running ------------------------------------------------------------------------- */

typedef struct {
    Program program;
    Blocks blocks;       /* none where groups run as they stand */
    const Set *set;      /* of instructions, that runs blocks, or NULL */
    size_t slots;        /* of a room */
    PyObject *callbacks; /* the functions of rows that only Python computes: a tuple */
    int32_t given;       /* operations before rolling */
    Vacancy rooms[ROOMS];
} Core;

/* The first of the guards from..to that fails, or PASSED. */
static int32_t check_guards(const Program *program, const double *slots, int32_t from,
                            int32_t to)
{
    for (int32_t i = from; i < to; i++) {
        const Guard *guard = &program->guard[i];
        if (guard->slot != NO_REF && (slots[guard->slot] != 0.0) != guard->expected)
            return i;
    }
    return PASSED;
}

/* What a function of Python gives for the operands of a group's only lane. */
static int call_back(const Core *core, const Group *group, double *slots)
{
    PyObject *args = PyTuple_New(group->width), *z;
    for (int32_t i = 0; args && i < group->width; i++) {
        PyObject *x = PyFloat_FromDouble(slots[group->operand[i]]);
        if (!x || PyTuple_SetItem(args, i, x) < 0)
            Py_CLEAR(args);
    }
    if (!args)
        return -1;
    z = PyObject_Call(PyTuple_GetItem(core->callbacks, group->which), args, NULL);
    Py_DECREF(args);
    if (!z)
        return -1;
    slots[group->slot] = PyFloat_AsDouble(z);
    Py_DECREF(z);
    return PyErr_Occurred() ? -1 : 0;
}

/* How far a run has come. */
typedef struct {
    int32_t group;
    const int32_t *block;
} Position;

/* Run on, up to the next callback or to the end. */
static void run_on(const Core *core, double *slots, Position *at)
{
    const Program *program = &core->program;
    if (core->set) {
        at->block = run_blocks(core->set, slots, at->block);
        if (!program->callbacks)
            return;
    }
    for (; at->group < program->groups && program->group[at->group].kind != CALLBACK;
         at->group++)
        if (!core->set)
            run_group(&program->group[at->group], slots, slots + program->slots);
}

static int32_t run_slots(const Core *core, double *slots)
{
    const Program *program = &core->program;
    Position at = {0, core->blocks.stream};
    int32_t checked = 0;
    for (int32_t i = 0; i < program->callbacks; i++) {
        run_on(core, slots, &at);
        int32_t failed = check_guards(program, slots, checked, program->due[i]);
        if (failed != PASSED)
            return failed;
        checked = program->due[i];
        if (call_back(core, &program->group[at.group++], slots) < 0)
            return RAISED;
    }
    run_on(core, slots, &at);
    return check_guards(program, slots, checked, program->guards);
}

static void write_outputs(const Program *program, const double *slots, double *out)
{
    for (int32_t i = 0; i < program->outputs; i++)
        out[i] = slots[program->output[i]];
}

/* What `entry` gives the address of: PASSED, a guard that fails, or NO_MEMORY. */
static int32_t run_at(void *context, const double *in, double *out)
{
    Core *core = context;
    Room *room = take_room(core->rooms, &core->program, core->slots);
    if (!room)
        return NO_MEMORY;
    if (core->program.inputs)
        memcpy(room->slots, in, (size_t)core->program.inputs * sizeof *in);
    int32_t failed = run_slots(core, room->slots);
    if (failed == PASSED)
        write_outputs(&core->program, room->slots, out);
    give_back(core->rooms, room);
    return failed;
}

/* ---- the type ------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    Core *core;
} Rolled;

static void free_core(Core *core)
{
    for (int i = 0; i < ROOMS; i++)
        free(exchanged(&core->rooms[i], NULL));
    free_program(&core->program);
    PyMem_Free(core->blocks.stream);
    Py_XDECREF(core->callbacks);
    PyMem_Free(core);
}

static void rolled_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((Rolled *)self)->core)
        free_core(((Rolled *)self)->core);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static int rolled_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    if (((Rolled *)self)->core)
        Py_VISIT(((Rolled *)self)->core->callbacks);
    return 0;
}

/* The most operands of a lane: a run of groups as they stand needs room for them. */
static size_t widest(const Program *program)
{
    int32_t found = 0;
    for (int32_t g = 0; g < program->groups; g++)
        found = later(found, program->group[g].width);
    return (size_t)found;
}

static int make_program(Core *core, const Given *given)
{
    Program *program = &core->program;
    if (roll(given, add_unless, program) < 0)
        return -1;
    core->slots = (size_t)program->slots + widest(program);
    if (!core->set)
        return 0;
    if (make_blocks(&core->blocks, program->group, (size_t)program->groups, program->slots,
                    core->set->vectors) < 0)
        return -1;
    core->slots = (size_t)core->blocks.slots;
    return 0;
}

static int make_core(Core *core, const Taken *taken)
{
    core->given = taken->given.count;
    core->callbacks = PyList_AsTuple(taken->callbacks);
    if (!core->callbacks)
        return -1;
    if (make_program(core, &taken->given) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* What runs: a set of instructions, the best one if none is named, or the groups. */
static int choose_set(const char *name, const Set **set)
{
    *set = NULL;
    if (name && !strcmp(name, "groups"))
        return 0;
    *set = find_set(name);
    if (*set)
        return 0;
    PyErr_Format(PyExc_ValueError,
                 "Rolled: set must be one of those in sets, or \"groups\", but is \"%s\"; "
                 "leave it out for the best one", name);
    return -1;
}

static PyObject *rolled_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"inputs",    "rows",    "row",    "start", "operand",
                            "constants", "outputs", "guards", "set",   NULL};
    PyObject *rows, *arrays[5], *guards;
    const char *name = NULL;
    const Set *set;
    Taken taken;
    int inputs;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "iO!OOOOOO!|z:Rolled", names, &inputs,
                                     &PyTuple_Type, &rows, &arrays[0], &arrays[1],
                                     &arrays[2], &arrays[3], &arrays[4], &PyTuple_Type,
                                     &guards, &name) ||
        choose_set(name, &set) < 0)
        return NULL;
    Rolled *self = (Rolled *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    self->core = zeros_for(1, sizeof *self->core);
    if (self->core)
        self->core->set = set;
    else
        PyErr_NoMemory();
    int failed = !self->core || take(&taken, inputs, rows, arrays, guards) < 0 ||
                 make_core(self->core, &taken) < 0;
    if (self->core)
        let_go(&taken);
    if (failed)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* ---- one point ----------------------------------------------------------------------- */

static int read_inputs(PyObject *xs, int32_t inputs, double *slots)
{
    PyObject *all = PySequence_Tuple(xs);
    if (!all)
        return -1;
    if (PyTuple_Size(all) != inputs)
        PyErr_Format(PyExc_ValueError,
                     "scalar: xs must be %d numbers, but are %zd; pass one for each input",
                     (int)inputs, PyTuple_Size(all));
    for (int32_t i = 0; i < inputs && !PyErr_Occurred(); i++)
        slots[i] = PyFloat_AsDouble(PyTuple_GetItem(all, i));
    Py_DECREF(all);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *outputs_of(const Program *program, const double *slots)
{
    PyObject *ys = PyTuple_New(program->outputs);
    for (int32_t i = 0; ys && i < program->outputs; i++) {
        PyObject *y = PyFloat_FromDouble(slots[program->output[i]]);
        if (!y || PyTuple_SetItem(ys, i, y) < 0)
            Py_CLEAR(ys);
    }
    return ys ? Py_BuildValue("(Ni)", ys, PASSED) : NULL;
}

static int32_t run_politely(const Core *core, double *slots)
{
    int32_t failed;
    if (core->program.callbacks || core->program.operations < LONG)
        return run_slots(core, slots);
    Py_BEGIN_ALLOW_THREADS
    failed = run_slots(core, slots);
    Py_END_ALLOW_THREADS
    return failed;
}

static PyObject *rolled_scalar(PyObject *self, PyObject *xs)
{
    Core *core = ((Rolled *)self)->core;
    PyObject *result = NULL;
    Room *room = take_room(core->rooms, &core->program, core->slots);
    if (!room)
        return PyErr_NoMemory();
    if (read_inputs(xs, core->program.inputs, room->slots) == 0) {
        int32_t failed = run_politely(core, room->slots);
        if (failed == PASSED)
            result = outputs_of(&core->program, room->slots);
        else if (failed != RAISED)
            result = Py_BuildValue("(()i)", (int)failed);
    }
    give_back(core->rooms, room);
    return result;
}

static PyObject *rolled_entry(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Core *core = ((Rolled *)self)->core;
    int32_t (*run)(void *, const double *, double *) = run_at;
    void *address;
    if (core->program.callbacks)
        Py_RETURN_NONE;
    memcpy(&address, &run, sizeof address);
    return Py_BuildValue("(NN)", PyLong_FromVoidPtr(address), PyLong_FromVoidPtr(core));
}

#include "_told.h"

static PyMethodDef rolled_methods[] = {
    {"scalar", rolled_scalar, METH_O,
     "(outputs, -1) at a point, or ((), the index of the first guard that fails)."},
    {"entry", rolled_entry, METH_NOARGS,
     "Where C can call it, and with what, or None if it calls Python back."},
    {"groups", rolled_groups, METH_NOARGS,
     "What runs, in order: (level, kind, lanes, width, slot, flags, operands) of each."},
    {"is_sound", rolled_is_sound, METH_NOARGS,
     "Whether its blocks write each number once, and read none before."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef rolled_getset[] = {
    {"constants", rolled_constants, NULL, "The numbers behind the inputs.", NULL},
    {"outputs", rolled_outputs, NULL, "The slot of each output.", NULL},
    {"guards", rolled_guards, NULL, "(slot, expected) of each guard, None if known.", NULL},
    {"set", rolled_set, NULL, "The instructions that run it.", NULL},
    {"counts", rolled_counts, NULL, "How long it was, and what it became.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot rolled_slots[] = {
    {Py_tp_doc, "The arrays of a tape, as groups of like operations."},
    {Py_tp_new, rolled_new},
    {Py_tp_dealloc, rolled_dealloc},
    {Py_tp_traverse, rolled_traverse},
    {Py_tp_methods, rolled_methods},
    {Py_tp_getset, rolled_getset},
    {0, NULL}};

static PyType_Spec rolled_spec = {
    .name = "autograd.compiled.rolled._rolled.Rolled",
    .basicsize = sizeof(Rolled),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = rolled_slots};

/* ---- the module ---------------------------------------------------------------------- */

/* The numbers of rows: of those of the table whose name it is. */
static int add_kinds(PyObject *module)
{
    PyObject *numbers = PyDict_New();
    for (int kind = 0; numbers && kind < CALLBACK; kind++) {
        PyObject *number = kind == SUM ? NULL : PyLong_FromLong(kind);
        if (kind == SUM)
            continue;
        if (!number || PyDict_SetItemString(numbers, kinds[kind].name, number) < 0)
            Py_CLEAR(numbers);
        Py_XDECREF(number);
    }
    int failed = !numbers || PyModule_AddObjectRef(module, "kinds", numbers) < 0;
    Py_XDECREF(numbers);
    return failed ? -1 : 0;
}

/* The names of the sets of instructions that this machine has, the best one first. */
static int add_sets(PyObject *module)
{
    PyObject *names = PyList_New(0), *found;
    for (int i = 0; names && i < SETS; i++) {
        PyObject *name = sets[i].is_there() ? PyUnicode_FromString(sets[i].name) : NULL;
        if (PyErr_Occurred() || (name && PyList_Append(names, name) < 0))
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    found = names ? PyList_AsTuple(names) : NULL;
    Py_XDECREF(names);
    int failed = !found || PyModule_AddObjectRef(module, "sets", found) < 0;
    Py_XDECREF(found);
    return failed ? -1 : 0;
}

static int32_t kind_named(const char *name)
{
    for (int32_t kind = 0; kind < KINDS; kind++)
        if (!strcmp(kinds[kind].name, name))
            return kind;
    return NO_KIND;
}

static int execute(PyObject *module)
{
    static int loaded = 0;
    if (loaded) {
        PyErr_SetString(PyExc_ImportError,
                        "autograd.compiled.rolled._rolled serves one interpreter in a "
                        "process, and once");
        return -1;
    }
    add_unless = kind_named("_add_unless");
    find_steps();
    RolledType = (PyTypeObject *)PyType_FromSpec(&rolled_spec);
    if (!RolledType ||
        PyModule_AddObjectRef(module, "Rolled", (PyObject *)RolledType) < 0 ||
        add_kinds(module) < 0 || add_sets(module) < 0)
        return -1;
    loaded = 1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "autograd.compiled.rolled._rolled",
    .m_doc = "Rolled code: found and run in C.",
    .m_slots = module_slots};

PyMODINIT_FUNC PyInit__rolled(void) { return PyModuleDef_Init(&definition); }
