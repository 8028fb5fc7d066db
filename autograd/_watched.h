/* Who is shown what a thread makes: see watch.py.

   A new node is shown by Python, save where a recorder watches: which one that is, Python
   has said, and it is believed until a block opens, or the lock of one is let go. What it
   does not know it meets, and may refuse: Values of a trace that another thread makes. */

typedef struct Recorder Recorder;

static int see_node(Recorder *recorder, Node *node);
static int follows(Recorder *recorder, PyObject *x);
static PyObject *truth_of(Recorder *recorder, PyObject *x);

static struct {
    int known;            /* whether it is known who watches the thread */
    unsigned long thread; /* which */
    Recorder *recorder;   /* or NULL, if it is for Python to say */
    uint64_t changes;     /* how often that may have become something else */
} shown_to;

static void forget_recorder(void)
{
    shown_to.known = 0;
    shown_to.recorder = NULL;
    shown_to.changes++;
}

/* Ask Python who watches this thread, and keep that unless it has changed meanwhile. */
static int find_recorder(unsigned long thread)
{
    uint64_t changes = shown_to.changes;
    PyObject *found = PyObject_CallFunctionObjArgs(python.recording, NULL);
    if (!found)
        return -1;
    if (changes == shown_to.changes) {
        shown_to.recorder =
            PyObject_TypeCheck(found, RecorderType) ? (Recorder *)found : NULL;
        shown_to.thread = thread;
        shown_to.known = 1;
    }
    Py_DECREF(found); /* it ends no later than `recorder_dealloc` says so */
    return 0;
}

/* The recorder that is shown what this thread makes, which is the caller's to give
   back; NULL if there is none, or with an error. */
INLINE Recorder *recorder_here(void)
{
    unsigned long thread = PyThread_get_thread_ident();
    if (!(shown_to.known && shown_to.thread == thread) && find_recorder(thread) < 0)
        return NULL;
    if (!(shown_to.known && shown_to.thread == thread))
        return NULL;
    Py_XINCREF((PyObject *)shown_to.recorder);
    return shown_to.recorder;
}

/* ---- the lock of a block --------------------------------------------------------------- */

/* As Python's, but it is noted when it is let go of. */
typedef struct {
    PyObject_HEAD
    PyObject *weak; /* references to it */
    int held;
} Hold;

static PyObject *hold_acquire(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    int free = !((Hold *)self)->held;
    ((Hold *)self)->held = 1;
    return PyBool_FromLong(free);
}

static PyObject *hold_locked(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((Hold *)self)->held);
}

/* As the end of a `with`, whatever came of it. */
static PyObject *hold_exit(PyObject *self, PyObject *Py_UNUSED(error))
{
    if (!((Hold *)self)->held) {
        PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
        return NULL;
    }
    ((Hold *)self)->held = 0;
    forget_recorder();
    Py_RETURN_NONE;
}

static void hold_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    forget_recorder();
    if (((Hold *)self)->weak)
        PyObject_ClearWeakRefs(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMemberDef hold_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Hold, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyMethodDef hold_methods[] = {
    {"acquire", hold_acquire, METH_NOARGS, "Hold it; whether it was free."},
    {"locked", hold_locked, METH_NOARGS, "Whether it is held."},
    {"__exit__", hold_exit, METH_VARARGS, "Let go of it."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot hold_slots[] = {
    {Py_tp_dealloc, hold_dealloc},
    {Py_tp_methods, hold_methods},
    {Py_tp_members, hold_members},
    {0, NULL}};

static PyType_Spec hold_spec = {
    .name = "autograd.watch.Hold",
    .basicsize = sizeof(Hold),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = hold_slots};
