// The settings of switch_config.c, as programs with MG_ARCH_CUSTOM keep them.
#pragma once
#include <alloca.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define MG_ENABLE_SOCKET 1
#define MG_ENABLE_CUSTOM_MILLIS 1
#define MG_ENABLE_PACKED_FS 1
#define MG_ENABLE_LINES 1
#define MG_TLS MG_TLS_BUILTIN
#define MG_IO_SIZE 32768
#define MG_MAX_RECV_SIZE (100 * 1024)
#define MG_SOCK_LISTEN_BACKLOG_SIZE 7
#define MG_OF_THE_PROGRAM 42
