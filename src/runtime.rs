//! What the compiler wants where there is no std.

/// A panic ends what is at work, and only that: a walk up the stack in a hook, or the contained child that concludes.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    crate::contain::leave();
    crate::unwind::leave_walk();
    crate::end::give_up()
}

// The standard library's objects refer to these even where panics abort. Hidden: an exported `_Unwind_Resume` would break
// every C++ program.
core::arch::global_asm!(
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    "rust_eh_personality:",
    ".hidden _Unwind_Resume",
    ".globl _Unwind_Resume",
    "_Unwind_Resume:",
    #[cfg(target_arch = "x86_64")]
    "ud2",
    #[cfg(target_arch = "aarch64")]
    "udf #0",
);
