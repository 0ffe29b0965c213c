//! One program for all fuzz targets: the environment says which.
//!
//! What always holds: an input that makes a target allocate beyond its bound, in one piece, is an input
//! that broke it.

#![no_main]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use libfuzzer_sys::fuzz_target;
use tests::fuzz::{TARGETS, Target};

/// The largest piece of memory asked for since the input began.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Counted;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let target = TARGETS.iter().find(|target| target.name == name);
        let target = target.unwrap_or_else(|| panic!("no target {name}"));
        // What is made once is made now, and counts for no input.
        (target.run)(&[]);
        target
    })
}

fuzz_target!(|input: &[u8]| {
    let target = target();
    LARGEST.store(0, Ordering::Relaxed);
    (target.run)(input);
    let (largest, bound) = (LARGEST.load(Ordering::Relaxed), (target.allocation_max)(input.len()));
    assert!(
        largest <= bound,
        "{largest} bytes at once for {} of input, at most {bound}",
        input.len()
    );
});
