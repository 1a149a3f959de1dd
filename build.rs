//! Links the shared library so that one file serves every C library, and keeps the C header in step with the source.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    link_to_no_c_library(&out);
    header(&root);
    for input in ["build.rs", "cbindgen.toml", "src/interface.rs", "src/hooks", "include/shmaudit.h"] {
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
    let config = match cbindgen::Config::from_file(root.join("cbindgen.toml")) {
        Ok(config) => config,
        Err(error) => panic!("cbindgen.toml: {error}"),
    };
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/interface.rs"))
        .with_src(root.join("src/hooks/six.rs"))
        .generate();
    let bindings = match bindings {
        Ok(bindings) => bindings,
        Err(error) => {
            println!("cargo:warning=include/shmaudit.h was not made anew: {error}");
            return;
        }
    };
    let mut text = Vec::new();
    bindings.write(&mut text);
    let path = root.join("include/shmaudit.h");
    if fs::read(&path).ok().as_deref() != Some(&text) {
        if let Err(error) = fs::write(&path, &text) {
            println!("cargo:warning={}: {error}", path.display());
        }
    }
}
