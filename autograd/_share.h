/* Shares that may be absent: Share of absent.py, which is the reference; read it first.

   Here is the arithmetic of sweeps, on Values, floats and other shares. What is left to
   Python is lent by the class: quotients, powers, comparisons, any other row. */

typedef struct {
    PyObject_HEAD
    PyObject *share, *absent;
    PyObject *total; /* what a sum begins with, once it is asked for */
} Share;

static PyTypeObject *ShareType;
static PyObject *nothing; /* ABSENT of absent.py */

static int is_share(PyObject *x) { return Py_TYPE(x) == ShareType; }

/* ---- rows on whatever a share is made of -------------------------------------------------- */

static PyObject *apply_row(unsigned row, PyObject *const *args, size_t n)
{
    return all_plain(args, n) ? record_kernel(table[row], args)
                              : row_call((PyObject *)table[row], args, n, NULL);
}

static PyObject *apply_two(unsigned row, PyObject *x, PyObject *y)
{
    PyObject *args[2] = {x, y};
    return apply_row(row, args, 2);
}

/* where(absent, x, share) for a number x. */
static PyObject *share_or(const Share *self, double x)
{
    PyObject *number = PyFloat_FromDouble(x), *result = NULL;
    if (number) {
        PyObject *args[3] = {self->absent, number, self->share};
        result = apply_row(ROW_where, args, 3);
        Py_DECREF(number);
    }
    return result;
}

static PyObject *add_unless(const Share *share, PyObject *total)
{
    PyObject *args[3] = {share->absent, total, share->share};
    return apply_row(ROW__add_unless, args, 3);
}

static int is_one_value(PyObject *x, PyObject *y)
{
    return is_value(x) ? is_plain(y) : is_value(y) && PyFloat_CheckExact(x);
}

static PyObject *times(PyObject *x, PyObject *y)
{
    return is_one_value(x, y) ? operator_mul(x, y) : PyNumber_Multiply(x, y);
}

static PyObject *plus(PyObject *x, PyObject *y)
{
    return is_one_value(x, y) ? operator_add(x, y) : PyNumber_Add(x, y);
}

/* ---- making them --------------------------------------------------------------------------- */

/* A share of these, whose references it takes over; NULL if one of the first two is. */
static PyObject *new_share(PyObject *share, PyObject *absent, PyObject *total)
{
    Share *self = share && absent ? (Share *)PyType_GenericAlloc(ShareType, 0) : NULL;
    if (!self) {
        Py_XDECREF(share);
        Py_XDECREF(absent);
        Py_XDECREF(total);
        return NULL;
    }
    self->share = share;
    self->absent = absent;
    self->total = total;
    return (PyObject *)self;
}

static PyObject *held(PyObject *x)
{
    Py_XINCREF(x);
    return x;
}

/* Share(share, absent, total=None) */
static PyObject *share_new(PyTypeObject *Py_UNUSED(type), PyObject *args, PyObject *keywords)
{
    static char *names[] = {"share", "absent", "total", NULL};
    PyObject *share, *absent, *total = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O:Share", names, &share, &absent,
                                     &total))
        return NULL;
    return new_share(held(share), held(absent), total == Py_None ? NULL : held(total));
}

static PyObject *share_total(PyObject *self, void *Py_UNUSED(closure))
{
    Share *share = (Share *)self;
    if (!share->total) {
        PyObject *total = share_or(share, -0.0);
        if (share->total) /* Python may have asked meanwhile */
            Py_XDECREF(total);
        else
            share->total = total;
    }
    return held(share->total);
}

static PyObject *share_number(PyObject *self, void *Py_UNUSED(closure))
{
    return share_or((Share *)self, 0.0);
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

static PyObject *product_of_shares(const Share *x, const Share *y)
{
    PyObject *share = times(x->share, y->share);
    if (!share)
        return NULL;
    return new_share(share,
                     x->absent == y->absent
                         ? held(x->absent)
                         : apply_two(ROW_maximum, x->absent, y->absent),
                     NULL);
}

static PyObject *share_multiply(PyObject *x, PyObject *y)
{
    PyObject *absent;
    if (is_share(x) && is_share(y))
        return product_of_shares((Share *)x, (Share *)y);
    if (x == nothing || y == nothing)
        return held(nothing);
    absent = held(((Share *)(is_share(x) ? x : y))->absent);
    return is_share(x) ? new_share(times(((Share *)x)->share, y), absent, NULL)
                       : new_share(times(x, ((Share *)y)->share), absent, NULL);
}

static PyObject *sum_of_shares(PyObject *x, const Share *y)
{
    const Share *before = (Share *)x;
    PyObject *start, *total = NULL;
    if (before->absent == y->absent)
        return new_share(plus(before->share, y->share), held(y->absent), NULL);
    if ((start = share_total(x, NULL)))
        total = add_unless(y, start);
    Py_XDECREF(start);
    if (!total)
        return NULL;
    return new_share(total, apply_two(ROW_mul, before->absent, y->absent), held(total));
}

/* The sum so far, and one more share. */
static PyObject *share_add(PyObject *x, PyObject *y)
{
    PyObject *start, *sum;
    if (x == nothing || y == nothing)
        return held(x == nothing ? y : x);
    if (!is_share(x))
        return add_unless((Share *)y, x);
    if (is_share(y))
        return sum_of_shares(x, (Share *)y);
    if (!(start = share_total(x, NULL)))
        return NULL;
    sum = plus(start, y);
    Py_DECREF(start);
    return sum;
}

static PyObject *share_negative(PyObject *self)
{
    const Share *share = (Share *)self;
    return new_share(PyNumber_Negative(share->share), held(share->absent), NULL);
}

static PyObject *share_positive(PyObject *self) { return held(self); }

static PyObject *share_subtract(PyObject *x, PyObject *y)
{
    PyObject *minus = PyNumber_Negative(y), *sum;
    if (!minus)
        return NULL;
    sum = share_add(x, minus);
    Py_DECREF(minus);
    return sum;
}

/* Tell C of the one that stands for what is absent. */
static PyObject *set_absent(PyObject *Py_UNUSED(module), PyObject *absent)
{
    Py_INCREF(absent);
    Py_XDECREF(nothing);
    nothing = absent;
    Py_RETURN_NONE;
}

/* ---- the type --------------------------------------------------------------------------- */

static int share_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Share *)self)->share);
    Py_VISIT(((Share *)self)->absent);
    Py_VISIT(((Share *)self)->total);
    return 0;
}

static void share_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((Share *)self)->share);
    Py_XDECREF(((Share *)self)->absent);
    Py_XDECREF(((Share *)self)->total);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMemberDef share_members[] = {
    {"share", T_OBJECT_EX, offsetof(Share, share), READONLY, NULL},
    {"absent", T_OBJECT_EX, offsetof(Share, absent), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyGetSetDef share_attributes[] = {
    {"total", share_total, NULL, "What a sum begins with.", NULL},
    {"number", share_number, NULL, "What it is for all that is no product and no sum.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot share_slots[] = {
    {Py_tp_new, share_new},
    {Py_tp_dealloc, share_dealloc},
    {Py_tp_traverse, share_traverse},
    {Py_tp_members, share_members},
    {Py_tp_getset, share_attributes},
    {Py_nb_multiply, share_multiply},
    {Py_nb_add, share_add},
    {Py_nb_subtract, share_subtract},
    {Py_nb_negative, share_negative},
    {Py_nb_positive, share_positive},
    {0, NULL}};

static PyType_Spec share_spec = {
    .name = "autograd.absent.Share",
    .basicsize = sizeof(Share),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = share_slots};
