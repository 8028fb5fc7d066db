/* A straight line of scalar operations, to few groups: the stages one after the other.

   given     arrays as they come                         `Given`, checked by who has them
   clean     each once, and only what is needed          `Line`     _clean.h
   fold      chains as one operation: sums, products     `Folded`   _folds.h, _patterns.h
   level     which can run side by side                  `Levels`   _levels.h
   place     in which order, and where their numbers lie `Program`  _lanes.h

   Time and memory grow with the length of the line and no faster, and each stage lets go
   of what the next one does not need. */

#include "_memory.h"

enum { MOST = 1 << 28 }; /* operations, inputs or operands of a line */

#include "_clean.h"

#include "_folds.h"

#include "_patterns.h"

#include "_levels.h"

#include "_lanes.h"

/* What callbacks wait for, in the order in which they run. */
static int keep_due(const Folded *folded, const Line *line, int32_t guards,
                    Program *program)
{
    Callbacks found;
    memset(&found, 0, sizeof found);
    int failed = find_callbacks(folded, line, guards, &found) < 0;
    if (!failed) {
        program->callbacks = found.count;
        program->due = found.due;
        found.due = NULL;
    }
    free_callbacks(&found);
    return failed ? -1 : 0;
}

/* The nodes themselves are needed no more once they are folded. */
static void let_go_of_nodes(Line *line, Folded *folded)
{
    PyMem_Free(line->code);
    PyMem_Free(line->start);
    PyMem_Free(line->operand);
    PyMem_Free(folded->number);
    line->code = NULL;
    line->start = line->operand = folded->number = NULL;
}

/* The program of a line; -1 if there is no memory, or not room for its slots. */
static int roll(const Given *given, int32_t add_unless, Program *program)
{
    Line line;
    Folded folded;
    Levels levels;
    memset(&line, 0, sizeof line);
    memset(&folded, 0, sizeof folded);
    memset(&levels, 0, sizeof levels);
    memset(program, 0, sizeof *program);
    program->outputs = given->outputs;
    program->guards = given->guards;
    int failed = clean(given, add_unless, &line) < 0 ||
                 fold_line(&line, given, add_unless, &folded) < 0 ||
                 level(&folded, &line, given->guards, &levels) < 0 ||
                 keep_due(&folded, &line, given->guards, program) < 0;
    if (!failed) {
        let_go_of_nodes(&line, &folded);
        failed = place(&folded, &levels, &line, program) < 0;
    }
    free_line(&line);
    free_folded(&folded);
    free_levels(&levels);
    if (failed)
        free_program(program);
    return failed ? -1 : 0;
}
