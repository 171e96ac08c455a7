/* Coverage whose cost depends on what a target reaches, not on the size of the program. With the compiler's own counters libFuzzer clears and
 * reads a byte for each edge of the program after each execution, hundreds of thousands. Here an edge gets its counter the first time
 * that it is reached, and libFuzzer knows only the blocks of counters in use. The linker sends the instrumented code's calls here (--wrap),
 * because libFuzzer has functions of these names, which end the process. */

#include <stdint.h>

enum { BLOCK = 256, MOST = 1 << 20 };

struct place {
  uintptr_t pc, flags;
};

void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *stop);
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop);

/* The first counter is of no edge: a guard that is 0 has no counter yet. */
static _Alignas(4096) uint8_t counters[MOST];
static struct place places[MOST];
static uint32_t used = 1, known;

static void assign(uint32_t *guard, void *pc) {
  if (used == MOST) return;
  if (used >= known) {
    struct place *first = places + known;
    uint8_t *start = counters + known;
    known += BLOCK;
    __sanitizer_cov_8bit_counters_init(start, start + BLOCK);
    __sanitizer_cov_pcs_init(&first->pc, &first[BLOCK].pc);
  }
  places[used].pc = (uintptr_t) pc;
  counters[used] = 1;
  *guard = used++;
}

void __wrap___sanitizer_cov_trace_pc_guard(uint32_t *guard) {
  uint32_t i = *guard;
  if (__builtin_expect(i != 0, 1)) {
    counters[i]++;
  } else {
    assign(guard, __builtin_return_address(0));
  }
}

void __wrap___sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop) {
  (void) start, (void) stop;
}
