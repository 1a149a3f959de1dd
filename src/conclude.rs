//! x
pub fn report(_audit: &'static crate::audit::Audit, _last: bool) -> i32 { 0 }
