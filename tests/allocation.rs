//! A step allocates nothing once its buffers have grown.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rayon::prelude::*;

use common::{Data, features, labels, with_threads};
use slide_rs::Network;
use slide_rs::config::SamplerConfig;

struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc`, that is, from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, because the count is of the whole process.
#[test]
fn steps_after_the_first_allocate_nothing() {
    let data = Data::random(256, 60, 3000, 4);
    let rows = data.rows();
    for sampler in ["lsh", "uniform", "full"] {
        let mut config = common::plain(60, 32, 3000);
        config.input.dropout = Some(0.0);
        config.output.sampler = match sampler {
            "lsh" => common::lsh(100),
            "uniform" => SamplerConfig::Uniform { n_active: Some(100), log_q: true },
            _ => SamplerConfig::Full {},
        };
        let (x, y) = (features(&data), labels(&data));
        let allocations = with_threads(2, || {
            // A thread of the pool allocates when it first takes work from another: that is the
            // pool's doing, once in its life, and happens here.
            (0..64).into_par_iter().for_each(|_| std::thread::sleep(Duration::from_millis(1)));
            let mut network = Network::new(config).unwrap();
            network.train_batch(&x, &y, &rows).unwrap();
            network.train_batch(&x, &y, &rows[..40]).unwrap();
            COUNTING.store(true, Ordering::SeqCst);
            // With rehashes among them, and with shorter batches, as at the end of an epoch.
            for step in 0..8 {
                let rows = if step % 2 == 0 { &rows[..] } else { &rows[..40] };
                network.train_batch(&x, &y, rows).unwrap();
            }
            COUNTING.store(false, Ordering::SeqCst);
            ALLOCATIONS.swap(0, Ordering::SeqCst)
        });
        assert_eq!(allocations, 0, "{sampler}");
    }
}
