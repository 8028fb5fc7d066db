/* Groups, run as they stand: one lane after the other, one operation after the other.

   It says what a program means; `_run.h` has to give the same bits. */

static double value_of_sum(const Group *group, const int32_t *operand, const double *slots)
{
    double sum = -0.0;
    size_t step = (size_t)group->padded;
    for (int32_t t = 0; t < group->terms; t++) {
        int flags = group->flags[t];
        double q = slots[*operand];
        operand += step;
        if (flags & PRODUCT) {
            q *= slots[*operand];
            operand += step;
        }
        if (flags & MASKED) {
            int left_out = slots[*operand] != 0.0;
            operand += step;
            if (left_out)
                continue;
        }
        sum = flags & NEGATIVE ? sum - q : sum + q;
    }
    return sum;
}

/* The operands of a lane, one behind the other in `scratch`. */
static void read_operands(const Group *group, int32_t lane, const double *slots,
                          double *scratch)
{
    const int32_t *operand = group->operand + lane;
    for (int32_t i = 0; i < group->width; i++, operand += group->padded)
        scratch[i] = slots[*operand];
}

static void run_group(const Group *group, double *slots, double *scratch)
{
    for (int32_t lane = 0; lane < group->padded; lane++) {
        double *slot = &slots[group->slot + lane];
        if (group->kind == SUM) {
            *slot = value_of_sum(group, group->operand + lane, slots);
            continue;
        }
        read_operands(group, lane, slots, scratch);
        *slot = value_of(group->kind, scratch, group->width);
    }
}
