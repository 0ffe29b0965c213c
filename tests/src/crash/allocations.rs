//! A counting allocator: what is the largest piece of memory that a piece of work asks for?
//!
//! A length read from a damaged file must not become an allocation. A program that wants to know makes
//! [`Allocations`] its global allocator; each thread is counted on its own.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, watched.
#[derive(Clone, Copy, Debug)]
pub struct Allocations;

impl Allocations {
    /// Run `work`; returns what it gives, and the size in bytes of its largest allocation on this thread:
    /// 0 where this is not the allocator.
    pub fn largest<T>(work: impl FnOnce() -> T) -> (T, usize) {
        LARGEST.set(0);
        let result = work();
        (result, LARGEST.get())
    }
}

fn note(bytes: usize) {
    if bytes > LARGEST.get() {
        LARGEST.set(bytes);
    }
}

#[expect(unsafe_code, reason = "an allocator is made of unsafe functions")]
// SAFETY: everything is passed on to the system's allocator as it came; counting allocates nothing, and the
// counter is there as long as the thread: it needs no destructor.
unsafe impl GlobalAlloc for Allocations {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}
