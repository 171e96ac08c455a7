// What the library needs beside sockets, on ESP-IDF. UNTESTED: written from ESP-IDF's documentation.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_random.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"

uint64_t mg_millis(void) {
  return (uint64_t) esp_timer_get_time() / 1000;
}

bool mg_random(void *buf, size_t len) {
  esp_fill_random(buf, len);  // a hardware generator, seeded by noise of the radio while that is on
  return true;
}

static portMUX_TYPE s_section = portMUX_INITIALIZER_UNLOCKED;

uint32_t mgx_critical_begin(void) {
  portENTER_CRITICAL(&s_section);
  return 0;
}

void mgx_critical_end(uint32_t state) {
  (void) state;
  portEXIT_CRITICAL(&s_section);
}
