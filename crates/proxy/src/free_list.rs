//! What a worker keeps for reuse.

/// What is kept for reuse: as much as was needed at a time lately. A fixed number would either be too small for as many connections as
/// are busy, or be kept for good where few are.
#[derive(Debug)]
pub(crate) struct FreeList<T> {
    /// What was used last comes last, and is used first.
    kept: Vec<T>,
    /// The fewest that lay here since the last thinning: nobody has needed these.
    fewest: usize,
}

impl<T> FreeList<T> {
    /// What was given last.
    pub(crate) fn take(&mut self) -> Option<T> {
        let taken = self.kept.pop();
        self.fewest = self.fewest.min(self.kept.len());
        taken
    }

    /// Takes `item` back.
    pub(crate) fn give(&mut self, item: T) {
        self.kept.push(item);
    }

    /// Drops half of what nobody has needed since the last time. To be called a few times a second.
    pub(crate) fn thin(&mut self) {
        self.kept.drain(..self.fewest.div_ceil(2));
        self.fewest = self.kept.len();
    }

    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.kept.len()
    }
}

impl<T> Default for FreeList<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), fewest: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_in_use_now_and_then_is_kept_and_the_rest_goes() {
        let mut list = FreeList::default();
        let busy = |list: &mut FreeList<u32>, at_a_time: usize| {
            let taken: Vec<u32> = (0..at_a_time).filter_map(|_| list.take()).collect();
            let found = taken.len();
            for item in taken {
                list.give(item);
            }
            found
        };
        (0..512).for_each(|item| list.give(item));
        list.thin();
        assert_eq!(list.kept.len(), 512, "nobody knows yet what is needed");
        for _ in 0..10 {
            assert_eq!(busy(&mut list, 512), 512);
            list.thin();
        }
        for left in [306, 203, 151, 125] {
            busy(&mut list, 100);
            list.thin();
            assert_eq!(list.kept.len(), left);
        }
        for _ in 0..10 {
            busy(&mut list, 100);
            list.thin();
        }
        assert_eq!(list.kept.len(), 100);
        (0..7).for_each(|_| list.thin());
        assert!(list.kept.is_empty(), "an idle worker keeps nothing");
    }
}
