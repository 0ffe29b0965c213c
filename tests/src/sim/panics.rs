//! A panic inside a seed is a broken law: its words and place are kept, and nothing is printed.

use std::{
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Run `work`; when it panics, give the place and the words.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(install);
    IS_CATCHING.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CATCHING.set(false);
    // The payload says less than what the hook has kept.
    result.map_err(|_payload| CAUGHT.take().unwrap_or_default())
}

fn install() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if IS_CATCHING.get() {
            CAUGHT.set(Some(panic.to_string().replace('\n', " ")));
        } else {
            others(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_is_kept_with_its_place() {
        let words = caught(|| panic!("the sky fell on {}", 7)).unwrap_err();
        assert!(words.contains("panics.rs") && words.contains("the sky fell on 7"), "{words}");
        assert_eq!(caught(|| 5), Ok(5));
    }
}
