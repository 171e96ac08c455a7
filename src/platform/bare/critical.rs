//! Critical sections: for atomic operations on processors that have none, and for data that wakers share.

use critical_section::RawRestoreState;

unsafe extern "C" {
    /// Without an operating system: enters a critical section, which excludes interrupt handlers and other cores, and returns the state
    /// for `mgx_critical_end`. Sections are short and nest. The default masks the interrupts of an ARM Cortex-M, or of a RISC-V core in
    /// machine mode. Applications define both functions for other processors, several cores, or an RTOS whose interrupts must not be
    /// masked.
    fn mgx_critical_begin() -> u32;
    /// Leaves the section: `state` is the result of `mgx_critical_begin`. Applications that define one function must define both.
    fn mgx_critical_end(state: u32);
}

struct Section;
critical_section::set_impl!(Section);

// SAFETY: the application's functions guarantee it.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> RawRestoreState {
        // SAFETY: no conditions.
        unsafe { mgx_critical_begin() }
    }

    unsafe fn release(state: RawRestoreState) {
        // SAFETY: state is the result of acquire.
        unsafe { mgx_critical_end(state) }
    }
}
