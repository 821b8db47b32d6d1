//! Finds a field by its name: a hash table over names known beforehand, at most a quarter full.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 by the golden ratio
const LEAST_SLOTS: usize = 4;
const MOST_IN_KEY: usize = 16;

/// Names and their positions.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    slots: Box<[Option<Slot>]>,
    shift: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Key,
    position: usize,
}

/// The length and the first and last eight bytes, which is all there is of most names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    length: usize,
    head: u64,
    tail: u64,
}

impl Names {
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        let slots = (4 * names.len()).next_power_of_two().max(LEAST_SLOTS);
        let shift = u64::BITS - slots.ilog2();
        let mut table = Self { names, slots: vec![None; slots].into(), shift };
        for (position, name) in table.names.iter().enumerate() {
            let key = Key::of(name.as_bytes());
            let (before, from) = table.slots.split_at_mut(key.slot(shift));
            if let Some(free) = from.iter_mut().chain(before).find(|slot| slot.is_none()) {
                *free = Some(Slot { key, position });
            }
        }
        table
    }

    /// The position of the field with this name.
    #[inline]
    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        let key = Key::of(name);
        let mut place = key.slot(self.shift);
        // A free slot ends the search, and three of four are free.
        while let Some(slot) = self.slots.get(place).copied().flatten() {
            if slot.key == key && (name.len() <= MOST_IN_KEY || self.has(slot.position, name)) {
                return Some(slot.position);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
        None
    }

    fn has(&self, position: usize, name: &[u8]) -> bool {
        self.names.get(position).is_some_and(|known| known.as_bytes() == name)
    }
}

impl Key {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
            (u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into())
        } else {
            (name.iter().fold(0, |head, &byte| head << 8 | u64::from(byte)), 0)
        };
        Self { length: name.len(), head, tail }
    }

    #[inline]
    const fn slot(self, shift: u32) -> usize {
        let mixed = (self.head ^ self.length as u64).wrapping_mul(MULTIPLIER);
        ((mixed.rotate_left(32) ^ self.tail).wrapping_mul(MULTIPLIER) >> shift) as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::Names;

    #[test]
    fn finds_every_name_and_no_other() {
        for count in [0, 1, 2, 3, 8, 63, 64, 65, 1000] {
            let all: Vec<String> = (0..count).map(|index| format!("field_number_{index}_of_many")).collect();
            let names = Names::new(all.iter().map(String::as_str));
            for (position, name) in all.iter().enumerate() {
                assert_eq!(names.position(name.as_bytes()), Some(position));
                assert_eq!(names.position(&name.as_bytes()[1..]), None);
            }
            assert_eq!(names.position(b""), None);
            assert_eq!(names.position(b"field_number_1000_of_many"), None);
        }
    }

    #[test]
    fn names_of_every_length_are_told_apart() {
        let all: Vec<String> = (0..40).map(|length| "x".repeat(length)).collect();
        let names = Names::new(all.iter().map(String::as_str));
        for (position, name) in all.iter().enumerate() {
            assert_eq!(names.position(name.as_bytes()), Some(position));
            let other = format!("y{}", name.get(1..).unwrap_or_default());
            assert_eq!(names.position(other.as_bytes()), None);
        }
        assert_eq!(names.position("x".repeat(40).as_bytes()), None);
    }

    #[test]
    fn long_names_that_differ_in_the_middle_only_are_told_apart() {
        let all: Vec<String> = (0..50).map(|index| format!("eight_by{index:02}tes_behind")).collect();
        let names = Names::new(all.iter().map(String::as_str));
        for (position, name) in all.iter().enumerate() {
            assert_eq!(names.position(name.as_bytes()), Some(position));
        }
        assert_eq!(names.position(b"eight_by50tes_behind"), None);
    }

    #[test]
    fn every_short_name_finds_itself_only() {
        let all: Vec<String> = (0..128_u8)
            .flat_map(|byte| [1, 2, 3, 4, 5, 8, 9].map(|length| char::from(byte).to_string().repeat(length)))
            .collect();
        let names = Names::new(all.iter().map(String::as_str));
        for (position, name) in all.iter().enumerate() {
            assert_eq!(names.position(name.as_bytes()), Some(position));
        }
        assert_eq!(names.position(b"ab"), None);
    }
}
