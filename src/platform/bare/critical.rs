//! What interrupt handlers must not see half done: atomic operations of processors that have none, and what wakers share.

use critical_section::RawRestoreState;

unsafe extern "C" {
    /// Without an operating system: begins a section that no interrupt handler, and no other core, enters, and returns what
    /// `mgx_critical_end` needs. Sections are short, and nest. The library's own masks the interrupts of an ARM Cortex-M or a RISC-V
    /// core in machine mode. A program defines both functions itself for other processors, several cores, or an RTOS that must not have
    /// its own interrupts masked.
    fn mgx_critical_begin() -> u32;
    /// Ends the section: `state` is the result of `mgx_critical_begin`. A program that defines one defines both.
    fn mgx_critical_end(state: u32);
}

struct Section;
critical_section::set_impl!(Section);

// SAFETY: what the functions of the program promise.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> RawRestoreState {
        // SAFETY: no conditions.
        unsafe { mgx_critical_begin() }
    }

    unsafe fn release(state: RawRestoreState) {
        // SAFETY: the result of acquire.
        unsafe { mgx_critical_end(state) }
    }
}
