//! `execl`, `execlp`, `execle`: their arguments are a list in registers and on the stack. It is laid out as the array that
//! their namesakes take, and passed to those hooks: libc does the same.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int};

use super::process::{execv, execve, execvp};

type Strings = *const *const c_char;

/// Lays the arguments after the first out in front of those on the stack, and calls `$body(first, array)`.
macro_rules! listed {
    ($symbol:ident, $body:path) => {
        #[doc = concat!("`", stringify!($symbol), "`.")]
        ///
        /// # Safety
        /// As libc's: the list ends in NULL.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $symbol(path: *const c_char, first: *const c_char) -> c_int {
            #[cfg(target_arch = "x86_64")]
            naked_asm!(
                // The return address stands between the registers' arguments and those on the stack: it moves below.
                "pop rax",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "push rax",
                "call {body}",
                "pop rcx",
                "add rsp, 40",
                "push rcx",
                "ret",
                body = sym $body,
            );
            #[cfg(target_arch = "aarch64")]
            naked_asm!(
                "sub sp, sp, #64",
                "str x1, [sp, #8]",
                "stp x2, x3, [sp, #16]",
                "stp x4, x5, [sp, #32]",
                "stp x6, x7, [sp, #48]",
                "add x1, sp, #8",
                "stp x29, x30, [sp, #-16]!",
                "mov x29, sp",
                "bl {body}",
                "ldp x29, x30, [sp], #16",
                "add sp, sp, #64",
                "ret",
                body = sym $body,
            );
        }
    };
}

listed!(execl, execv);
listed!(execlp, execvp);
listed!(execle, with_environment);

/// `execle`: the environment follows the list's NULL.
unsafe extern "C" fn with_environment(path: *const c_char, argv: Strings) -> c_int {
    let mut end = argv;
    // SAFETY: the caller's list ends in NULL, and `execle` takes one argument more.
    let envp = unsafe {
        while !(*end).is_null() {
            end = end.add(1);
        }
        *end.add(1)
    };
    // SAFETY: the caller's arguments, passed on.
    unsafe { execve(path, argv, envp.cast()) }
}
