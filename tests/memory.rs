//! What predictions take does not grow with the number of features.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Data, features, gradient_descent, with_threads};
use slide_rs::{Mode, Network};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc`, that is, from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Far more than the lists of a few rows and the logits of a tile.
const LITTLE: usize = 4 << 20;

/// One test, because the count is of the whole process.
#[test]
fn predictions_from_sparse_features_take_little_memory() {
    let data = Data::random(3, 400_000, 10, 2);
    let mut config = common::stack(&data, vec![], common::uniform(5));
    config.optimizer = gradient_descent();
    with_threads(2, || {
        let mut network = Network::new(config.clone()).unwrap();
        let before = LIVE.load(Ordering::SeqCst);
        PEAK.store(before, Ordering::SeqCst);
        network.predict(&features(&data), (3, Mode::Exact), || true).unwrap();
        network.scores(&features(&data), || true).unwrap();
        network.recall_at_k(&features(&data), (2, None), || true).unwrap();
        let taken = PEAK.load(Ordering::SeqCst) - before;
        assert!(taken < LITTLE, "{taken} bytes");
    });
}
