// The only function of bcryptprimitives.dll that Rust programs use, for versions of wine without that DLL. Used by packaging/cross.sh.
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buf, SIZE_T len) {
  while (len > 0) {
    ULONG n = len < 65536 ? (ULONG) len : 65536;
    if (!RtlGenRandom(buf, n)) return FALSE;
    buf += n, len -= n;
  }
  return TRUE;
}
