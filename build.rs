//! Links the shared library so that one file serves every C library, and keeps the C header in step with the source.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    link_to_no_c_library(&out);
    header(&root);
    for input in ["build.rs", "src/interface.rs", "src/hooks/six.rs", "include/shmaudit.h"] {
        println!("cargo:rerun-if-changed={input}");
    }
}

/// No NEEDED entry and no symbol version: the libraries that crates ask for are found here first, and are empty.
fn link_to_no_c_library(out: &Path) {
    let empty = out.join("empty");
    fs::create_dir_all(&empty).expect("OUT_DIR is writable");
    for library in ["c", "m", "rt", "pthread", "util", "dl", "gcc_s", "gcc", "gcc_eh"] {
        fs::write(empty.join(format!("lib{library}.a")), b"!<arch>\n").expect("OUT_DIR is writable");
    }
    let empty = empty.display();
    for argument in [
        "-nostdlib",
        &format!("-L{empty}"),
        "-Wl,-soname,libshmaudit.so.0",
        // Hooks run after our destructor, and from threads that dlclose does not know of.
        "-Wl,-z,nodelete",
        // Nothing is resolved lazily inside a hook.
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,--gc-sections",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}

/// Writes `include/shmaudit.h` where it differs from what the source says. It is committed; CI compares.
fn header(root: &Path) {
    let (Some(six), Some(interface)) =
        (declarations(root, "src/hooks/six.rs", None), declarations(root, "src/interface.rs", Some("SHMAUDIT_WEAK")))
    else {
        return;
    };
    let text = format!(
        r#"/* shmaudit.h: the six functions of shared memory, and what a program can ask of its own audit.
 * Made by cbindgen from the library's source: do not edit. */
#ifndef SHMAUDIT_H
#define SHMAUDIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

/* Weak: a program that uses these runs unchanged without the library. Test the function's address before the call. */
#if defined(__GNUC__)
#define SHMAUDIT_WEAK __attribute__((weak))
#else
#define SHMAUDIT_WEAK
#endif

#ifdef __cplusplus
extern "C" {{
#endif

{interface}
#ifdef __cplusplus
}}
#endif

/* As the system's headers have them: a difference does not compile. (C++ has them from there, with its own exception
 * specification.) */
#ifndef __cplusplus

{six}
#endif

#endif /* SHMAUDIT_H */
"#
    );
    let path = root.join("include/shmaudit.h");
    if fs::read_to_string(&path).ok().as_deref() != Some(&text)
        && let Err(error) = fs::write(&path, &text)
    {
        println!("cargo:warning={}: {error}", path.display());
    }
}

/// The C declarations of one source file's exported functions.
fn declarations(root: &Path, source: &str, prefix: Option<&str>) -> Option<String> {
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        documentation_style: cbindgen::DocumentationStyle::C,
        no_includes: true,
        usize_is_size_t: true,
        ..cbindgen::Config::default()
    };
    config.function.prefix = prefix.map(str::to_string);
    for (ours, theirs) in [("shmid_ds", "struct shmid_ds"), ("Stats", "shmaudit_stats"), ("Object", "shmaudit_object")]
    {
        config.export.rename.insert(ours.to_string(), theirs.to_string());
    }
    let bindings = match cbindgen::Builder::new().with_config(config).with_src(root.join(source)).generate() {
        Ok(bindings) => bindings,
        Err(error) => {
            println!("cargo:warning=include/shmaudit.h was not made anew: {source}: {error}");
            return None;
        }
    };
    let mut text = Vec::new();
    bindings.write(&mut text);
    // Rust's heading for what the caller must see to is no heading in C.
    let text =
        String::from_utf8(text).ok()?.replace("\n # Safety\n", "\n The caller sees to it:\n").replace("\n\n\n", "\n\n");
    Some(text.trim_start().to_string())
}
