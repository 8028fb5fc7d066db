/* Workspaces: the slots of a program, for each run that is under way at the same time.

   A run takes a room that is free and gives it back; from then on none is made, unless
   more runs meet than ever before. Exchanging one pointer does it, so runs from many
   threads, with Python's lock and without, do not meet in a room.

   vacancy   where a free room is kept, or NULL */

#if defined(_MSC_VER)
#include <intrin.h>
typedef void *volatile Vacancy;
#define exchanged(place, new) _InterlockedExchangePointer(place, new)
#define INTO(place, new) (!_InterlockedCompareExchangePointer(place, new, NULL))
#else
#include <stdatomic.h>
typedef _Atomic(void *) Vacancy;
#define exchanged(place, new) atomic_exchange(place, new)
INLINE int put_into(Vacancy *place, void *new)
{
    void *empty = NULL;
    return atomic_compare_exchange_strong(place, &empty, new);
}
#define INTO(place, new) put_into(place, new)
#endif

enum { ROOMS = 16, LINE_OF_CACHE = 64 };

typedef struct {
    double *slots; /* at a line of the cache, in the memory behind this */
} Room;

static void begin_room(const Program *program, double *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        slots[i] = NAN; /* what is read before it is written shows */
    for (int32_t i = 0; i < program->constants; i++)
        slots[program->inputs + i] = program->constant[i];
}

static Room *make_room(const Program *program, size_t count)
{
    Room *room = malloc(sizeof *room + LINE_OF_CACHE + count * sizeof(double));
    if (!room)
        return NULL;
    uintptr_t past = (uintptr_t)(room + 1) % LINE_OF_CACHE;
    room->slots = (double *)((char *)(room + 1) + (past ? LINE_OF_CACHE - past : 0));
    begin_room(program, room->slots, count);
    return room;
}

/* A room with constants in their slots, or NULL without memory. */
static Room *take_room(Vacancy *rooms, const Program *program, size_t count)
{
    for (int i = 0; i < ROOMS; i++) {
        Room *room = exchanged(&rooms[i], NULL);
        if (room)
            return room;
    }
    return make_room(program, count);
}

static void give_back(Vacancy *rooms, Room *room)
{
    for (int i = 0; i < ROOMS; i++)
        if (INTO(&rooms[i], room))
            return;
    free(room);
}
