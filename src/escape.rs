//! A way out of code that may panic: the unwinder's, which runs in the hook. The panic handler returns to where the guarded
//! call began; the hook keeps no stack and goes on.

use core::arch::naked_asm;

/// Calls `function(argument)` and returns its result; `*place` holds the way back while it runs. It runs on the stack that
/// ends at `stack`, or on the caller's where that is 0.
///
/// Saves what the calling convention says a callee keeps, so that [`escape`] can put it back.
///
/// # Safety
/// `place` and `argument` are valid for `function`'s whole run, and so is the stack, which nobody else uses; what `function` leaves behind on an escape must not need
/// dropping.
#[unsafe(naked)]
pub unsafe extern "C" fn guarded(
    place: *mut usize,
    function: unsafe extern "C" fn(*mut core::ffi::c_void) -> usize,
    argument: *mut core::ffi::c_void,
    stack: usize,
) -> usize {
    #[cfg(target_arch = "x86_64")]
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "mov [rdi], rsp",
        "mov rbx, rsp",
        "mov rdi, rdx",
        "test rcx, rcx",
        "cmovnz rsp, rcx",
        "call rsi",
        "mov rsp, rbx",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret"
    );
    #[cfg(target_arch = "aarch64")]
    naked_asm!(
        "stp x29, x30, [sp, #-160]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x9, sp",
        "str x9, [x0]",
        "mov x19, x9",
        "mov x0, x2",
        "cbz x3, 2f",
        "mov sp, x3",
        "2:",
        "blr x1",
        "mov sp, x19",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret"
    );
}

/// Leaves the guarded call that `place` belongs to: its [`guarded`] returns `usize::MAX`.
///
/// # Safety
/// The call is still running on this thread, below the caller.
#[unsafe(naked)]
pub unsafe extern "C" fn escape(way_back: usize) -> ! {
    #[cfg(target_arch = "x86_64")]
    naked_asm!(
        "mov rsp, rdi",
        "mov rax, -1",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret"
    );
    #[cfg(target_arch = "aarch64")]
    naked_asm!(
        "mov sp, x0",
        "mov x0, #-1",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret"
    );
}
