//! Runs deeply recursive work on a thread with a large stack.
//!
//! Reading a configuration file and compiling its templates recurse as deep as the text nests. The engine's threads
//! have small stacks, and a stack overflow ends the database process.

use std::thread;

/// The stack's size, which exceeds what the longest source can nest. The system allocates memory only for the used
/// part.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// The system had no thread, or the work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// Runs rare work on its own thread.
pub fn run<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Unavailable> {
    thread::scope(|scope| {
        let thread = builder()
            .spawn_scoped(scope, work)
            .map_err(|_| Unavailable)?;
        thread.join().map_err(|_| Unavailable)
    })
}

fn builder() -> thread::Builder {
    thread::Builder::new()
        .name("notifier-text".to_owned())
        .stack_size(STACK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recurses `levels` deep. Each level uses a few hundred bytes of stack.
    fn nested(levels: usize) -> usize {
        let here = std::hint::black_box([levels; 32]);
        match levels {
            0 => 0,
            _ => 1 + nested(here[0] - 1),
        }
    }

    #[test]
    fn deep_recursion_works_for_a_caller_with_a_small_stack() {
        const DEEP: usize = 100_000;
        let small = thread::Builder::new().stack_size(128 * 1024);
        let caller = small.spawn(|| run(|| nested(DEEP)));
        assert_eq!(caller.unwrap().join().unwrap(), Ok(DEEP));
    }

    #[test]
    fn a_panic_is_an_error_and_later_calls_work() {
        for _ in 0..3 {
            assert_eq!(run(|| -> u8 { panic!("on purpose") }), Err(Unavailable));
            assert_eq!(run(|| 5), Ok(5));
        }
    }
}
