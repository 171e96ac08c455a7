// Start-up, clock, serial port and C library for the MPS2 boards (Cortex-M4: mps2-an386, Cortex-M7: mps2-an500).

#include "board.h"
#include <errno.h>
#include <malloc.h>
#include <reent.h>

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_start[], stack_end[];
extern char heap_start[], heap_end[];
int main(void);

// AN500 is the one with a Cortex-M7.
uintptr_t board_ethernet(void) {
  uint32_t part = (MG_REG(0xe000ed00) >> 4) & 0xfff;
  return part == 0xc27 ? 0xa0000000 : 0x40200000;
}

// ---- serial port 0
#define UART_DATA MG_REG(0x40004000)
#define UART_STATE MG_REG(0x40004004)
#define UART_CTRL MG_REG(0x40004008)
#define UART_BAUDDIV MG_REG(0x40004010)

int putchar(int c) {
  while (UART_STATE & 1) (void) 0;
  UART_DATA = (uint32_t) c;
  return c;
}

// ---- clock: SysTick, at 25 MHz, once a millisecond
#define SYST_CSR MG_REG(0xe000e010)
#define SYST_RVR MG_REG(0xe000e014)
#define SYST_CVR MG_REG(0xe000e018)

static volatile uint64_t s_ticks;

static void on_tick(void) {
  s_ticks++;
}

uint64_t mg_millis(void) {
  uint64_t before, now = s_ticks;  // the two halves must be of one number
  do before = now, now = s_ticks;
  while (before != now);
  return now;
}

// ---- random numbers. NOT FOR USE: the emulated boards have no generator in hardware; read the one of the device here.
bool mg_random(void *buf, size_t len) {
  static uint32_t x = 2463534242u;
  uint8_t *p = (uint8_t *) buf;
  x ^= SYST_CVR;
  while (len-- > 0) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    *p++ = (uint8_t) x;
  }
  return true;
}

// ---- the C library's memory
static char *s_heap = heap_start;

void *_sbrk(int n) {
  char *block = s_heap;
  if (n > heap_end - s_heap) {
    errno = ENOMEM;
    return (void *) -1;
  }
  s_heap += n;
  return block;
}

size_t board_heap_most(void) {
  return (size_t) (s_heap - heap_start);
}

// Not mallinfo(): newlib has it in one file with functions that print.
struct mallinfo _mallinfo_r(struct _reent *reent);

size_t board_heap_now(void) {
  return (size_t) _mallinfo_r(_REENT).uordblks;
}

size_t board_stack_most(void) {
  const uint32_t *p = stack_start;
  while (p < stack_end && *p == 0xdeadbeef) p++;
  return (size_t) ((const char *) stack_end - (const char *) p);
}

// ---- an interrupt that the program itself asks for: SVC's lower-priority sister, PendSV
#define ICSR MG_REG(0xe000ed04)
static void (*volatile s_poked)(void);

static void on_pendsv(void) {
  if (s_poked != NULL) s_poked();
}

void board_poke_interrupt(void (*fn)(void)) {
  s_poked = fn;
  ICSR = MG_BIT(28);
}

// ---- the end
static void quit(const char *why) {
  while (*why) putchar(*why++);
  putchar('\n');
  for (;;) MG_ARM_DISABLE_IRQ();
}

static void on_fault(void) {
  quit("FAULT");
}

void mgx_panic(const char *message) {
  quit(message);
}

void abort(void) {
  quit("abort");
  for (;;) (void) 0;
}

void reset_handler(void);
void reset_handler(void) {
  for (uint32_t *to = data_start, *from = data_load; to < data_end;) *to++ = *from++;
  for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
  for (uint32_t *to = stack_start; to < (uint32_t *) __builtin_frame_address(0) - 8;) *to++ = 0xdeadbeef;
  MG_REG(0xe000ed88) |= 0xf << 20;  // the floating-point unit
  UART_BAUDDIV = 16;
  UART_CTRL = 1;
  SYST_RVR = 25000 - 1;
  SYST_CVR = 0;
  SYST_CSR = 7;
  main();
  quit("main returned");
}

struct vectors {
  void *stack;
  void (*handlers[15])(void);
};

__attribute__((section(".vectors"), used)) static const struct vectors s_vectors = {
    stack_end,
    {reset_handler, on_fault, on_fault, on_fault, on_fault, on_fault, 0, 0, 0, 0, on_fault, on_fault, 0, on_pendsv, on_tick},
};
