//! Leaves segments behind from a closure, a trait's generic method, an inlined function and a thread of a Rust program.

extern "C" {
    fn shmget(key: i32, size: usize, flags: i32) -> i32;
}

const IPC_PRIVATE: i32 = 0;
const IPC_CREAT: i32 = 0o1000;

#[inline(always)]
fn make(size: usize) -> i32 {
    // SAFETY: no pointers.
    unsafe { shmget(IPC_PRIVATE, size, IPC_CREAT | 0o600) }
}

trait Makes {
    fn make(&self, size: usize) -> i32;
}

struct Plain;
struct Wrapped<T>(T);

impl Makes for Plain {
    #[inline(never)]
    fn make(&self, size: usize) -> i32 {
        make(size)
    }
}

impl<T: Makes> Makes for Wrapped<T> {
    #[inline(never)]
    fn make(&self, size: usize) -> i32 {
        self.0.make(size + 2).saturating_add(1)
    }
}

mod inner {
    #[inline(never)]
    pub fn each(sizes: &[usize]) -> i32 {
        sizes.iter().map(|&size| super::make(size)).fold(0, i32::min)
    }
}

fn main() {
    let made = Wrapped(Wrapped(Plain)).make(7105);
    let dynamic: &dyn Makes = &Plain;
    let more = std::thread::Builder::new()
        .name("maker".to_string())
        .spawn(|| inner::each(&[7113, 7117]))
        .map(|thread| thread.join().unwrap_or(0))
        .unwrap_or(0);
    println!("{}", made >= 0 && more >= 0 && dynamic.make(7123) >= 0);
}
