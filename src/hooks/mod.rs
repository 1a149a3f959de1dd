//! The hooks: one a symbol, all alike. Real call, errno kept, one record; whether it is ours is asked before anything else.

mod exec;
mod fd;
mod ftok;
mod lock;
mod map;
mod naming;
mod objects;
mod path;
mod process;
mod relative;
pub mod six;
mod size;

pub use process::fork;

/// A hook that has the same body as another under a second symbol: `open64` is `open` on 64-bit systems.
macro_rules! alias {
    ($symbol:ident = $body:ident($($arg:ident: $type:ty),*) -> $ret:ty) => {
        #[doc = concat!("`", stringify!($symbol), "`: as its namesake of 64 bits.")]
        ///
        /// # Safety
        /// As libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($arg: $type),*) -> $ret {
            wrong!(FirstNames => {
                if stringify!($symbol).contains(['4', '2'])
                    && let Some(next) = crate::next::NEXT.$symbol.late()
                {
                    // SAFETY: the caller's arguments, passed on.
                    return unsafe { next($($arg),*) };
                }
            });
            // SAFETY: the caller's arguments, passed on.
            unsafe { $body(&crate::next::NEXT.$symbol, $($arg),*) }
        }
    };
}
pub(crate) use alias;
