/* What was found, for people, for tests and for who decides what runs (points.py, by
   `counts`): a run itself needs nothing of it. */

static PyObject *group_of(const Core *core, const Group *group)
{
    size_t places = (size_t)group->padded * (size_t)group->width;
    PyObject *kind = group->kind == CALLBACK
                         ? Py_NewRef(PyTuple_GetItem(core->callbacks, group->which))
                         : PyUnicode_FromString(kinds[group->kind].name);
    return Py_BuildValue("(iNiiiy#y#)", (int)group->level, kind, (int)group->lanes,
                         (int)group->width, (int)group->slot,
                         group->flags ? (const char *)group->flags : "",
                         (Py_ssize_t)group->terms, (const char *)group->operand,
                         (Py_ssize_t)(places * sizeof *group->operand));
}

static PyObject *rolled_groups(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const Core *core = ((Rolled *)self)->core;
    PyObject *found = PyList_New(0);
    for (int32_t g = 0; found && g < core->program.groups; g++) {
        PyObject *group = group_of(core, &core->program.group[g]);
        if (!group || PyList_Append(found, group) < 0)
            Py_CLEAR(found);
        Py_XDECREF(group);
    }
    return found;
}

static PyObject *rolled_constants(PyObject *self, void *Py_UNUSED(closure))
{
    const Program *program = &((Rolled *)self)->core->program;
    PyObject *found = PyTuple_New(program->constants);
    for (int32_t i = 0; found && i < program->constants; i++) {
        PyObject *x = PyFloat_FromDouble(program->constant[i]);
        if (!x || PyTuple_SetItem(found, i, x) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *rolled_outputs(PyObject *self, void *Py_UNUSED(closure))
{
    const Program *program = &((Rolled *)self)->core->program;
    PyObject *found = PyTuple_New(program->outputs);
    for (int32_t i = 0; found && i < program->outputs; i++) {
        PyObject *slot = PyLong_FromLong(program->output[i]);
        if (!slot || PyTuple_SetItem(found, i, slot) < 0)
            Py_CLEAR(found);
    }
    return found;
}

/* (slot, expected) of each guard, None where it holds whatever the inputs are. */
static PyObject *rolled_guards(PyObject *self, void *Py_UNUSED(closure))
{
    const Program *program = &((Rolled *)self)->core->program;
    PyObject *found = PyTuple_New(program->guards);
    for (int32_t i = 0; found && i < program->guards; i++) {
        const Guard *guard = &program->guard[i];
        PyObject *pair = guard->slot == NO_REF
                             ? Py_NewRef(Py_None)
                             : Py_BuildValue("(iN)", (int)guard->slot,
                                             PyBool_FromLong(guard->expected));
        if (!pair || PyTuple_SetItem(found, i, pair) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static int32_t count_blocks(const Program *program)
{
    int32_t blocks = 0;
    for (int32_t g = 0; g < program->groups; g++)
        blocks += blocks_of(program->group[g].lanes);
    return blocks;
}

static PyObject *rolled_counts(PyObject *self, void *Py_UNUSED(closure))
{
    const Core *core = ((Rolled *)self)->core;
    const Program *program = &core->program;
    return Py_BuildValue("{sisisisisisi}", "instructions", (int)core->given, "operations",
                         (int)program->operations, "groups", (int)program->groups, "levels",
                         (int)program->levels, "blocks", (int)count_blocks(program),
                         "slots", (int)program->slots);
}

static PyObject *rolled_set(PyObject *self, void *Py_UNUSED(closure))
{
    const Set *set = ((Rolled *)self)->core->set;
    return PyUnicode_FromString(set ? set->name : "groups");
}

/* For tests: whether each number is written once, and before it is read. */
static PyObject *rolled_is_sound(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const Core *core = ((Rolled *)self)->core;
    const Program *program = &core->program;
    int sound = !core->set
                    ? 1
                    : are_sound(&core->blocks, program->group, (size_t)program->groups,
                                program->inputs + program->constants);
    return sound < 0 ? PyErr_NoMemory() : PyBool_FromLong(sound);
}
