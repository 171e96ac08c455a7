// What the example needs of a board: start.c and lan9118.c have it for the MPS2 boards of ARM, as qemu emulates them.

#ifndef BOARD_H
#define BOARD_H

#define MG_ENABLE_TCPIP 1
#include "mongoose.h"
#include "mongoose_ext.h"

extern struct mg_tcpip_driver lan9118_driver;

uintptr_t board_ethernet(void);  // where the registers of the LAN9118 are

size_t board_heap_now(void);    // bytes in use
size_t board_heap_most(void);   // bytes that malloc has taken of HEAP_SIZE, at most so far
size_t board_stack_most(void);  // bytes of the stack, at most so far
void board_poke_interrupt(void (*fn)(void));  // calls fn in an interrupt handler, soon

#endif
