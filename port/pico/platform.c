// What the library needs beside sockets, with the Pico SDK and FreeRTOS. UNTESTED: written from their documentation.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "FreeRTOS.h"
#include "pico/rand.h"
#include "pico/time.h"
#include "task.h"

uint64_t mg_millis(void) {
  return time_us_64() / 1000;
}

bool mg_random(void *buf, size_t len) {
  uint8_t *p = (uint8_t *) buf;
  while (len > 0) {
    uint64_t some = get_rand_64();
    size_t n = len < sizeof(some) ? len : sizeof(some);
    memcpy(p, &some, n);
    p += n, len -= n;
  }
  return true;
}

// With FreeRTOS on both cores this keeps the other one out, too.
uint32_t mgx_critical_begin(void) {
  taskENTER_CRITICAL();
  return 0;
}

void mgx_critical_end(uint32_t state) {
  (void) state;
  taskEXIT_CRITICAL();
}
