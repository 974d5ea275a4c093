//! How workers learn that there is something newer to run: whoever publishes puts the value down first and its number after it, and whoever reads
//! looks at the number for each request and at the value only when that changed.

use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Where the value itself lies. What is put down by one thread is what all others take from then on.
pub trait Slot<T> {
    /// Puts `value` in the place of what was there.
    fn store(&self, value: Arc<T>);
    /// What is there.
    fn load(&self) -> Arc<T>;
}

/// A value that grows newer.
pub trait Numbered {
    /// Grows with each value that is published, from 0.
    fn number(&self) -> u64;
}

/// The newest of many values, for readers that want to know with one look whether theirs still is. One writer at a time.
#[derive(Debug)]
pub struct Published<S> {
    number: AtomicU64,
    slot: S,
}

impl<S> Published<S> {
    /// With a value of number 0 in the slot.
    pub fn new(slot: S) -> Self {
        Self { number: AtomicU64::new(0), slot }
    }

    /// What was published up to now has this number or a greater one. Whoever sees a number gets its value, or a newer one.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The newest value. It may be newer than [`Self::number`] says, never older.
    pub fn current<T>(&self) -> Arc<T>
    where
        S: Slot<T>,
    {
        self.slot.load()
    }

    /// Whether `value` is still the newest.
    #[inline]
    pub fn is_current<T: Numbered>(&self, value: &T) -> bool {
        value.number() == self.number()
    }

    /// Makes `value` the newest. Its number is greater than that of all before.
    pub fn publish<T: Numbered>(&self, value: Arc<T>)
    where
        S: Slot<T>,
    {
        let number = value.number();
        self.slot.store(value);
        self.number.store(number, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    struct Place(Mutex<Arc<u64>>);

    impl Numbered for u64 {
        fn number(&self) -> u64 {
            *self
        }
    }

    impl Slot<u64> for Place {
        fn store(&self, value: Arc<u64>) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
        }

        fn load(&self) -> Arc<u64> {
            Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    #[test]
    fn what_was_published_last_is_current_and_its_number_tells() {
        let published = Published::new(Place(Mutex::new(Arc::new(0))));
        assert!(published.is_current(&0));
        for number in [1, 2, 7] {
            let before = published.current();
            published.publish(Arc::new(number));
            assert_eq!((published.number(), *published.current()), (number, number));
            assert!(published.is_current(&number) && !published.is_current(&*before));
        }
    }
}
