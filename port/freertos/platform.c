// What the library needs beside sockets, on FreeRTOS. UNTESTED: written from FreeRTOS's documentation.
//
// mg_random is the program's: only it knows the generator of the chip. With configTICK_TYPE_WIDTH_IN_BITS below 64 the ticks of
// mg_millis begin again after 2^32 of them: a program that runs longer counts with a hardware timer.

#include <stdint.h>

#include "FreeRTOS.h"
#include "task.h"

uint64_t mg_millis(void) {
  return (uint64_t) xTaskGetTickCount() * portTICK_PERIOD_MS;
}

uint32_t mgx_critical_begin(void) {
  taskENTER_CRITICAL();
  return 0;
}

void mgx_critical_end(uint32_t state) {
  (void) state;
  taskEXIT_CRITICAL();
}
