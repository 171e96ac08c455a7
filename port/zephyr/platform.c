// What the library needs beside sockets, on Zephyr. UNTESTED: written from Zephyr's documentation.

#include <stdbool.h>
#include <zephyr/irq.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>

uint64_t mg_millis(void) {
  return (uint64_t) k_uptime_get();
}

bool mg_random(void *buf, size_t len) {
  return sys_csrand_get(buf, len) == 0;
}

uint32_t mgx_critical_begin(void) {
  return irq_lock();
}

void mgx_critical_end(uint32_t state) {
  irq_unlock(state);
}
