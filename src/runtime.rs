//! What the compiler wants where there is no std.

/// A panic ends what is at work, and only that: concluding runs in a child of its own, and hooks do not panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
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
